#include "index/distance.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/unit/test_util.h"

namespace vs {
namespace {

std::vector<size_t> lengths() {
  std::vector<size_t> all = {784, 1024, 1536};
  for (size_t n = 1; n <= 300; ++n) all.push_back(n);
  return all;
}

// Every kernel that this processor runs, against the portable one, at addresses that are not aligned. Rounding differs
// by the order of the sums: the bound is relative to the sum of the terms' absolute values.
TEST(Distance, KernelsAgreeWithThePortableOneOnEveryLength) {
  std::mt19937 random(1);
  const Kernels& portable = available_kernels().front();
  ASSERT_EQ(portable.name, "portable");
  for (const size_t dim : lengths()) {
    const auto a = test::random_vector(random, dim + 1);
    const auto b = test::random_vector(random, dim + 1);
    double magnitude = 1;
    for (size_t i = 0; i < dim; ++i) magnitude += std::fabs(double{a[i + 1]} * double{b[i + 1]});
    for (const Kernels& kernel : available_kernels()) {
      const float* x = a.data() + 1;
      const float* y = b.data() + 1;
      const double bound = 1e-6 * magnitude;
      EXPECT_NEAR(kernel.l2_squared(x, y, dim), portable.l2_squared(x, y, dim), 8 * bound) << kernel.name << " " << dim;
      EXPECT_NEAR(kernel.negative_dot(x, y, dim), portable.negative_dot(x, y, dim), bound) << kernel.name << " " << dim;
      EXPECT_NEAR(kernel.one_minus_dot(x, y, dim), portable.one_minus_dot(x, y, dim), bound)
          << kernel.name << " " << dim;
    }
  }
}

TEST(Distance, PortableKernelsAgreeWithDoublePrecision) {
  std::mt19937 random(2);
  const Kernels& portable = available_kernels().front();
  for (const size_t dim : lengths()) {
    const auto a = test::random_vector(random, dim);
    const auto b = test::random_vector(random, dim);
    double l2 = 0;
    double dot = 0;
    for (size_t i = 0; i < dim; ++i) {
      l2 += (double{a[i]} - double{b[i]}) * (double{a[i]} - double{b[i]});
      dot += double{a[i]} * double{b[i]};
    }
    EXPECT_NEAR(portable.l2_squared(a.data(), b.data(), dim), l2, 1e-5 * (1 + l2));
    EXPECT_NEAR(portable.negative_dot(a.data(), b.data(), dim), -dot, 1e-5 * (1 + static_cast<double>(dim)));
  }
}

// Sums of integers: no rounding. The largest there can be included.
TEST(Distance, KernelsOfCodesAreExact) {
  std::mt19937 random(3);
  const std::vector<Slot> slots = {Slot{4}, Slot{0}, Slot{3}, Slot{3}};
  for (const size_t bytes : {64u, 128u, 192u, 256u, 832u, 1024u, 1088u, 65'600u}) {
    const size_t stride = bytes + 64;
    std::vector<uint8_t> rows(5 * stride);
    std::vector<uint8_t> query(bytes);
    for (const int extreme : {-1, 0, 255}) {
      for (uint8_t& code : rows) code = extreme >= 0 ? 255 : static_cast<uint8_t>(random());
      for (uint8_t& code : query)
        code = static_cast<uint8_t>(extreme >= 0 ? extreme : static_cast<int>(random() % 256));
      for (const Kernels& kernel : available_kernels()) {
        std::vector<int32_t> products(slots.size());
        kernel.code_products({rows.data(), stride, bytes}, query.data(), slots, products.data());
        for (size_t s = 0; s < slots.size(); ++s) {
          int64_t expected = 0;
          for (size_t i = 0; i < bytes - CodeRows::kTail; ++i)
            expected += rows[slots[s].value * stride + i] * (query[i] - 128);
          EXPECT_EQ(products[s], expected) << kernel.name << " " << bytes;
        }
      }
    }
  }
}

// Codes lie in files, which other processors read, too.
TEST(Distance, EncodingIsTheSameToTheBitInAllKernels) {
  std::mt19937 random(4);
  const EncodingKernels& portable = available_kernels().front().encoding;
  for (const size_t dim : {1u, 4u, 15u, 48u, 127u, 784u, 1025u, 1536u}) {
    const auto vector = test::random_vector(random, static_cast<uint32_t>(dim));
    const auto mean = test::random_vector(random, static_cast<uint32_t>(dim));
    const float low = -1.7f;
    const float step = 0.0123f;  // some lie outside
    std::vector<uint8_t> expected(dim);
    double error = 0;
    for (size_t i = 0; i < dim; ++i) {
      const double steps = (double{vector[i]} - double{low}) / double{step};
      expected[i] = static_cast<uint8_t>(std::clamp(std::floor(steps + 0.5), 0.0, 255.0));
      error = std::max(error, std::fabs(double{vector[i]} - (double{low} + expected[i] * double{step})));
    }
    uint64_t sum = 0;
    uint64_t squares = 0;
    for (const uint8_t code : expected) {
      sum += code;
      squares += uint64_t{code} * code;
    }
    float first_error = 0;
    std::vector<float> first_less(dim);
    for (const Kernels& kernel : available_kernels()) {
      SCOPED_TRACE(std::string(kernel.name) + " " + std::to_string(dim));
      std::vector<uint8_t> codes(dim);
      const float largest = kernel.encoding.to_codes(vector.data(), dim, low, step, codes.data());
      EXPECT_NEAR(largest, error, 1e-6 * (1 + error));
      EXPECT_EQ(codes, expected);
      const CodeSums sums = kernel.encoding.code_sums(codes.data(), dim);
      EXPECT_EQ(sums.sum, sum);
      EXPECT_EQ(sums.squares, squares);
      std::vector<float> less(dim);
      kernel.encoding.less_mean(codes.data(), mean.data(), dim, less.data());
      if (&kernel.encoding == &portable) {
        first_error = largest;
        first_less = less;
      }
      EXPECT_EQ(largest, first_error);
      EXPECT_EQ(less, first_less);
    }
  }
}

TEST(Distance, ProductsOfACodeMatrixAreExact) {
  std::mt19937 random(5);
  constexpr size_t kColumns = CodeMatrix::kTileColumns;
  for (const size_t dim : {1u, 5u, 64u, 784u}) {
    for (const size_t tiles : {1u, 3u}) {
      CodeMatrix matrix{.tiles = nullptr, .tile_count = tiles, .fours = (dim + 3) / 4};
      std::vector<int8_t> memory(tiles * kColumns * 4 * matrix.fours);
      matrix.tiles = memory.data();
      std::vector<uint8_t> codes(4 * matrix.fours, 255);  // what has no factor does not count
      std::vector<int32_t> expected(tiles * kColumns);
      for (size_t d = 0; d < dim; ++d) {
        codes[d] = static_cast<uint8_t>(random() % 256);
        for (size_t column = 0; column < expected.size(); ++column) {
          const int factor = column == 0 ? -127 : static_cast<int>(random() % 255) - 127;
          memory[matrix.place(column, d)] = static_cast<int8_t>(factor);
          expected[column] += factor * codes[d];
        }
      }
      for (const Kernels& kernel : available_kernels()) {
        std::vector<int32_t> products(expected.size());
        kernel.encoding.code_matrix_products(matrix, codes.data(), products.data());
        EXPECT_EQ(products, expected) << kernel.name << " " << dim << " " << tiles;
      }
    }
  }
}

TEST(Distance, TheChosenKernelsAreTheLastAvailableOnes) {
  if (std::getenv("VSD_KERNELS") != nullptr) GTEST_SKIP() << "VSD_KERNELS is set";
  EXPECT_EQ(kernels().name, available_kernels().back().name);
}

TEST(Distance, MetricNamesRoundTrip) {
  for (const Metric metric : {Metric::kL2, Metric::kCosine, Metric::kDot}) {
    EXPECT_EQ(metric_from_name(metric_name(metric)), metric);
  }
  EXPECT_EQ(metric_from_name("L2"), std::nullopt);
}

TEST(Distance, UserDistance) {
  EXPECT_FLOAT_EQ(user_distance(Metric::kL2, 9.0f), 3.0f);
  EXPECT_FLOAT_EQ(user_distance(Metric::kCosine, -1e-7f), 0.0f);
  EXPECT_FLOAT_EQ(user_distance(Metric::kDot, -5.0f), -5.0f);
}

TEST(Distance, VectorsThatMayNotBeStored) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(validate_vector(Metric::kL2, std::vector<float>{0, 0}).ok());
  EXPECT_EQ(validate_vector(Metric::kCosine, std::vector<float>{0, 0}).code(), Code::kZeroVector);
  EXPECT_EQ(validate_vector(Metric::kL2, std::vector<float>{0, infinity}).code(), Code::kNotFinite);
  const Status status = validate_vector(Metric::kDot, std::vector<float>{0, 1, std::nanf("")});
  EXPECT_EQ(status.code(), Code::kNotFinite);
  EXPECT_NE(status.message().find("component 2"), std::string::npos) << status.message();
}

TEST(Distance, NormalizeKeepsDirectionAtAnyScale) {
  for (const float scale : {1e-40f, 1e-20f, 1.0f, 1e20f, 1e37f}) {
    std::vector<float> v = {3 * scale, -4 * scale};
    normalize(v);
    EXPECT_NEAR(v[0], 0.6f, 1e-4f) << scale;
    EXPECT_NEAR(v[1], -0.8f, 1e-4f) << scale;
  }
}

}  // namespace
}  // namespace vs
