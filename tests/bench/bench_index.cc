// Our index beside hnswlib and faiss in one run: build time and queries per second at given recalls. They take turns, so
// that a machine whose speed drifts is fair to all; what counts are the ratios. One thread searches.
//
// Usage: bench_index FASHION_MNIST_DIR [--data l2|cosine|pca128|pca768] [--threads 2] [--rounds 3] [--queries 3000]
//                    [--indexes pca,sq8,none,faiss]
//
// pca128 and pca768 are the images rotated to their principal components, with a little noise: no grid that codes could
// hold exactly.
#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/VectorTransform.h>
#include <hnswlib/hnswlib.h>
#include <omp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
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
constexpr uint32_t kEfs[] = {10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384};
constexpr uint32_t kEfOfThreads = 32;
constexpr double kRecalls[] = {0.95, 0.99, 0.999};
constexpr float kNoise = 0.01f;

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
  std::vector<int64_t> truth;  // queries x kK
};

bool read(const std::string& path, size_t rows_max, std::vector<float>& out, size_t& rows, size_t& dim) {
  const auto array = vs::cli::Array::open(path);
  if (!array.ok()) {
    std::fprintf(stderr, "%s\n", array.status().message().c_str());
    return false;
  }
  rows = std::min<size_t>(array->rows(), rows_max);
  dim = array->columns();
  out.resize(rows * dim);
  return array->read_floats(0, *vs::cli::parse_scale("1/255"), out).ok();
}

// The first `dim` principal components, with noise.
void rotate(Data& data, size_t dim) {
  faiss::PCAMatrix pca(static_cast<int>(data.dim), static_cast<int>(dim));
  pca.train(static_cast<int64_t>(data.points), data.base.data());
  std::mt19937 random(1);
  std::normal_distribution<float> noise(0, kNoise);
  const auto apply = [&](std::vector<float>& vectors, size_t rows) {
    std::vector<float> rotated(rows * dim);
    pca.apply_noalloc(static_cast<int64_t>(rows), vectors.data(), rotated.data());
    for (float& x : rotated) x += noise(random);
    vectors = std::move(rotated);
  };
  apply(data.base, data.points);
  apply(data.query, data.queries);
  data.dim = dim;
}

bool load(const std::string& folder, const std::string& name, size_t queries, Data& data) {
  if (!read(folder + "/train-images-idx3-ubyte.gz", SIZE_MAX, data.base, data.points, data.dim)) return false;
  if (!read(folder + "/t10k-images-idx3-ubyte.gz", queries, data.query, data.queries, data.dim)) return false;
  if (name == "cosine") {
    data.metric = vs::Metric::kCosine;
    for (size_t i = 0; i < data.points; ++i) vs::normalize({&data.base[i * data.dim], data.dim});
    for (size_t i = 0; i < data.queries; ++i) vs::normalize({&data.query[i * data.dim], data.dim});
  }
  if (name == "pca128") rotate(data, 128);
  if (name == "pca768") rotate(data, 768);
  // Of unit vectors the order is that of cosine, too.
  faiss::IndexFlatL2 exact(static_cast<int64_t>(data.dim));
  exact.add(static_cast<int64_t>(data.points), data.base.data());
  data.truth.resize(data.queries * kK);
  std::vector<float> distances(data.truth.size());
  exact.search(static_cast<int64_t>(data.queries), data.query.data(), kK, distances.data(), data.truth.data());
  return true;
}

using SearchIds = std::function<void(const float* query, uint32_t ef, std::vector<int64_t>& ids)>;

struct Figures {
  std::string name;
  std::vector<double> build_s;
  std::vector<double> qps[std::size(kEfs)];
  double recall[std::size(kEfs)] = {};
  std::vector<double> two_threads;  // queries a second as multiples of one thread's

  // Queries per second at that recall, on a line between those of the two nearest ef; 0 if none reaches it.
  double qps_at(double wanted) const {
    for (size_t e = 0; e < std::size(kEfs); ++e) {
      if (recall[e] < wanted) continue;
      if (e == 0) return median(qps[0]);
      const double share = (wanted - recall[e - 1]) / (recall[e] - recall[e - 1]);
      return std::exp((1 - share) * std::log(median(qps[e - 1])) + share * std::log(median(qps[e])));
    }
    return 0;
  }
};

void measure(const Data& data, const SearchIds& search, Figures& figures) {
  for (size_t e = 0; e < std::size(kEfs); ++e) {
    size_t hits = 0;
    std::vector<std::vector<int64_t>> found(data.queries);
    const double s = seconds([&] {
      for (size_t q = 0; q < data.queries; ++q) search(&data.query[q * data.dim], kEfs[e], found[q]);
    });
    for (size_t q = 0; q < data.queries; ++q) {
      const auto first = data.truth.begin() + static_cast<ptrdiff_t>(q * kK);
      const std::unordered_set<int64_t> nearest(first, first + kK);
      for (const int64_t id : found[q]) hits += nearest.count(id);
    }
    figures.qps[e].push_back(static_cast<double>(data.queries) / s);
    figures.recall[e] = static_cast<double>(hits) / static_cast<double>(data.queries * kK);
  }
  const auto with_threads = [&](unsigned threads) {
    return seconds([&] {
      parallel(0, data.queries, threads, [&](size_t q) {
        std::vector<int64_t> found;
        search(&data.query[q * data.dim], kEfOfThreads, found);
      });
    });
  };
  const double one = with_threads(1);
  figures.two_threads.push_back(one / with_threads(2));
}

void run_ours(const Data& data, unsigned threads, bool with_codes, bool pca, Figures& figures) {
  const vs::Geometry geometry{
      .dim = static_cast<uint32_t>(data.dim), .m = kM, .ml = 1 / std::log(double{kM}), .seed = 42};
  const auto slots = static_cast<uint32_t>(data.points);
  uint64_t upper_rows = 1;
  for (uint32_t i = 0; i < slots; ++i) upper_rows += static_cast<uint64_t>(geometry.level(Slot{i}));
  const auto aligned = [](size_t bytes) {
    void* p = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    std::memset(p, 0, bytes);
    return std::unique_ptr<std::byte, decltype(&std::free)>(static_cast<std::byte*>(p), &std::free);
  };
  const auto vectors = aligned(slots * geometry.vector_stride());
  const auto links0 = aligned(slots * geometry.links0_stride());
  const auto upper = aligned(upper_rows * geometry.upper_row_stride());
  const auto codes = aligned(with_codes ? slots * vs::Codes::stride(geometry.dim) : 64);
  for (size_t i = 0; i < slots; ++i) {
    std::memcpy(vectors.get() + i * geometry.vector_stride(), &data.base[i * data.dim], data.dim * sizeof(float));
  }
  vs::Graph graph({geometry, data.metric, kEfConstruction, pca},
                  {vectors.get(), reinterpret_cast<uint32_t*>(links0.get()), reinterpret_cast<uint32_t*>(upper.get()),
                   with_codes ? codes.get() : nullptr},
                  slots);
  figures.build_s.push_back(seconds([&] {
    graph.extend(slots);
    parallel(0, slots, threads, [&](size_t i) {
      graph.insert(Slot{static_cast<uint32_t>(i)});
      graph.publish(Slot{static_cast<uint32_t>(i)});
    });
    vs::relink_unreachable(graph);
    graph.learn_pca();
  }));
  measure(
      data,
      [&](const float* query, uint32_t ef, std::vector<int64_t>& ids) {
        const auto found = graph.search(query, ef, nullptr, kK);
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
      [&](const float* query, uint32_t ef, std::vector<int64_t>& ids) {
        peer.setEf(ef);
        auto found = peer.searchKnn(query, kK);
        for (; !found.empty(); found.pop()) ids.push_back(static_cast<int64_t>(found.top().second));
      },
      figures);
}

void run_faiss(const Data& data, unsigned threads, Figures& figures) {
  faiss::IndexHNSWFlat peer(static_cast<int>(data.dim), kM);
  peer.hnsw.efConstruction = kEfConstruction;
  omp_set_num_threads(static_cast<int>(threads));
  figures.build_s.push_back(seconds([&] { peer.add(static_cast<int64_t>(data.points), data.base.data()); }));
  omp_set_num_threads(1);
  measure(
      data,
      [&](const float* query, uint32_t ef, std::vector<int64_t>& ids) {
        peer.hnsw.efSearch = static_cast<int>(ef);
        thread_local std::vector<float> distances(kK);
        ids.resize(kK);
        peer.search(1, query, kK, distances.data(), ids.data());
      },
      figures);
}

void print(const std::vector<Figures>& all) {
  const auto line = [&](const char* what, int digits, const std::function<double(const Figures&)>& value,
                        const std::function<double(double, double)>& ratio) {
    std::printf("%-13s", what);
    for (const Figures& f : all) std::printf(" %12.*f", digits, value(f));
    std::printf("  |");
    for (size_t i = 0; i < all.size() && ratio; ++i) std::printf(" %6.2f", ratio(value(all[i]), value(all.back())));
    std::printf("\n");
  };
  std::printf("%-13s", "");
  for (const Figures& f : all) std::printf(" %12s", f.name.c_str());
  std::printf("  |  as multiples of %s\n", all.back().name.c_str());
  const auto times = [](double ours, double peer) { return peer == 0 ? 0 : ours / peer; };
  line(
      "build s", 2, [](const Figures& f) { return median(f.build_s); },
      [](double ours, double peer) { return peer / ours; });
  for (size_t e = 0; e < std::size(kEfs); ++e) {
    const std::string ef = "ef=" + std::to_string(kEfs[e]);
    line((ef + " recall").c_str(), 4, [e](const Figures& f) { return f.recall[e]; }, nullptr);
    line((ef + " QPS").c_str(), 0, [e](const Figures& f) { return median(f.qps[e]); }, times);
  }
  for (const double recall : kRecalls) {
    char what[32];
    std::snprintf(what, sizeof what, "QPS at %.3f", recall);
    line(
        what, 0, [recall](const Figures& f) { return f.qps_at(recall); }, times);
  }
  line(
      "2 threads / 1", 2, [](const Figures& f) { return median(f.two_threads); }, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Our index beside hnswlib and faiss."};
  std::string folder;
  std::string name = "l2";
  unsigned threads = 2;
  int rounds = 3;
  std::vector<std::string> indexes = {"pca", "sq8", "none", "faiss"};
  size_t queries = 3000;
  app.add_option("folder", folder, "Fashion-MNIST")->required();
  app.add_option("--data", name, "Which vectors")->check(CLI::IsMember({"l2", "cosine", "pca128", "pca768"}));
  app.add_option("--threads", threads, "To build with")->check(CLI::Range(1, 64));
  app.add_option("--rounds", rounds, "The median of them counts")->check(CLI::Range(1, 100));
  app.add_option("--queries", queries, "Of the test images")->check(CLI::Range(10, 10'000));
  app.add_option("--indexes", indexes, "Which of ours, by their codes, and peers; hnswlib always")
      ->delimiter(',')
      ->check(CLI::IsMember({"pca", "sq8", "none", "faiss"}));
  CLI11_PARSE(app, argc, argv);

  Data data;
  if (!load(folder, name, queries, data)) return 1;
  const std::pair<const char*, std::function<void(Figures&)>> programs[] = {
      {"pca", [&](Figures& f) { run_ours(data, threads, true, true, f); }},
      {"sq8", [&](Figures& f) { run_ours(data, threads, true, false, f); }},
      {"none", [&](Figures& f) { run_ours(data, threads, false, false, f); }},
      {"faiss", [&](Figures& f) { run_faiss(data, threads, f); }},
      {"hnswlib", [&](Figures& f) { run_hnswlib(data, threads, f); }}};
  std::vector<Figures> all;
  for (int round = 0; round < rounds; ++round) {
    size_t column = 0;
    for (const auto& [program, run] : programs) {
      const bool peer = std::string_view(program) == "hnswlib";
      if (!peer && std::find(indexes.begin(), indexes.end(), program) == indexes.end()) continue;
      if (round == 0) all.push_back({.name = program});
      run(all[column++]);
    }
  }
  std::printf(
      "%s: %zu x %zu, M=%u, ef_construction=%u, k=%u, %zu queries, %u thread(s) to build, 1 to search, %s kernels,"
      " %d round(s)\n",
      name.c_str(), data.points, data.dim, kM, kEfConstruction, kK, data.queries, threads,
      std::string(vs::kernels().name).c_str(), rounds);
  print(all);
  return 0;
}
