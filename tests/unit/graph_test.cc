#include "index/graph.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <set>
#include <thread>

#include "index/audit.h"
#include "tests/unit/heap_graph.h"

namespace vs {
namespace {

using test::HeapGraph;

double recall(const HeapGraph& g, uint32_t k, uint32_t ef, int queries) {
  std::mt19937 random(99);
  size_t hits = 0;
  for (int q = 0; q < queries; ++q) {
    std::vector<float> query = test::random_vector(random, g.graph.geometry().dim);
    if (g.graph.config().metric == Metric::kCosine) normalize(query);
    const auto exact = g.graph.search_exact(query.data(), k);
    auto found = g.graph.search(query.data(), ef);
    found.resize(std::min<size_t>(found.size(), k));
    // By distance: of equal vectors any one is right.
    for (const Neighbor& n : found) hits += n.distance <= exact.back().distance ? 1 : 0;
  }
  return static_cast<double>(hits) / (queries * static_cast<double>(k));
}

TEST(Graph, EmptyAndSingle) {
  HeapGraph g(4, 2);
  const std::vector<float> query(4);
  EXPECT_TRUE(g.graph.search(query.data(), 10).empty());
  EXPECT_TRUE(g.graph.search_exact(query.data(), 10).empty());
  g.add(0, 1);
  ASSERT_EQ(g.graph.search(query.data(), 10).size(), 1u);
  g.graph.retract(Slot{0});
  EXPECT_TRUE(g.graph.search(query.data(), 10).empty());
  g.add(1, 2);
  const auto found = g.graph.search(query.data(), 10);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].slot, Slot{1});
}

TEST(Graph, RecallForEveryMetric) {
  for (const Metric metric : {Metric::kL2, Metric::kCosine, Metric::kDot}) {
    HeapGraph g(16, 2000, metric);
    g.add(0, 2000);
    EXPECT_GE(recall(g, 10, 100, 100), metric == Metric::kDot ? 0.90 : 0.97) << metric_name(metric);
  }
}

TEST(Graph, ConcurrentInsertionIsAsGood) {
  HeapGraph one(16, 3000);
  one.add(0, 3000);
  HeapGraph four(16, 3000);
  four.add(0, 3000, 4);
  EXPECT_NEAR(recall(one, 10, 60, 200), recall(four, 10, 60, 200), 0.02);
}

TEST(Graph, SameSeedGivesSameLevelsAndTheirShareIsRight) {
  const Geometry a{.dim = 1, .m = 16, .ml = 1 / std::log(16.0), .seed = 5};
  Geometry b = a;
  uint32_t above = 0;
  for (uint32_t i = 0; i < 100'000; ++i) {
    ASSERT_EQ(a.level(Slot{i}), b.level(Slot{i}));
    above += a.level(Slot{i}) > 0 ? 1 : 0;
  }
  EXPECT_NEAR(above / 100'000.0, 1 / 16.0, 0.005);
  b.seed = 6;
  bool differs = false;
  for (uint32_t i = 0; i < 1000; ++i) differs |= a.level(Slot{i}) != b.level(Slot{i});
  EXPECT_TRUE(differs);
}

TEST(Graph, EntryIsTheLowestSlotOfTheTopLevel) {
  HeapGraph g(4, 3000);
  g.add(0, 3000, 2);
  int top = 0;
  for (uint32_t i = 0; i < 3000; ++i) top = std::max(top, g.graph.level(Slot{i}));
  uint32_t lowest = 0;
  while (g.graph.level(Slot{lowest}) != top) ++lowest;
  EXPECT_EQ(g.graph.entry().level, top);
  EXPECT_EQ(g.graph.entry().slot, Slot{lowest});
}

TEST(Graph, TombstonesAreTraversedAndTakeNoPlace) {
  HeapGraph g(8, 2000);
  g.add(0, 2000);
  std::mt19937 random(3);
  std::set<uint32_t> live;
  for (uint32_t i = 0; i < 2000; ++i) {
    if (random() % 100 == 0) {
      live.insert(i);
    } else {
      g.graph.retract(Slot{i});
    }
  }
  ASSERT_EQ(g.graph.live_count(), live.size());
  const auto query = test::random_vector(random, 8);
  const auto found = g.graph.search(query.data(), 10);
  ASSERT_EQ(found.size(), 10u);
  const auto exact = g.graph.search_exact(query.data(), 10);
  size_t same = 0;
  for (const Neighbor& n : found) {
    EXPECT_TRUE(live.contains(n.slot.value));
    for (const Neighbor& e : exact) same += e.slot == n.slot ? 1 : 0;
  }
  EXPECT_GE(same, 9u);
}

TEST(Graph, ResultsAreSortedAndTiesGoToTheOlder) {
  HeapGraph g(4, 400);
  const std::vector<float> same = {1, 2, 3, 4};
  for (uint32_t i = 100; i < 200; ++i) g.set_vector(i, same);
  g.add(0, 400);
  EXPECT_EQ(find_unreachable(g.graph).size(), 0u);
  const auto found = g.graph.search(same.data(), 150);
  ASSERT_GE(found.size(), 100u);
  EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
  for (uint32_t i = 0; i < 100; ++i) {
    ASSERT_EQ(found[i].slot, Slot{100 + i});
    ASSERT_EQ(found[i].distance, 0);
  }
}

TEST(Graph, ManyEqualVectorsAreNoIsland) {
  for (const Metric metric : {Metric::kL2, Metric::kCosine}) {
    HeapGraph g(8, 4000, metric);
    std::vector<float> same(8, 0.5f);
    if (metric == Metric::kCosine) normalize(same);
    for (uint32_t i = 500; i < 3000; ++i) g.set_vector(i, same);
    g.add(0, 4000, 2);
    // Two threads may insert twins that do not see each other; those are for the audit.
    EXPECT_LE(find_unreachable(g.graph).size(), 20u);
    relink_unreachable(g.graph);
    EXPECT_EQ(find_unreachable(g.graph).size(), 0u);
    // Near the equal ones they fill the ef places, so a little is lost there.
    EXPECT_GE(recall(g, 10, 100, 200), 0.95) << metric_name(metric);
    SearchTrace trace;
    const auto found = g.graph.search(same.data(), 100, &trace);
    ASSERT_EQ(found.size(), 100u);
    for (const Neighbor& n : found) EXPECT_TRUE(n.slot.value >= 500 && n.slot.value < 3000);
    EXPECT_LT(trace.distances, 1500u);
  }
}

TEST(Graph, AnEqualVectorTakesThePlaceOfTheOneItReplaces) {
  HeapGraph g(8, 800);
  g.add(0, 300);
  g.graph.extend(800);
  const std::vector<float> same(8, 0.5f);
  const auto leads = [&](uint32_t from, uint32_t to) {
    const auto words = g.graph.links(Slot{from}, 0);
    return std::any_of(words.begin(), words.end(), [to](uint32_t& word) { return Graph::load_link(word) == to + 1; });
  };
  const auto ways_in = [&](uint32_t to) {
    int count = 0;
    for (uint32_t from = 0; from < 300; ++from) count += leads(from, to) ? 1 : 0;
    return count;
  };
  int ways_in_before = 0;
  for (uint32_t i = 300; i < 800; ++i) {
    g.set_vector(i, same);
    const Slot replaced = i > 300 ? Slot{i - 1} : kNoSlot;
    g.graph.insert(Slot{i}, nullptr, replaced);
    g.graph.publish(Slot{i});
    if (replaced != kNoSlot) {
      g.graph.retract(replaced, Slot{i});
      EXPECT_EQ(ways_in(i), ways_in_before);
      EXPECT_TRUE(leads(i - 1, i)) << "for whoever is on it";
    }
    ways_in_before = ways_in(i);
    EXPECT_GT(ways_in_before, 0) << i;
  }
  ASSERT_FALSE(g.graph.search(same.data(), 10).empty());
  EXPECT_EQ(g.graph.search(same.data(), 10).front().slot, Slot{799});
}

// Clusters far from each other, with more points in each than a list has places: a new one is not near to many.
TEST(Graph, WhatIsAboutToBeLinkedIsNotDead) {
  HeapGraph g(8, 20);
  g.add(0, 10);
  g.graph.extend(20);
  EXPECT_EQ(g.graph.live_count(), 10u);
  EXPECT_EQ(g.graph.dead_count(), 0u);
  g.graph.retract(Slot{3});
  g.graph.retract(Slot{3});
  g.graph.retract(Slot{15});  // replaced before it was published
  EXPECT_EQ(g.graph.live_count(), 9u);
  EXPECT_EQ(g.graph.dead_count(), 2u);
  g.graph.publish(Slot{3});
  EXPECT_EQ(g.graph.live_count(), 10u);
  EXPECT_EQ(g.graph.dead_count(), 1u);
}

TEST(Graph, APointIsFoundAtOnce) {
  const uint32_t dim = 16;
  const uint32_t points = 6000;
  HeapGraph g(dim, points, Metric::kL2, 4);
  std::mt19937 random(5);
  std::vector<std::vector<float>> centers;
  for (int i = 0; i < 50; ++i) {
    centers.push_back(test::random_vector(random, dim));
    for (float& x : centers.back()) x *= 10;
  }
  uint32_t missed = 0;
  for (uint32_t i = 0; i < points; ++i) {
    std::vector<float> vector = test::random_vector(random, dim);
    const std::vector<float>& center = centers[random() % centers.size()];
    for (uint32_t d = 0; d < dim; ++d) vector[d] += center[d];
    g.set_vector(i, vector);
    g.add(i, i + 1);
    missed += g.graph.search(vector.data(), limits::kEfSearchDefault).front().slot == Slot{i} ? 0 : 1;
  }
  EXPECT_EQ(missed, 0u);
}

// A rebuild links the last it read while new operations come in already.
TEST(Graph, WhatIsReplacedMayNotBeLinkedYet) {
  HeapGraph g(8, 302);
  g.add(0, 300);
  g.graph.extend(302);
  const std::vector<float> same(8, 0.5f);
  for (const uint32_t i : {300u, 301u}) g.set_vector(i, same);
  g.graph.insert(Slot{301}, nullptr, Slot{300});
  g.graph.publish(Slot{301});
  g.graph.retract(Slot{300});
  EXPECT_EQ(g.graph.search(same.data(), 10).front().slot, Slot{301});
  EXPECT_EQ(find_unreachable(g.graph).size(), 0u);
}

TEST(Graph, ExtremeComponentsGiveFiniteDistances) {
  HeapGraph g(4, 50);
  const float largest = std::numeric_limits<float>::max();
  for (uint32_t i = 0; i < 25; ++i) g.set_vector(i, std::vector<float>{largest, -largest, largest, -largest});
  g.add(0, 50);
  const std::vector<float> query = {-largest, largest, largest, -largest};
  // Where all distances are the largest float, the graph cannot tell near from far; the exact search still has them
  // all.
  auto found = g.graph.search(query.data(), 50);
  const auto exact = g.graph.search_exact(query.data(), 50);
  EXPECT_EQ(exact.size(), 50u);
  found.insert(found.end(), exact.begin(), exact.end());
  for (const Neighbor& n : found) EXPECT_TRUE(std::isfinite(n.distance));
}

TEST(Graph, TraceCountsTheWork) {
  HeapGraph g(8, 2000);
  g.add(0, 2000);
  SearchTrace trace;
  const std::vector<float> query(8);
  g.graph.search(query.data(), 50, &trace);
  EXPECT_EQ(trace.entry, g.graph.entry().slot);
  EXPECT_EQ(trace.hops.size(), static_cast<size_t>(g.graph.entry().level) + 1);
  EXPECT_GE(trace.hops[0], 50u);
  EXPECT_GT(trace.distances, trace.hops[0]);
  EXPECT_EQ(trace.from_codes + trace.from_short_codes, 0u) << "there are none";
  SearchTrace exact;
  g.graph.search_exact(query.data(), 5, &exact);
  EXPECT_EQ(exact.distances, 2000u);
}

TEST(Graph, ConcurrentSearchesSeeOnlyWholePoints) {
  HeapGraph g(8, 4000);
  g.add(0, 500);
  g.graph.extend(4000);
  std::atomic<bool> done{false};
  std::atomic<uint64_t> searches{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      while (!done) {
        const auto query = test::random_vector(random, 8);
        const auto found = g.graph.search(query.data(), 20);
        // 100 of the first 500 are never deleted.
        EXPECT_EQ(found.size(), 20u);
        for (const Neighbor& n : found) EXPECT_EQ(n.distance, g.graph.distance(query.data(), n.slot));
        ++searches;
      }
    });
  }
  std::thread deleter([&] {
    for (uint32_t i = 100; i < 500; ++i) g.graph.retract(Slot{i});
  });
  g.add(500, 4000, 2);
  deleter.join();
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_GT(searches.load(), 0u);
  EXPECT_EQ(g.graph.live_count(), 3600u);
}

TEST(Audit, RelinksWhatCannotBeReached) {
  HeapGraph g(8, 1000);
  g.add(0, 1000);
  // Cut every link to some slots.
  const std::set<uint32_t> cut = {10, 500, 999};
  for (uint32_t i = 0; i < 1000; ++i) {
    for (uint32_t& word : g.graph.links(Slot{i}, 0)) {
      if (word != 0 && cut.contains(word - 1)) Graph::store_link(word, 0);
    }
  }
  EXPECT_GE(find_unreachable(g.graph).size(), 2u);  // one of them may be the entry point
  EXPECT_GE(relink_unreachable(g.graph), 2u);
  EXPECT_EQ(find_unreachable(g.graph).size(), 0u);
  for (const uint32_t i : cut) {
    const auto found = g.graph.search(g.graph.vector(Slot{i}), 50);
    EXPECT_TRUE(std::any_of(found.begin(), found.end(), [&](const Neighbor& n) { return n.slot == Slot{i}; })) << i;
  }
}

TEST(Audit, ScrubRemovesOnlyLinksThatCannotBe) {
  HeapGraph g(8, 1000);
  g.add(0, 1000);
  EXPECT_EQ(scrub_links(g.graph).zeroed_words, 0u);
  uint32_t upper = 0;
  while (g.graph.level(Slot{upper}) == 0) ++upper;
  uint32_t low = 0;
  while (g.graph.level(Slot{low}) != 0) ++low;
  Graph::store_link(g.graph.links(Slot{3}, 0)[0], 1001);         // beyond the last slot
  Graph::store_link(g.graph.links(Slot{4}, 0)[0], 5);            // to itself
  Graph::store_link(g.graph.links(Slot{upper}, 1)[0], low + 1);  // to a node that is not on layer 1
  Graph::store_link(g.graph.links(Slot{5}, 0)[1], 0xFFFFFFFFu);  // out of any range
  EXPECT_EQ(scrub_links(g.graph).zeroed_words, 4u);
  EXPECT_EQ(scrub_links(g.graph).zeroed_words, 0u);
}

TEST(Audit, SearchSurvivesArbitraryWords) {
  HeapGraph g(8, 500);
  g.add(0, 500);
  std::mt19937 random(11);
  for (uint32_t i = 0; i < 500; ++i) {
    for (int layer = 0; layer <= g.graph.level(Slot{i}); ++layer) {
      for (uint32_t& word : g.graph.links(Slot{i}, layer)) {
        if (random() % 4 == 0)
          Graph::store_link(word, static_cast<uint32_t>(random() % 2 == 0 ? random() : random() % 501));
      }
    }
  }
  for (int q = 0; q < 100; ++q) {
    const auto query = test::random_vector(random, 8);
    for (const Neighbor& n : g.graph.search(query.data(), 20)) EXPECT_LT(n.slot.value, 500u);
  }
  scrub_links(g.graph);
  relink_unreachable(g.graph);
  EXPECT_EQ(find_unreachable(g.graph).size(), 0u);
}

}  // namespace
}  // namespace vs
