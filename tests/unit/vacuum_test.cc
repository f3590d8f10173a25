// The vacuum over graphs in memory: what it leaves, in whatever state it is stopped, and beside whom it runs.
#include "index/vacuum.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <utility>

#include "index/audit.h"
#include "tests/unit/heap_graph.h"

namespace vs {
namespace {

using test::HeapGraph;

void sweep(Vacuum& vacuum) {
  while (vacuum.due()) vacuum.step(64);
}

void sweep(Graph& graph) {
  Vacuum vacuum(graph);
  sweep(vacuum);
}

// Retracts live slots at random until `count` are left.
void thin_out(Graph& graph, uint64_t count, unsigned seed = 5) {
  std::mt19937 random(seed);
  while (graph.live_count() > count) graph.retract(Slot{static_cast<uint32_t>(random() % graph.slot_count())});
}

uint64_t links_to_dead(const Graph& graph) {
  uint64_t count = 0;
  for (Slot slot{0}; slot.value < graph.slot_count(); ++slot.value) {
    if (!graph.live(slot)) continue;
    for (int layer = 0; layer <= graph.level(slot); ++layer) {
      for (const uint32_t& word : graph.links(slot, layer)) {
        const uint32_t link = Graph::load_link(word);
        if (link != 0 && graph.dead(Slot{link - 1})) ++count;
      }
    }
  }
  return count;
}

void expect_valid(const Graph& graph) {
  for (Slot slot{0}; slot.value < graph.slot_count(); ++slot.value) {
    EXPECT_EQ(link_problem(graph, slot), std::nullopt) << slot.value;
  }
}

void expect_all_found(const Graph& graph) {
  EXPECT_EQ(find_unreachable(graph).size(), 0u);
  for (Slot slot{0}; slot.value < graph.slot_count(); ++slot.value) {
    if (!graph.live(slot)) continue;
    const auto found = graph.search(graph.vector(slot), 64);
    ASSERT_FALSE(found.empty());
    const bool itself = std::any_of(found.begin(), found.end(), [&](const Neighbor& n) { return n.slot == slot; });
    // As many that are as near, or nearer under Metric::kDot, leave it no place.
    const bool no_place = found.size() == 64 && found.back().distance <= graph.distance(graph.vector(slot), slot);
    EXPECT_TRUE(itself || no_place) << slot.value;
  }
}

double recall(const Graph& graph) {
  std::mt19937 random(99);
  size_t hits = 0;
  size_t wanted = 0;
  for (int q = 0; q < 100; ++q) {
    const auto query = test::random_vector(random, graph.geometry().dim);
    const auto exact = graph.search_exact(query.data(), 10);
    auto found = graph.search(query.data(), 64);
    found.resize(std::min(found.size(), exact.size()));
    wanted += exact.size();
    for (const Neighbor& n : found) hits += n.distance <= exact.back().distance ? 1 : 0;
  }
  return static_cast<double>(hits) / static_cast<double>(wanted);
}

TEST(Vacuum, TakesTheDeadOutOfAllLists) {
  for (const Metric metric : {Metric::kL2, Metric::kCosine}) {
    for (const uint64_t left : {3600u, 2000u, 400u, 40u, 4u, 1u}) {
      SCOPED_TRACE(left);
      HeapGraph g(16, 4000, metric);
      g.add(0, 4000);
      thin_out(g.graph, left);
      ASSERT_GT(links_to_dead(g.graph), 0u);
      Vacuum vacuum(g.graph);
      sweep(vacuum);
      EXPECT_EQ(links_to_dead(g.graph), 0u);
      EXPECT_GT(vacuum.lists_changed(), 0u);
      EXPECT_EQ(vacuum.sweeps(), 1u);
      expect_valid(g.graph);
      expect_all_found(g.graph);
      EXPECT_GE(recall(g.graph), 0.97);
    }
  }
}

TEST(Vacuum, NothingDeadNothingPending) {
  HeapGraph g(8, 500);
  g.add(0, 400);
  Vacuum vacuum(g.graph);
  EXPECT_FALSE(vacuum.due());
  g.add(400, 500);
  EXPECT_EQ(vacuum.dead_links(), 0u);
  EXPECT_TRUE(vacuum.due());  // the new ones may be hard to find
  sweep(vacuum);
  EXPECT_EQ(vacuum.sweeps(), 1u);
  EXPECT_FALSE(vacuum.due());
  vacuum.step(1000);
  EXPECT_EQ(vacuum.sweeps(), 1u);
  EXPECT_EQ(vacuum.lists_changed(), 0u);
}

TEST(Vacuum, SearchesAreNoLongerSlowedByTheDead) {
  HeapGraph g(16, 4000);
  g.add(0, 4000);
  thin_out(g.graph, 200);
  const auto distances = [&g] {
    SearchTrace trace;
    EXPECT_EQ(g.graph.search(g.graph.vector(Slot{7}), 64, &trace).size(), 64u);
    return trace.distances;
  };
  const uint64_t before = distances();
  sweep(g.graph);
  EXPECT_LT(distances() * 4, before);
}

// Each state that a crash can leave behind is one in which somebody else's sweep begins anew.
TEST(Vacuum, AnInterruptedSweepLeavesAGoodGraphAndAnotherOneEndsIt) {
  std::mt19937 random(17);
  HeapGraph g(16, 3000);
  g.add(0, 3000);
  for (int round = 0; round < 8; ++round) {
    thin_out(g.graph, g.graph.live_count() * 2 / 3, static_cast<unsigned>(round));
    Vacuum interrupted(g.graph);
    for (uint32_t steps = static_cast<uint32_t>(random() % 60); steps > 0; --steps) interrupted.step(100);
    expect_valid(g.graph);
    EXPECT_GE(recall(g.graph), 0.95) << round;
  }
  sweep(g.graph);
  EXPECT_EQ(links_to_dead(g.graph), 0u);
  expect_all_found(g.graph);
}

TEST(Vacuum, ADeathDuringASweepAsksForAnother) {
  HeapGraph g(8, 1000);
  g.add(0, 1000);
  g.graph.retract(Slot{3});
  Vacuum vacuum(g.graph);
  vacuum.step(1);
  vacuum.step(900);
  g.graph.retract(Slot{5});  // lists before the cursor lead there
  sweep(vacuum);
  EXPECT_EQ(vacuum.sweeps(), 2u);
  EXPECT_EQ(links_to_dead(g.graph), 0u);
}

TEST(Vacuum, ADeadEntryPointStaysTheWayIn) {
  HeapGraph g(8, 1000);
  g.add(0, 1000);
  const Slot entry = g.graph.entry().slot;
  g.graph.retract(entry);
  sweep(g.graph);
  EXPECT_EQ(g.graph.entry().slot, entry);
  EXPECT_EQ(links_to_dead(g.graph), 0u);
  expect_all_found(g.graph);
  for (uint32_t i = 0; i < 1000; ++i) g.graph.retract(Slot{i});
  sweep(g.graph);
  EXPECT_TRUE(g.graph.search(g.graph.vector(Slot{1}), 10).empty());
}

// Also before any vacuum: a new point is found by its own vector at once, whatever is dead around it.
TEST(Vacuum, InsertionsAmongTheDead) {
  for (const uint64_t left : {1000u, 20u, 2u, 0u}) {
    for (const bool swept : {false, true}) {
      SCOPED_TRACE(testing::Message() << left << " left, swept: " << swept);
      HeapGraph g(16, 2400);
      g.add(0, 2000);
      thin_out(g.graph, left);
      if (swept) sweep(g.graph);
      size_t missed = 0;
      for (uint32_t i = 2000; i < 2400; ++i) {
        g.add(i, i + 1);
        const auto found = g.graph.search(g.graph.vector(Slot{i}), 64);
        missed += found.empty() || found.front().slot != Slot{i} ? 1 : 0;
      }
      EXPECT_EQ(missed, 0u);
      // Older points whose ways led through the dead may wait for the sweep.
      EXPECT_LE(find_unreachable(g.graph).size(), 2u);
      sweep(g.graph);
      EXPECT_EQ(links_to_dead(g.graph), 0u);
      expect_all_found(g.graph);
      EXPECT_GE(recall(g.graph), 0.97);
    }
  }
}

// Links into `slot` on layer 0 are taken away, but one from the slot that is farthest from it: no search comes that way.
void leave_only_a_far_way_in(Graph& graph, Slot slot) {
  Neighbor farthest{-1, slot};
  for (Slot from{0}; from.value < graph.slot_count(); ++from.value) {
    for (uint32_t& word : graph.links(from, 0)) {
      if (Graph::load_link(word) == slot.value + 1) Graph::store_link(word, 0);
    }
    farthest = std::max(farthest, Neighbor{graph.distance(graph.vector(slot), from), from});
  }
  Graph::store_link(graph.links(farthest.slot, 0)[0], slot.value + 1);
}

TEST(Vacuum, AnEqualVectorDoesNotStandForALostOne) {
  HeapGraph g(8, 2000);
  g.set_vector(700, std::vector<float>(8, 0.5f));
  g.set_vector(900, std::vector<float>(8, 0.5f));
  Vacuum vacuum(g.graph);
  g.add(0, 2000);
  leave_only_a_far_way_in(g.graph, Slot{900});
  EXPECT_EQ(find_unreachable(g.graph).size(), 0u);
  sweep(vacuum);
  EXPECT_GE(vacuum.relinked(), 1u);
  expect_all_found(g.graph);
}

// Under this metric a short vector's nearest are the long ones: it is not lost when it is not among them.
TEST(Vacuum, DotFindsWhatHasAPlaceAmongTheNearest) {
  HeapGraph g(16, 4000, Metric::kDot);
  std::mt19937 random(6);
  for (uint32_t i = 0; i < 4000; ++i) {
    std::vector<float> vector = test::random_vector(random, 16);
    for (float& value : vector) value *= static_cast<float>(1 + i % 8);
    g.set_vector(i, vector);
  }
  Vacuum vacuum(g.graph);
  g.add(0, 4000);
  uint64_t missed = 0;
  uint64_t without_place = 0;
  for (uint32_t i = 0; i < 4000; ++i) {
    const auto is_it = [i](const Neighbor& n) { return n.slot == Slot{i}; };
    const auto found = g.graph.search(g.graph.vector(Slot{i}), 64);
    const auto exact = g.graph.search_exact(g.graph.vector(Slot{i}), 64);
    if (std::none_of(exact.begin(), exact.end(), is_it)) {
      ++without_place;
    } else if (std::none_of(found.begin(), found.end(), is_it)) {
      ++missed;
    }
  }
  EXPECT_GT(without_place, 1000u);
  sweep(vacuum);
  EXPECT_LE(vacuum.relinked(), 3 * missed) << missed << " missed, without a place " << without_place;
  EXPECT_EQ(find_unreachable(g.graph).size(), 0u);
  EXPECT_GE(recall(g.graph), 0.97);
}

// Where many pairs are equally far, distances tell nothing about whether vectors are equal.
TEST(Vacuum, BinaryVectors) {
  std::mt19937 random(3);
  std::vector<std::vector<float>> vectors(4000, std::vector<float>(32));
  for (auto& vector : vectors) {
    for (float& value : vector) value = static_cast<float>(random() % 2);
  }
  HeapGraph g(32, 4000);
  for (uint32_t i = 0; i < 4000; ++i) g.set_vector(i, vectors[i]);
  g.add(0, 4000);
  thin_out(g.graph, 1000);
  sweep(g.graph);
  HeapGraph fresh(32, 4000);
  uint32_t count = 0;
  for (uint32_t i = 0; i < 4000; ++i) {
    if (g.graph.live(Slot{i})) fresh.set_vector(count++, vectors[i]);
  }
  fresh.add(0, count);
  EXPECT_GE(recall(g.graph), recall(fresh.graph) - 0.005);
  expect_all_found(g.graph);
}

// Insertions that choose their neighbours before a sweep and are published after it, while all else dies.
TEST(Vacuum, InsertionsThatOverlapAWholeSweep) {
  HeapGraph g(8, 1040);
  g.add(0, 1000);
  g.graph.extend(1040);
  for (uint32_t i = 1000; i < 1040; ++i) g.graph.insert(Slot{i});
  for (uint32_t i = 0; i < 1000; ++i) g.graph.retract(Slot{i});
  Vacuum vacuum(g.graph);
  g.graph.retract(Slot{0});
  for (int i = 0; i < 1000 && vacuum.sweeps() == 0; ++i) vacuum.step(64);
  const auto found = [&g] { return g.graph.search(g.graph.vector(Slot{1020}), 64).size(); };
  for (uint32_t i = 1000; i < 1040; ++i) g.graph.publish(Slot{i});
  EXPECT_EQ(found(), 40u);  // also before the next sweep
  EXPECT_TRUE(vacuum.due());
  sweep(vacuum);
  EXPECT_EQ(found(), 40u);
  EXPECT_EQ(links_to_dead(g.graph), 0u);
  expect_all_found(g.graph);
}

TEST(Vacuum, TheEntryPointIsLinkedAnew) {
  HeapGraph g(8, 1000);
  g.add(0, 1000);
  const Slot entry = g.graph.entry().slot;
  const std::span<uint32_t> words = g.graph.links(entry, 0);
  for (uint32_t& word : words.subspan(1)) Graph::store_link(word, 0);
  g.graph.insert(entry);
  const auto links =
      std::count_if(words.begin(), words.end(), [](uint32_t& word) { return Graph::load_link(word) != 0; });
  EXPECT_GE(links, 4);
  expect_valid(g.graph);
}

TEST(Vacuum, DeletionsInsideAChainOfEqualVectorsDoNotCutIt) {
  HeapGraph g(8, 3000);
  const std::vector<float> same(8, 0.5f);
  for (uint32_t i = 1000; i < 2000; ++i) g.set_vector(i, same);
  g.add(0, 3000);
  std::mt19937 random(4);
  // The head, a long piece, and every other one of the rest at random.
  for (uint32_t i = 1000; i < 2000; ++i) {
    if (i < 1010 || (i > 1200 && i < 1700) || random() % 2 == 0) g.graph.retract(Slot{i});
  }
  uint32_t equal = 0;
  for (uint32_t i = 1000; i < 2000; ++i) equal += g.graph.live(Slot{i}) ? 1 : 0;
  const auto found_equal = [&] {
    const auto found = g.graph.search(same.data(), equal);
    return std::count_if(found.begin(), found.end(), [](const Neighbor& n) { return n.distance == 0; });
  };
  EXPECT_EQ(found_equal(), equal);
  sweep(g.graph);
  EXPECT_EQ(links_to_dead(g.graph), 0u);
  EXPECT_EQ(found_equal(), equal);
  EXPECT_EQ(find_unreachable(g.graph).size(), 0u);
  EXPECT_GE(recall(g.graph), 0.95);
}

// A point that is written again and again with the same vector.
TEST(Vacuum, ManyReplacementsByTheSameVector) {
  HeapGraph g(8, 3000);
  g.add(0, 500);
  const std::vector<float> same(8, 0.5f);
  Vacuum vacuum(g.graph);
  for (uint32_t i = 500; i < 3000; ++i) {
    g.set_vector(i, same);
    g.add(i, i + 1);
    if (i > 500) g.graph.retract(Slot{i - 1});
    if (i % 100 == 0) {
      const auto found = g.graph.search(same.data(), 64);
      ASSERT_FALSE(found.empty());
      EXPECT_EQ(found.front().slot, Slot{i});
    }
    if (i == 1700) sweep(vacuum);
  }
  sweep(vacuum);
  EXPECT_EQ(links_to_dead(g.graph), 0u);
  expect_all_found(g.graph);
}

// 1,000 equal vectors against as many others: counted distances of insertions and searches, of them and of all others.
TEST(Vacuum, EqualVectorsCostNoMoreThanOthers) {
  const auto graph_with = [](bool equal, SearchTrace& building) {
    auto g = std::make_unique<HeapGraph>(16, 4000);
    const std::vector<float> same(16, 0.5f);
    for (uint32_t i = 1500; equal && i < 2500; ++i) g->set_vector(i, same);
    g->graph.extend(4000);
    for (uint32_t i = 0; i < 4000; ++i) {
      g->graph.insert(Slot{i}, &building);
      g->graph.publish(Slot{i});
    }
    return g;
  };
  const auto cost = [](const HeapGraph& g, uint32_t first, uint32_t last) {
    SearchTrace trace;
    uint64_t distances = 0;
    for (uint32_t i = first; i < last; ++i) {
      EXPECT_FALSE(g.graph.search(g.graph.vector(Slot{i}), 64, &trace).empty());
      distances += std::exchange(trace.distances, 0);
    }
    return distances;
  };
  SearchTrace building_with;
  SearchTrace building_without;
  const auto with = graph_with(true, building_with);
  const auto without = graph_with(false, building_without);
  EXPECT_LE(building_with.distances, 2 * building_without.distances);
  EXPECT_LE(cost(*with, 0, 1500), 2 * cost(*without, 0, 1500));
  EXPECT_LE(cost(*with, 1500, 2500), 2 * cost(*without, 1500, 2500));
  relink_unreachable(with->graph);
  EXPECT_EQ(find_unreachable(with->graph).size(), 0u);
  // Not what queries near the equal ones find: these fill the ef places, and recall at ef=64 is 0.83 here.
}

TEST(Vacuum, ConcurrentWithEverything) {
  HeapGraph g(8, 6000);
  g.add(0, 2000);
  g.graph.extend(6000);
  std::atomic<bool> done{false};
  std::atomic<uint64_t> searches{0};
  std::thread vacuuming([&] {
    Vacuum vacuum(g.graph);
    while (!done) vacuum.step(50);
    sweep(vacuum);
  });
  std::thread reader([&] {
    std::mt19937 random(1);
    while (!done) {
      const auto query = test::random_vector(random, 8);
      // The first 100 are never deleted.
      EXPECT_EQ(g.graph.search(query.data(), 20).size(), 20u);
      ++searches;
    }
  });
  std::thread deleter([&] {
    for (uint32_t i = 100; i < 2000; ++i) g.graph.retract(Slot{i});
  });
  test::parallel(2000, 6000, 2, [&](uint32_t i) {
    g.graph.insert(Slot{i});
    g.graph.publish(Slot{i});
    if (i % 3 != 0) g.graph.retract(Slot{i});
  });
  deleter.join();
  done = true;
  vacuuming.join();
  reader.join();
  EXPECT_GT(searches.load(), 0u);
  EXPECT_EQ(links_to_dead(g.graph), 0u);
  expect_valid(g.graph);
  // All are searched for when a sixteenth changed; what changed since the last time may leave one or two that are missed.
  EXPECT_EQ(find_unreachable(g.graph).size(), 0u);
  int missed = 0;
  for (uint32_t i = 0; i < 6000; ++i) {
    if (g.graph.live(Slot{i}) && g.graph.search(g.graph.vector(Slot{i}), 64).front().slot != Slot{i}) ++missed;
  }
  EXPECT_LE(missed, 2);
}

}  // namespace
}  // namespace vs
