#include "index/pca_codes.h"

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <new>

namespace vs {
namespace {

constexpr uint32_t kSampleMax = 8192;
// With less, so many are mistaken for nearer ones that more has to be compared than short rows save (docs/benchmarks.md).
constexpr double kShareMin = 0.94;
// Components further from the mean are clipped: of a normal distribution, along its longest axis, 1 in 16,000.
constexpr float kDeviations = 4;
constexpr int kCenter = 128;
constexpr int kLargest = 127;
constexpr size_t kColumnsMax = (PcaCodes::kDimMax + CodeRows::kTail + 63) / 64 * 64 / 2;

using Matrix = Eigen::MatrixXf;

Matrix sample_of(const Rows& codes, uint32_t slots, const std::function<bool(Slot)>& live) {
  std::vector<Slot> chosen;
  const uint32_t stride = slots / kSampleMax + 1;
  for (uint32_t i = 0; i < slots; i += stride) {
    if (live(Slot{i})) chosen.push_back(Slot{i});
  }
  Matrix sample(static_cast<Eigen::Index>(codes.dim), static_cast<Eigen::Index>(chosen.size()));
  for (size_t i = 0; i < chosen.size(); ++i) {
    const auto* row = reinterpret_cast<const uint8_t*>(codes.row(chosen[i]));
    for (size_t d = 0; d < codes.dim; ++d) {
      sample(static_cast<Eigen::Index>(d), static_cast<Eigen::Index>(i)) = static_cast<float>(row[d]);
    }
  }
  return sample;
}

// The fewest cache lines that hold enough of the variance; 0 if half of a code's bytes do not. `variances` rise.
size_t lines_for(const Eigen::VectorXf& variances, size_t code_bytes, double& share) {
  const auto dim = static_cast<size_t>(variances.size());
  const double total = variances.cast<double>().sum();
  if (!(total > 0)) return 0;
  for (size_t lines = 1; 128 * lines <= code_bytes; ++lines) {
    const size_t count = std::min(dim, 64 * lines - CodeRows::kTail);
    share = variances.tail(static_cast<Eigen::Index>(count)).cast<double>().sum() / total;
    if (share >= kShareMin) return lines;
  }
  return 0;
}

uint64_t whole(double x) { return static_cast<uint64_t>(static_cast<int64_t>(std::llround(x))); }

}  // namespace

std::unique_ptr<PcaCodes> PcaCodes::learn(Metric metric, const Rows& codes, uint32_t slots,
                                          const std::function<bool(Slot)>& live, uint32_t capacity) {
  if (codes.dim > kDimMax) return nullptr;
  Matrix sample = sample_of(codes, slots, live);
  if (sample.cols() < kLearnSlots / 2) return nullptr;
  const Eigen::VectorXf mean = sample.rowwise().mean();
  sample.colwise() -= mean;
  Matrix covariance = Matrix::Zero(sample.rows(), sample.rows());
  covariance.selfadjointView<Eigen::Lower>().rankUpdate(sample, 1 / static_cast<float>(sample.cols()));
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(covariance);
  if (solver.info() != Eigen::Success) return nullptr;
  double share = 0;
  const size_t lines = lines_for(solver.eigenvalues(), codes.bytes, share);
  if (lines == 0) return nullptr;

  std::unique_ptr<PcaCodes> learned(new PcaCodes);
  PcaCodes& p = *learned;
  p.codes_ = codes;
  p.share_ = share;
  p.mean_.assign(mean.begin(), mean.end());
  if (metric == Metric::kDot) {
    const auto zero = static_cast<float>(Quantizer(metric, codes.range).zero());
    for (const float m : p.mean_) {
      p.mean_less_zero_.push_back(m - zero);
      p.zero_term_ += (m - zero) * (m - zero);
    }
  }
  const auto count = static_cast<Eigen::Index>(std::min(codes.dim, 64 * lines - CodeRows::kTail));
  const Matrix axes = solver.eigenvectors().rightCols(count);  // the longest is the last
  p.matrix_scale_ = axes.cwiseAbs().maxCoeff() / kLargest;
  p.matrix_.fours = (codes.dim + 3) / 4;
  p.matrix_.tile_count = lines;
  p.tiles_.resize(lines * CodeMatrix::kTileColumns * 4 * p.matrix_.fours);
  p.matrix_.tiles = p.tiles_.data();
  for (Eigen::Index c = 0; c < count; ++c) {
    const auto axis = axes.col(count - 1 - c);
    float offset = 0;
    for (size_t d = 0; d < codes.dim; ++d) {
      const float rounded = std::round(axis(static_cast<Eigen::Index>(d)) / p.matrix_scale_);
      p.tiles_[p.matrix_.place(static_cast<size_t>(c), d)] = static_cast<int8_t>(rounded);
      offset += p.matrix_scale_ * rounded * p.mean_[d];
    }
    p.offsets_.push_back(offset);
  }
  const float step = kDeviations * std::sqrt(solver.eigenvalues()(solver.eigenvalues().size() - 1)) / kLargest;
  p.per_step_ = 1 / step;

  // Without an exception: whole codes serve when the system refuses it. NOLINTNEXTLINE(cppcoreguidelines-owning-memory)
  p.memory_.reset(new (std::nothrow) CacheLine[size_t{capacity} * lines]);
  if (p.memory_ == nullptr) return nullptr;
  p.rows_ = {.base = reinterpret_cast<const std::byte*>(p.memory_.get()),
             .stride = lines * 64,
             .bytes = lines * 64,
             .slots_max = capacity,
             .dim = codes.dim,
             .of_codes = codes.of_codes,
             .weight = codes.weight,
             .factor = codes.factor * step * step};
  return learned;
}

void PcaCodes::encode(uint32_t first, uint32_t last) {
  for (uint32_t i = first; i < last; ++i) {
    encode(reinterpret_cast<const uint8_t*>(codes_.row(Slot{i})),
           memory_[size_t{i} * (rows_.stride / sizeof(CacheLine))].bytes.data());
  }
}

void PcaCodes::encode(const uint8_t* code, uint8_t* out) const {
  std::array<int32_t, kColumnsMax> products;
  kernels().encoding.code_matrix_products(matrix_, code, products.data());
  int64_t sum = 0;
  for (size_t c = 0; c < offsets_.size(); ++c) {
    const float steps = (matrix_scale_ * static_cast<float>(products[c]) - offsets_[c]) * per_step_;
    const float clipped = std::min(std::max(steps, float{-kLargest}), float{kLargest});
    out[c] = static_cast<uint8_t>(static_cast<int>(clipped + (kCenter + 0.5f)));
    sum += out[c] - kCenter;
  }
  std::fill(out + offsets_.size(), out + rows_.bytes, uint8_t{0});
  const CodeTerms both = terms(code, sum);
  std::memcpy(out + rows_.bytes - sizeof both, &both, sizeof both);
}

// With x and q as they are without the mean m, which is so far from zero: (x-q)^2 = x^2 + q^2 - 2xq, and
// (x+m)(q+m) = xq + mx + mq + m^2. The products of a row and a query - 128 hold 128 times the query's components too much.
CodeTerms PcaCodes::terms(const uint8_t* code, int64_t component_sum) const {
  const double scale = double{per_step_} * double{per_step_};
  const auto surplus = static_cast<uint64_t>(rows_.weight * kCenter * component_sum);
  std::array<float, kDimMax> x;
  kernels().encoding.less_mean(code, mean_.data(), codes_.dim, x.data());
  if (mean_less_zero_.empty()) {
    const double square = -double{kernels().negative_dot(x.data(), x.data(), codes_.dim)};
    return {.as_row = whole(square * scale), .as_query = whole(square * scale) + surplus};
  }
  const double along = -double{kernels().negative_dot(mean_less_zero_.data(), x.data(), codes_.dim)};
  return {.as_row = whole(-along * scale), .as_query = whole(-(along + double{zero_term_}) * scale) + surplus};
}

}  // namespace vs
