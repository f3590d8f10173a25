#include "index/codes.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <thread>

#include "tests/unit/heap_graph.h"

namespace vs {
namespace {

using test::HeapGraph;

CodeRange learn(Metric metric, const std::vector<std::vector<float>>& vectors) {
  RangeLearner learner(metric);
  for (const auto& vector : vectors) learner.add(vector);
  return learner.range();
}

std::vector<float> pixels(std::mt19937& random, size_t dim) {
  std::vector<float> vector(dim);
  for (float& x : vector) x = static_cast<float>(random() % 256) / 255.0f;
  return vector;
}

Quantizer::Fit fit(const Quantizer& quantizer, const std::vector<float>& vector) {
  std::vector<uint8_t> code(Codes::stride(static_cast<uint32_t>(vector.size())));
  return quantizer.encode(vector, code);
}

TEST(Quantizer, PixelsLieOnAGrid) {
  std::mt19937 random(1);
  std::vector<std::vector<float>> vectors;
  for (int i = 0; i < 100; ++i) vectors.push_back(pixels(random, 50));
  for (const Metric metric : {Metric::kL2, Metric::kDot}) {
    const Quantizer quantizer(metric, learn(metric, vectors));
    for (const auto& vector : vectors) EXPECT_EQ(fit(quantizer, vector), Quantizer::Fit::kExact);
    // However they were divided.
    std::vector<float> multiplied(256);
    for (size_t i = 0; i < multiplied.size(); ++i) multiplied[i] = static_cast<float>(i) * (1.0f / 255.0f);
    EXPECT_EQ(fit(quantizer, multiplied), Quantizer::Fit::kExact);
  }
}

// A part of a grid shows its step; what comes later on the same grid is exact, too.
TEST(Quantizer, FewIntegersAreAGridWithRoom) {
  const Quantizer quantizer(Metric::kL2, learn(Metric::kL2, {{3, 5, 4}, {3, 9, 17}}));
  EXPECT_EQ(quantizer.range(), (CodeRange{3, 1}));
  EXPECT_EQ(fit(quantizer, {200, 258, 3}), Quantizer::Fit::kExact);
  EXPECT_EQ(fit(quantizer, {200.5f, 3, 3}), Quantizer::Fit::kRounded);
  EXPECT_EQ(fit(quantizer, {259, 3, 3}), Quantizer::Fit::kClipped);
  EXPECT_EQ(fit(quantizer, {2, 3, 3}), Quantizer::Fit::kClipped);
}

TEST(Quantizer, OtherNumbersAreRoundedToHalfAStep) {
  std::mt19937 random(2);
  for (const float scale : {1e-30f, 1.0f, 1e30f}) {
    std::vector<std::vector<float>> vectors;
    for (int i = 0; i < 50; ++i) {
      vectors.push_back(test::random_vector(random, 40));
      for (float& x : vectors.back()) x *= scale;
    }
    const Quantizer quantizer(Metric::kL2, learn(Metric::kL2, vectors));
    const CodeRange range = quantizer.range();
    for (const auto& vector : vectors) {
      std::vector<uint8_t> code(64);
      EXPECT_EQ(quantizer.encode(vector, code), Quantizer::Fit::kRounded);
      for (size_t i = 0; i < vector.size(); ++i) {
        EXPECT_NEAR(range.low + range.step * code[i], vector[i], 0.51f * range.step);
      }
    }
    EXPECT_EQ(fit(quantizer, {100 * scale}), Quantizer::Fit::kClipped);
  }
}

TEST(Quantizer, OneValueOrNone) {
  for (const Metric metric : {Metric::kL2, Metric::kCosine, Metric::kDot}) {
    EXPECT_GT(learn(metric, {}).step, 0);
    for (const float x : {0.0f, -7.5f, 1e38f, 1e-44f}) {
      const CodeRange range = learn(metric, {{x, x}});
      EXPECT_GT(range.step, 0) << x;
      EXPECT_TRUE(std::isfinite(range.low)) << x;
      EXPECT_NE(fit(Quantizer(metric, range), {x, x}), Quantizer::Fit::kClipped) << x;
    }
  }
  EXPECT_GE(learn(Metric::kL2, {{1e-44f, 3e-44f, 8e-44f}}).step, CodeRange::kStepMin);
  EXPECT_GE(learn(Metric::kDot, {{1e-44f, 3e-44f, 8e-44f}}).step, CodeRange::kStepMin);
  const float largest = std::numeric_limits<float>::max();
  EXPECT_TRUE(std::isfinite(learn(Metric::kL2, {{largest, -largest, 1}}).step));
}

TEST(Quantizer, ZeroHasACodeUnderDot) {
  for (const auto& vector : {std::vector<float>{5, 9.25f, 7.1f}, {-3.3f, 8, 0.1f}, {-5, -9, -7}}) {
    const Quantizer quantizer(Metric::kDot, learn(Metric::kDot, {vector}));
    std::vector<uint8_t> code(64);
    const std::vector<float> zeros(3);
    EXPECT_EQ(quantizer.encode(zeros, code), Quantizer::Fit::kExact);
    for (size_t i = 0; i < zeros.size(); ++i) EXPECT_EQ(code[i], quantizer.zero());
    EXPECT_NE(quantizer.encode(vector, code), Quantizer::Fit::kClipped);
  }
}

// With the terms of both, a product of codes is the exact sum that a distance is made of.
TEST(Quantizer, TermsAndProductsGiveSumsExactly) {
  std::mt19937 random(6);
  for (const size_t dim : {1u, 48u, 49u, 112u, 113u, 784u, 65'536u}) {
    for (const Metric metric : {Metric::kL2, Metric::kDot}) {
      for (const float low : {0.0f, -100.0f, -255.0f}) {
        const Quantizer quantizer(metric, {low, 1});
        const size_t bytes = Codes::stride(static_cast<uint32_t>(dim));
        std::vector<uint8_t> a(bytes);
        std::vector<uint8_t> b(bytes);
        for (const bool extreme : {false, true}) {
          std::vector<float> x(dim);
          std::vector<float> y(dim);
          int64_t expected = 0;
          for (size_t i = 0; i < dim; ++i) {
            x[i] = low + (extreme ? 255.0f : static_cast<float>(random() % 256));
            y[i] = low + (extreme ? (low == 0 ? 255.0f : 0.0f) : static_cast<float>(random() % 256));
            const auto difference = static_cast<int64_t>(x[i] - y[i]);
            expected += metric == Metric::kL2 ? difference * difference : -static_cast<int64_t>(x[i] * y[i]);
          }
          ASSERT_EQ(quantizer.encode(x, a), Quantizer::Fit::kExact);
          ASSERT_EQ(quantizer.encode(y, b), Quantizer::Fit::kExact);
          for (const Kernels& kernel : available_kernels()) {
            const auto sum = [&](const std::vector<uint8_t>& row, const std::vector<uint8_t>& query) {
              int32_t product = 0;
              const Slot first{0};
              kernel.code_products({row.data(), bytes, bytes}, query.data(), {&first, 1}, &product);
              return static_cast<int64_t>(CodeTerms::of(row.data(), bytes).as_row +
                                          CodeTerms::of(query.data(), bytes).as_query) -
                     quantizer.weight() * product;
            };
            EXPECT_EQ(sum(a, b), expected) << kernel.name << " " << dim;
            EXPECT_EQ(sum(b, a), expected) << kernel.name << " " << dim;
          }
        }
      }
    }
  }
}

double recall(const Graph& graph, const std::vector<std::vector<float>>& queries, uint32_t ef) {
  uint64_t hits = 0;
  for (const auto& query : queries) {
    const auto exact = graph.search_exact(query.data(), 10);
    std::set<uint32_t> wanted;
    for (const Neighbor& n : exact) wanted.insert(n.slot.value);
    const auto found = graph.search(query.data(), ef, nullptr, 10);
    for (size_t i = 0; i < 10; ++i) hits += wanted.count(found[i].slot.value);
  }
  return static_cast<double>(hits) / static_cast<double>(10 * queries.size());
}

TEST(Codes, RecallIsThatOfFloats) {
  for (const Metric metric : {Metric::kL2, Metric::kCosine, Metric::kDot}) {
    HeapGraph floats(32, 4000, metric);
    HeapGraph codes(32, 4000, metric, 8, 7, true);
    floats.add(0, 4000);
    codes.add(0, 4000);
    ASSERT_TRUE(codes.graph.codes().state());
    EXPECT_FALSE(codes.graph.codes().state()->exact);
    std::mt19937 random(3);
    std::vector<std::vector<float>> queries;
    for (int i = 0; i < 300; ++i) {
      queries.push_back(test::random_vector(random, 32));
      if (metric == Metric::kCosine) normalize(queries.back());
    }
    EXPECT_GE(recall(codes.graph, queries, 64), recall(floats.graph, queries, 64) - 0.01) << metric_name(metric);
    for (const auto& query : queries) {
      for (const Neighbor& n : codes.graph.search(query.data(), 20)) {
        EXPECT_EQ(n.distance, codes.graph.distance(query.data(), n.slot));
      }
    }
  }
}

TEST(Codes, TheTraceSaysWhatDistancesAreFrom) {
  HeapGraph g(32, 2000, Metric::kL2, 8, 7, true);
  g.add(0, 2000);
  SearchTrace trace;
  const std::vector<float> query(32);
  g.graph.search(query.data(), 50, &trace, 10);
  EXPECT_EQ(trace.from_short_codes, 0u);
  EXPECT_EQ(trace.distances - trace.from_codes, 20u) << "floats: of twice as many as are wanted";
  SearchTrace exact;
  g.graph.search_exact(query.data(), 10, &exact);
  EXPECT_EQ(exact.distances, 2000u);
  EXPECT_EQ(exact.from_codes, 0u) << "these codes are not exact";
}

TEST(Codes, ExactOnesGiveTheDistancesOfFloats) {
  const uint32_t dim = 70;
  const uint32_t points = 3000;
  for (const Metric metric : {Metric::kL2, Metric::kDot}) {
    HeapGraph g(dim, points, metric, 8, 7, true);
    std::mt19937 random(4);
    for (uint32_t i = 0; i < points; ++i) g.set_vector(i, pixels(random, dim));
    g.add(0, points);
    EXPECT_TRUE(g.graph.codes().exact());
    for (int i = 0; i < 100; ++i) {
      const auto query = pixels(random, dim);
      const auto found = g.graph.search(query.data(), 64);
      ASSERT_EQ(found.size(), 64u);
      EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
      for (const Neighbor& n : found) {
        const float expected = g.graph.distance(query.data(), n.slot);
        EXPECT_NEAR(n.distance, expected, 1e-5f * std::fabs(expected));
      }
      const auto all = g.graph.search_exact(query.data(), points);
      const auto same = [&](const Neighbor& n) { return n.slot == found.front().slot; };
      EXPECT_EQ(std::find_if(all.begin(), all.end(), same)->distance, found.front().distance);
    }
    // A query off the grid is compared by floats.
    auto query = pixels(random, dim);
    query[0] = 0.1234f;
    for (const Neighbor& n : g.graph.search(query.data(), 20)) {
      EXPECT_EQ(n.distance, g.graph.distance(query.data(), n.slot));
    }
  }
}

TEST(Codes, BeginWithEnoughVectors) {
  HeapGraph g(16, 2000, Metric::kL2, 8, 7, true);
  g.add(0, Codes::kLearnSlots - 1);
  EXPECT_FALSE(g.graph.codes().state());
  g.add(Codes::kLearnSlots - 1, Codes::kLearnSlots);
  EXPECT_TRUE(g.graph.codes().state());
  EXPECT_FALSE(g.graph.codes().due());
  g.add(Codes::kLearnSlots, 2000);
  for (uint32_t i = 0; i < 2000; ++i) EXPECT_TRUE(g.graph.codes().good(Slot{i}));
}

// An import is ahead of its links: nothing lives yet when what came leaves the range.
TEST(Codes, LearnAlsoFromWhatWaitsToBeLinked) {
  const uint32_t dim = 16;
  const uint32_t points = 1200;
  HeapGraph g(dim, points, Metric::kL2, 8, 7, true);
  float largest = 0;
  for (uint32_t i = 0; i < points; ++i) {
    std::vector<float> vector(dim, static_cast<float>(i) / points);
    if (i >= Codes::kLearnSlots) vector[0] = 5;
    largest = std::max(largest, vector[0]);
    g.set_vector(i, vector);
  }
  g.graph.extend(Codes::kLearnSlots);
  g.graph.extend(points);
  ASSERT_TRUE(g.graph.codes().due());
  const auto range = [&] { return g.graph.codes().state()->range; };
  g.graph.encode_all();
  EXPECT_FALSE(g.graph.codes().due());
  EXPECT_NEAR(range().low + 255 * range().step, largest, 1e-5);
  // Nobody is left alive.
  for (uint32_t i = 0; i < points; ++i) {
    g.graph.insert(Slot{i});
    g.graph.publish(Slot{i});
    g.graph.retract(Slot{i});
  }
  g.graph.encode_all();
  EXPECT_NEAR(range().low + 255 * range().step, largest, 1e-5);
}

// The data drifts: new vectors are ten times as long. Searches go on while all is encoded again.
TEST(Codes, ARangeThatIsLeftIsLearnedAnewBesideConcurrentSearches) {
  const uint32_t dim = 24;
  HeapGraph g(dim, 6000, Metric::kL2, 8, 7, true);
  std::mt19937 random(5);
  for (uint32_t i = 2000; i < 6000; ++i) {
    auto vector = test::random_vector(random, dim);
    for (float& x : vector) x *= 10;
    g.set_vector(i, vector);
  }
  g.add(0, 2000);
  const auto before = g.graph.codes().state();
  g.add(2000, 2010);
  EXPECT_FALSE(g.graph.codes().due()) << "a few are clipped";
  g.add(2010, 3000);
  EXPECT_TRUE(g.graph.codes().due());

  std::atomic<bool> done{false};
  std::atomic<uint32_t> missed{0};
  std::atomic<uint32_t> searches{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&, t] {
      std::mt19937 own(static_cast<unsigned>(t));
      while (!done) {
        const Slot slot{static_cast<uint32_t>(own() % 3000)};
        missed += g.graph.search(g.graph.vector(slot), 100).front().slot == slot ? 0 : 1;
        ++searches;
      }
    });
  }
  std::thread writer([&] { g.add(3000, 6000); });
  for (int i = 0; i < 20; ++i) g.graph.codes().encode_all([](Slot) { return true; });
  writer.join();
  // What is dead does not count, wherever it lies.
  g.graph.codes().encode_all([](Slot slot) { return slot.value < 2000; });
  EXPECT_FALSE(g.graph.codes().due());
  g.graph.codes().encode_all([](Slot) { return true; });
  done = true;
  for (std::thread& reader : readers) reader.join();
  uint32_t missed_after = 0;
  for (uint32_t i = 0; i < 3000; ++i)
    missed_after += g.graph.search(g.graph.vector(Slot{i}), 100).front().slot == Slot{i} ? 0 : 1;
  EXPECT_LE(missed, searches / 100);
  EXPECT_LE(missed_after, 30u);
  EXPECT_NE(g.graph.codes().state(), before);
  EXPECT_FALSE(g.graph.codes().due());
  for (uint32_t i = 0; i < 6000; ++i) EXPECT_TRUE(g.graph.codes().good(Slot{i}));
}

}  // namespace
}  // namespace vs
