// Churn: a graph whose points are deleted and replaced round after round, beside one that is built anew from the same
// points. Each round deletes half of the live points at random, gives some of the deleted ones back with other vectors,
// lets the vacuum run, and compares. Exits with 1 when the churned graph is worse than the bar below.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "cli/array.h"
#include "index/audit.h"
#include "index/vacuum.h"
#include "tests/unit/heap_graph.h"

namespace {

using vs::Neighbor;
using vs::Slot;
using vs::test::HeapGraph;
using vs::test::parallel;

constexpr uint32_t kM = 16;
constexpr uint32_t kEfConstruction = 200;
constexpr uint32_t kEf = 64;
constexpr uint32_t kK = 10;
constexpr double kRecallLossMax = 0.005;
constexpr int kNoData = 77;  // ctest takes it as "skipped"

struct Options {
  std::string folder;
  uint32_t points = 60'000;
  uint32_t queries = 1'000;
  int rounds = 10;
  double deleted = 0.5;     // of the live points, each round
  double given_back = 0.3;  // of all points, each round
  unsigned threads = 2;
};

double seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

struct Images {
  uint32_t dim = 0;
  uint32_t rows = 0;
  std::vector<float> values;
  std::span<const float> row(uint32_t i) const { return {&values[size_t{i} * dim], dim}; }
};

bool load(const std::string& path, uint32_t rows_max, Images& images) {
  const auto array = vs::cli::Array::open(path);
  const auto scale = vs::cli::parse_scale("1/255");
  if (!array.ok()) {
    std::fprintf(stderr, "%s\n", array.status().message().c_str());
    return false;
  }
  images.dim = static_cast<uint32_t>(array->columns());
  images.rows = static_cast<uint32_t>(std::min<uint64_t>(array->rows(), rows_max));
  images.values.resize(size_t{images.rows} * images.dim);
  return array->read_floats(0, *scale, images.values).ok();
}

HeapGraph make_graph(uint32_t dim, uint32_t slots) {
  return HeapGraph(
      {{.dim = dim, .m = kM, .ml = 1 / std::log(double{kM}), .seed = 42}, vs::Metric::kL2, kEfConstruction}, slots);
}

struct Quality {
  double recall = 0;
  double distances = 0;  // a search
};

// `exact[q]`: distance of the k-th nearest live point; by distance, since both graphs number the points differently.
Quality measure(const HeapGraph& g, const Images& queries, const std::vector<float>& exact, unsigned threads) {
  std::atomic<uint64_t> hits{0};
  std::atomic<uint64_t> distances{0};
  parallel(0, queries.rows, threads, [&](uint32_t q) {
    vs::SearchTrace trace;
    const auto found = g.graph.search(queries.row(q).data(), kEf, &trace);
    for (size_t i = 0; i < std::min<size_t>(kK, found.size()); ++i) hits += found[i].distance <= exact[q] ? 1 : 0;
    distances += trace.distances;
  });
  return {static_cast<double>(hits) / (queries.rows * double{kK}), static_cast<double>(distances) / queries.rows};
}

uint64_t count_lost(const HeapGraph& g, unsigned threads) {
  std::atomic<uint64_t> lost{0};
  parallel(0, g.graph.slot_count(), threads, [&](uint32_t i) {
    if (!g.graph.live(Slot{i})) return;
    const auto found = g.graph.search(g.graph.vector(Slot{i}), kEf);
    if (found.empty() || found.front().distance > 0) ++lost;
  });
  return lost;
}

double mean_links(const HeapGraph& g) {
  uint64_t links = 0;
  for (uint32_t i = 0; i < g.graph.slot_count(); ++i) {
    if (!g.graph.live(Slot{i})) continue;
    for (const uint32_t& word : g.graph.links(Slot{i}, 0)) links += vs::Graph::load_link(word) != 0 ? 1 : 0;
  }
  return static_cast<double>(links) / static_cast<double>(g.graph.live_count());
}

class Churn {
 public:
  Churn(const Options& options, const Images& base, const Images& queries)
      : options_(options),
        base_(base),
        queries_(queries),
        given_back_(static_cast<uint32_t>(options.given_back * base.rows)),
        g_(make_graph(base.dim, base.rows + given_back_ * static_cast<uint32_t>(options.rounds))),
        vacuum_(g_.graph) {}

  // Returns whether all rounds were good.
  bool run() {
    for (uint32_t i = 0; i < base_.rows; ++i) g_.set_vector(i, base_.row(i));
    const double build_s = seconds([&] { g_.add(0, base_.rows, options_.threads); });
    std::printf("%u x %u, M=%u, ef_construction=%u, ef=%u, %u queries, %u thread(s), built in %.1f s\n", base_.rows,
                base_.dim, kM, kEfConstruction, kEf, queries_.rows, options_.threads, build_s);
    std::printf("%5s %7s %7s | %7s %7s %7s | %7s %7s %7s %6s | %7s %7s %6s %7s | %6s %6s %6s\n", "round", "live",
                "dead", "add/s", "vacuum", "lists", "recall", "before", "dist.", "links", "fresh", "dist.", "links",
                "build", "unreach", "lost", "f.lost");
    bool good = true;
    for (int round = 1; round <= options_.rounds; ++round) good &= run_round(round);
    return good;
  }

 private:
  std::vector<uint32_t> slots_where(bool live) const {
    std::vector<uint32_t> slots;
    for (uint32_t i = 0; i < g_.graph.slot_count(); ++i) {
      if (g_.graph.live(Slot{i}) == live) slots.push_back(i);
    }
    return slots;
  }

  void remove_half() {
    std::vector<uint32_t> live = slots_where(true);
    std::shuffle(live.begin(), live.end(), random_);
    live.resize(static_cast<size_t>(options_.deleted * static_cast<double>(live.size())));
    for (const uint32_t slot : live) g_.graph.retract(Slot{slot});
  }

  // A deleted image, blended with up to the same amount of another one.
  double give_back() {
    const uint32_t first = g_.graph.slot_count();
    const std::vector<uint32_t> dead = slots_where(false);
    std::uniform_real_distribution<float> share(0, 0.5f);
    std::vector<float> vector(base_.dim);
    for (uint32_t i = first; i < first + given_back_; ++i) {
      const float* own = g_.graph.vector(Slot{dead[random_() % dead.size()]});
      const std::span<const float> other = base_.row(static_cast<uint32_t>(random_() % base_.rows));
      const float t = share(random_);
      for (uint32_t d = 0; d < base_.dim; ++d) vector[d] = (1 - t) * own[d] + t * other[d];
      g_.set_vector(i, vector);
    }
    return seconds([&] { g_.add(first, first + given_back_, options_.threads); });
  }

  std::vector<float> exact_bounds() const {
    std::vector<float> bounds(queries_.rows);
    parallel(0, queries_.rows, options_.threads,
             [&](uint32_t q) { bounds[q] = g_.graph.search_exact(queries_.row(q).data(), kK).back().distance; });
    return bounds;
  }

  bool run_round(int round) {
    remove_half();
    const double add_s = give_back();
    const std::vector<float> exact = exact_bounds();
    const Quality before = measure(g_, queries_, exact, options_.threads);
    const uint64_t lists = vacuum_.lists_changed();
    const double vacuum_s = seconds([&] {
      while (vacuum_.due()) vacuum_.step(64);
    });
    const Quality churned = measure(g_, queries_, exact, options_.threads);
    const size_t unreachable = vs::find_unreachable(g_.graph).size();
    const uint64_t lost = count_lost(g_, options_.threads);

    const std::vector<uint32_t> live = slots_where(true);
    const auto count = static_cast<uint32_t>(live.size());
    HeapGraph fresh = make_graph(base_.dim, count);
    for (uint32_t i = 0; i < count; ++i) fresh.set_vector(i, {g_.graph.vector(Slot{live[i]}), base_.dim});
    const double fresh_s = seconds([&] {
      fresh.add(0, count, options_.threads);
      vs::relink_unreachable(fresh.graph);
    });
    const Quality anew = measure(fresh, queries_, exact, options_.threads);
    std::printf(
        "%5d %7u %7u | %7.0f %6.1fs %7llu | %7.4f %7.4f %7.0f %6.1f | %7.4f %7.0f %6.1f %6.1fs | %6zu %6llu %6llu\n",
        round, count, g_.graph.slot_count() - count, given_back_ / add_s, vacuum_s,
        static_cast<unsigned long long>(vacuum_.lists_changed() - lists), churned.recall, before.recall,
        churned.distances, mean_links(g_), anew.recall, anew.distances, mean_links(fresh), fresh_s, unreachable,
        static_cast<unsigned long long>(lost), static_cast<unsigned long long>(count_lost(fresh, options_.threads)));
    std::fflush(stdout);
    return churned.recall >= anew.recall - kRecallLossMax && unreachable == 0 && lost == 0;
  }

  const Options options_;
  const Images& base_;
  const Images& queries_;
  const uint32_t given_back_;
  std::mt19937 random_{1};
  HeapGraph g_;
  vs::Vacuum vacuum_;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  const char* const given = std::getenv("FASHION_MNIST_DIR");
  options.folder = given != nullptr ? given : "../shared/data/fashion-mnist";
  if (argc > 1) options.points = static_cast<uint32_t>(std::atoi(argv[1]));
  if (argc > 2) options.rounds = std::atoi(argv[2]);
  if (argc > 3) options.threads = static_cast<unsigned>(std::atoi(argv[3]));
  if (argc > 4 || options.points < 100 || options.rounds < 1 || options.threads == 0) {
    std::fprintf(stderr, "usage: FASHION_MNIST_DIR=… churn [points] [rounds] [threads]\n");
    return 2;
  }
  Images base;
  Images queries;
  if (!load(options.folder + "/train-images-idx3-ubyte.gz", options.points, base) ||
      !load(options.folder + "/t10k-images-idx3-ubyte.gz", options.queries, queries)) {
    return kNoData;
  }
  if (Churn(options, base, queries).run()) return 0;
  std::fprintf(stderr,
               "expected in each round: recall of the churned graph at least that of the fresh one less %.3f, "
               "nothing unreachable, no point missed by its own vector\n",
               kRecallLossMax);
  return 1;
}
