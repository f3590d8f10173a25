#include "index/pca_codes.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include "tests/unit/heap_graph.h"

namespace vs {
namespace {

using test::HeapGraph;

constexpr uint32_t kDim = 192;
constexpr uint32_t kPoints = PcaCodes::kLearnSlots + 1000;

// Points near a plane of few dimensions, in any direction: what short codes are for.
class NearAPlane {
 public:
  explicit NearAPlane(uint32_t dim, uint32_t rank = 12) : random_(11) {
    for (uint32_t i = 0; i < rank; ++i) axes_.push_back(test::random_vector(random_, dim));
  }
  std::vector<float> operator()(Metric metric) {
    std::vector<float> point = test::random_vector(random_, static_cast<uint32_t>(axes_[0].size()));
    for (float& x : point) x = 0.05f * x + 0.5f;
    for (const auto& axis : axes_) {
      const auto along = std::normal_distribution<float>()(random_);
      for (size_t d = 0; d < point.size(); ++d) point[d] += along * axis[d];
    }
    if (metric == Metric::kCosine) normalize(point);
    return point;
  }

 private:
  std::mt19937 random_;
  std::vector<std::vector<float>> axes_;
};

GraphConfig config(Metric metric, bool pca = true) {
  return {{.dim = kDim, .m = 8, .ml = 1 / std::log(8.0), .seed = 7}, metric, 60, pca};
}

bool everyone(Slot /*slot*/) { return true; }

TEST(PcaCodes, EstimatesAreNearTheDistancesOfCodes) {
  for (const Metric metric : {Metric::kL2, Metric::kCosine, Metric::kDot}) {
    NearAPlane points(kDim);
    HeapGraph g(config(metric), kPoints, true);
    for (uint32_t i = 0; i < kPoints; ++i) g.set_vector(i, points(metric));
    g.graph.extend(kPoints);
    const auto use = g.graph.codes().use();
    const auto pca = PcaCodes::learn(metric, use.rows(), kPoints, everyone, kPoints);
    ASSERT_TRUE(pca) << metric_name(metric);
    EXPECT_EQ(pca->rows().bytes, 64u);
    EXPECT_EQ(pca->components(), 48u);
    EXPECT_EQ(pca->rows().slots_max, kPoints) << "a search may not look for rows behind them";
    EXPECT_GT(pca->share(), 0.94);
    pca->encode(0, kPoints);
    double error = 0;
    double spread = 0;
    const float first = use.rows().distance(Slot{0}, Slot{1});
    for (uint32_t i = 1; i < 400; ++i) {
      const float exact = use.rows().distance(Slot{0}, Slot{i});
      error += std::fabs(double{pca->rows().distance(Slot{0}, Slot{i})} - double{exact});
      spread += std::fabs(double{exact} - double{first});
    }
    EXPECT_LT(error, 0.03 * spread) << metric_name(metric);
  }
}

TEST(PcaCodes, ThereAreNoneWhereTheyDoNotPay) {
  const auto learn = [](uint32_t dim, uint32_t slots, auto point, uint32_t live = UINT32_MAX) {
    GraphConfig c = config(Metric::kL2);
    c.geometry.dim = dim;
    HeapGraph g(c, slots, true);
    for (uint32_t i = 0; i < slots; ++i) g.set_vector(i, point());
    g.graph.extend(slots);
    const auto use = g.graph.codes().use();
    return PcaCodes::learn(
        Metric::kL2, use.rows(), slots, [live](Slot s) { return s.value < live; }, slots);
  };
  NearAPlane plane(kDim);
  const auto near = [&] { return plane(Metric::kL2); };
  EXPECT_TRUE(learn(kDim, kPoints, near));
  EXPECT_FALSE(learn(kDim, kPoints, near, 100)) << "few live ones";
  std::mt19937 random(1);
  EXPECT_FALSE(learn(kDim, kPoints, [&] { return test::random_vector(random, kDim); })) << "no direction is better";
  EXPECT_FALSE(learn(kDim, kPoints, [] { return std::vector<float>(kDim, 0.5f); })) << "all are equal";
  NearAPlane small(48);
  EXPECT_FALSE(learn(48, kPoints, [&] { return small(Metric::kL2); })) << "a code is one cache line";
}

// Which have short codes, and which not, is all the same to who searches.
TEST(PcaCodes, SearchesFindWhatCodesFind) {
  for (const Metric metric : {Metric::kL2, Metric::kCosine, Metric::kDot}) {
    NearAPlane points(kDim);
    HeapGraph g(config(metric), kPoints, true);
    for (uint32_t i = 0; i < kPoints; ++i) g.set_vector(i, points(metric));
    g.add(0, kPoints);
    ASSERT_TRUE(g.graph.codes().pca_due());
    std::vector<std::vector<float>> queries;
    for (int i = 0; i < 200; ++i) queries.push_back(points(metric));
    const auto recall = [&] {
      uint64_t hits = 0;
      for (const auto& query : queries) {
        const auto exact = g.graph.search_exact(query.data(), 10);
        const auto found = g.graph.search(query.data(), 48, nullptr, 10);
        EXPECT_LE(found.size(), 48u);
        EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
        for (size_t i = 0; i < 10; ++i) {
          EXPECT_EQ(found[i].distance, g.graph.distance(query.data(), found[i].slot));
          hits += static_cast<uint64_t>(
              std::count_if(exact.begin(), exact.end(), [&](const Neighbor& n) { return n.slot == found[i].slot; }));
        }
      }
      return static_cast<double>(hits) / static_cast<double>(10 * queries.size());
    };
    const double without = recall();
    g.graph.codes().learn_pca(everyone);
    ASSERT_TRUE(g.graph.codes().pca_state());
    EXPECT_FALSE(g.graph.codes().pca_due());
    EXPECT_GE(recall(), without - 0.01) << metric_name(metric);
    SearchTrace trace;
    g.graph.search(queries.front().data(), 48, &trace, 10);
    EXPECT_GT(trace.from_short_codes, 72u);
    EXPECT_EQ(trace.from_codes, 72u) << "of half as many more than ef";
    EXPECT_EQ(trace.distances - trace.from_short_codes - trace.from_codes, 20u);
  }
}

TEST(PcaCodes, AreLearnedAnewAsPointsComeBesideConcurrentSearches) {
  NearAPlane points(kDim);
  const uint32_t slots = 5 * PcaCodes::kLearnSlots;
  HeapGraph g(config(Metric::kL2), slots, true);
  for (uint32_t i = 0; i < slots; ++i) g.set_vector(i, points(Metric::kL2));
  Codes& codes = g.graph.codes();
  g.add(0, PcaCodes::kLearnSlots - 1, 2);
  EXPECT_FALSE(codes.pca_due());
  g.add(PcaCodes::kLearnSlots - 1, PcaCodes::kLearnSlots);
  EXPECT_TRUE(codes.pca_due());

  std::atomic<bool> done{false};
  std::atomic<uint32_t> missed{0};
  std::atomic<uint32_t> searches{0};
  std::thread reader([&] {
    std::mt19937 own(1);
    while (!done) {
      const Slot slot{static_cast<uint32_t>(own() % PcaCodes::kLearnSlots)};
      missed += g.graph.search(g.graph.vector(slot), 64).front().slot == slot ? 0 : 1;
      ++searches;
    }
  });
  std::thread writer([&] { g.add(PcaCodes::kLearnSlots, PcaCodes::kLearnSlots + 200); });
  for (int i = 0; i < 3; ++i) codes.learn_pca(everyone);
  writer.join();
  EXPECT_TRUE(codes.pca_state());
  EXPECT_EQ(codes.pca_state()->bytes, uint64_t{64} * (PcaCodes::kLearnSlots + 200));
  // Where there is no room left, whole codes serve.
  g.graph.extend(slots);
  EXPECT_FALSE(codes.pca_state());
  EXPECT_TRUE(codes.pca_due());
  codes.learn_pca(everyone);
  EXPECT_TRUE(codes.pca_state());
  // Whole codes that are written anew take the short ones with them.
  codes.encode_all(everyone);
  EXPECT_FALSE(codes.pca_state());
  codes.learn_pca(everyone);
  EXPECT_TRUE(codes.pca_state());
  done = true;
  reader.join();
  EXPECT_LE(missed, searches / 100);
}

// An import is far ahead of its links.
TEST(PcaCodes, AreLearnedFromWhatWaitsToBeLinkedToo) {
  NearAPlane points(kDim);
  HeapGraph g(config(Metric::kL2), kPoints, true);
  for (uint32_t i = 0; i < kPoints; ++i) g.set_vector(i, points(Metric::kL2));
  g.graph.extend(kPoints);
  ASSERT_EQ(g.graph.live_count(), 0u);
  g.graph.learn_pca();
  EXPECT_TRUE(g.graph.codes().pca_state());
}

TEST(PcaCodes, AreMadeOnlyWhereTheyWereAskedFor) {
  NearAPlane points(kDim);
  HeapGraph g(config(Metric::kL2, false), kPoints, true);
  for (uint32_t i = 0; i < kPoints; ++i) g.set_vector(i, points(Metric::kL2));
  g.graph.extend(kPoints);
  EXPECT_FALSE(g.graph.codes().pca_due());
  g.graph.codes().learn_pca(everyone);
  EXPECT_FALSE(g.graph.codes().pca_state());
}

}  // namespace
}  // namespace vs
