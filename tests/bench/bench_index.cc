// Our index and hnswlib in one run: build time, recall@10 and queries per second, taking turns so that a machine whose
// speed drifts is fair to both. Reads Fashion-MNIST from the folder named first; the rest of the command line is
// `[l2|cosine] [threads] [rounds]`. Prints a table and the ratios of the medians.
#include <hnswlib/hnswlib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "cli/array.h"
#include "index/audit.h"
#include "index/graph.h"

namespace {

using vs::Slot;

constexpr uint32_t kM = 16;
constexpr uint32_t kEfConstruction = 200;
constexpr uint32_t kK = 10;
constexpr uint32_t kEfs[] = {16, 32, 64, 128};

double seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void parallel(size_t first, size_t last, unsigned threads, const std::function<void(size_t)>& body) {
  std::atomic<size_t> next{first};
  const auto work = [&] {
    for (size_t i = next++; i < last; i = next++) body(i);
  };
  std::vector<std::thread> all;
  for (unsigned i = 1; i < threads; ++i) all.emplace_back(work);
  work();
  for (std::thread& thread : all) thread.join();
}

struct Data {
  vs::Metric metric = vs::Metric::kL2;
  size_t dim = 0;
  size_t points = 0;
  size_t queries = 0;
  std::vector<float> base;
  std::vector<float> query;
  std::vector<int64_t> truth;  // queries x truth_columns
  size_t truth_columns = 0;
};

bool load(const std::string& folder, vs::Metric metric, Data& data) {
  const auto read = [&](const char* file, std::vector<float>& out, size_t& rows) {
    const auto array = vs::cli::Array::open(folder + "/" + file);
    if (!array.ok()) {
      std::fprintf(stderr, "%s\n", array.status().message().c_str());
      return false;
    }
    rows = array->rows();
    data.dim = array->columns();
    out.resize(rows * data.dim);
    const auto scale = vs::cli::parse_scale("1/255");
    if (!array->read_floats(0, *scale, out).ok()) return false;
    for (size_t i = 0; metric == vs::Metric::kCosine && i < rows; ++i) vs::normalize({&out[i * data.dim], data.dim});
    return true;
  };
  data.metric = metric;
  if (!read("train-images-idx3-ubyte.gz", data.base, data.points)) return false;
  if (!read("t10k-images-idx3-ubyte.gz", data.query, data.queries)) return false;
  const auto truth = vs::cli::Array::open(folder + "/neighbors-" + std::string(vs::metric_name(metric)) + "-ids.npy");
  if (!truth.ok()) return false;
  data.truth_columns = truth->columns();
  auto ids = truth->all_integers();
  if (!ids.ok()) return false;
  data.truth = *std::move(ids);
  return true;
}

struct Figures {
  std::vector<double> build_s;
  std::vector<double> qps[std::size(kEfs)];
  double recall[std::size(kEfs)] = {};
};

using SearchIds = std::function<void(const float* query, uint32_t ef, std::vector<uint32_t>& ids)>;

void measure(const Data& data, const SearchIds& search, Figures& figures) {
  for (size_t e = 0; e < std::size(kEfs); ++e) {
    size_t hits = 0;
    std::vector<std::vector<uint32_t>> found(data.queries);
    const double s = seconds([&] {
      for (size_t q = 0; q < data.queries; ++q) search(&data.query[q * data.dim], kEfs[e], found[q]);
    });
    for (size_t q = 0; q < data.queries; ++q) {
      const auto first = data.truth.begin() + static_cast<ptrdiff_t>(q * data.truth_columns);
      const std::unordered_set<int64_t> nearest(first, first + kK);
      for (const uint32_t id : found[q]) hits += nearest.count(id);
    }
    figures.qps[e].push_back(static_cast<double>(data.queries) / s);
    figures.recall[e] = static_cast<double>(hits) / static_cast<double>(data.queries * kK);
  }
}

void run_ours(const Data& data, unsigned threads, Figures& figures) {
  const vs::Geometry geometry{
      .dim = static_cast<uint32_t>(data.dim), .m = kM, .ml = 1 / std::log(double{kM}), .seed = 42};
  const auto slots = static_cast<uint32_t>(data.points);
  uint64_t upper_rows = 1;
  for (uint32_t i = 0; i < slots; ++i) upper_rows += static_cast<uint64_t>(geometry.level(Slot{i}));
  const size_t stride = geometry.vector_stride() / sizeof(float);
  std::vector<float> vectors(slots * stride);
  for (size_t i = 0; i < slots; ++i) {
    std::memcpy(&vectors[i * stride], &data.base[i * data.dim], data.dim * sizeof(float));
  }
  std::vector<uint32_t> links0(size_t{slots} * geometry.m0());
  std::vector<uint32_t> upper(upper_rows * kM);
  vs::Graph graph({geometry, data.metric, kEfConstruction},
                  {reinterpret_cast<const std::byte*>(vectors.data()), links0.data(), upper.data()}, slots);
  graph.extend(slots);
  figures.build_s.push_back(seconds([&] {
    parallel(0, slots, threads, [&](size_t i) {
      graph.insert(Slot{static_cast<uint32_t>(i)});
      graph.publish(Slot{static_cast<uint32_t>(i)});
    });
    vs::relink_unreachable(graph);
  }));
  measure(
      data,
      [&](const float* query, uint32_t ef, std::vector<uint32_t>& ids) {
        const auto found = graph.search(query, ef);
        for (size_t i = 0; i < kK; ++i) ids.push_back(found[i].slot.value);
      },
      figures);
}

void run_hnswlib(const Data& data, unsigned threads, Figures& figures) {
  hnswlib::L2Space l2(data.dim);
  hnswlib::InnerProductSpace inner(data.dim);
  hnswlib::SpaceInterface<float>* space = &l2;
  if (data.metric != vs::Metric::kL2) space = &inner;
  hnswlib::HierarchicalNSW<float> peer(space, data.points, kM, kEfConstruction, 42);
  figures.build_s.push_back(seconds([&] {
    peer.addPoint(data.base.data(), 0);
    parallel(1, data.points, threads, [&](size_t i) { peer.addPoint(&data.base[i * data.dim], i); });
  }));
  measure(
      data,
      [&](const float* query, uint32_t ef, std::vector<uint32_t>& ids) {
        peer.setEf(std::max(ef, kK));
        auto found = peer.searchKnn(query, kK);
        for (; !found.empty(); found.pop()) ids.push_back(static_cast<uint32_t>(found.top().second));
      },
      figures);
}

}  // namespace

int main(int argc, char** argv) {
  const auto metric = vs::metric_from_name(argc > 2 ? argv[2] : "l2");
  const unsigned threads = argc > 3 ? static_cast<unsigned>(std::atoi(argv[3])) : 1;
  const int rounds = argc > 4 ? std::atoi(argv[4]) : 3;
  Data data;
  if (argc < 2 || !metric || *metric == vs::Metric::kDot || threads == 0 || rounds < 1 ||
      !load(argv[1], *metric, data)) {
    std::fprintf(stderr, "usage: bench_index FASHION_MNIST_DIR [l2|cosine] [threads] [rounds]\n");
    return 2;
  }
  Figures ours;
  Figures peer;
  for (int round = 0; round < rounds; ++round) {
    run_ours(data, threads, ours);
    run_hnswlib(data, threads, peer);
  }
  std::printf("%zu x %zu, %s, M=%u, ef_construction=%u, %u thread(s) to build, 1 to search, %s kernels, %d rounds\n",
              data.points, data.dim, argc > 2 ? argv[2] : "l2", kM, kEfConstruction, threads,
              std::string(vs::kernels().name).c_str(), rounds);
  std::printf("%-12s %10s %10s %8s\n", "", "vsd", "hnswlib", "ratio");
  const double a = median(ours.build_s);
  const double b = median(peer.build_s);
  std::printf("%-12s %10.2f %10.2f %7.2fx\n", "build s", a, b, b / a);
  for (size_t e = 0; e < std::size(kEfs); ++e) {
    const double x = median(ours.qps[e]);
    const double y = median(peer.qps[e]);
    std::printf("ef=%-3u recall %9.4f %10.4f\n", kEfs[e], ours.recall[e], peer.recall[e]);
    std::printf("ef=%-3u QPS    %9.0f %10.0f %7.2fx\n", kEfs[e], x, y, x / y);
  }
  return 0;
}
