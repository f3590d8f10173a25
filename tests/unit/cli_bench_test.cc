// The parts of bench, eval and tune that can be computed: the histogram, the schedule, charts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "cli/bench.h"
#include "cli/chart.h"
#include "cli/histogram.h"
#include "cli/tune.h"

namespace vs::cli {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

TEST(CliHistogramTest, PercentilesAreThoseOfTheSortedValuesWithinAHundredTwentyEighth) {
  std::mt19937_64 random{7};
  std::lognormal_distribution<double> durations(13, 2.5);  // from microseconds to seconds
  for (const size_t count : {1, 2, 10, 999, 20'000}) {
    Histogram histogram;
    std::vector<int64_t> values;
    for (size_t i = 0; i < count; ++i) {
      values.push_back(static_cast<int64_t>(durations(random)));
      histogram.record(nanoseconds(values.back()));
    }
    std::sort(values.begin(), values.end());
    EXPECT_EQ(histogram.count(), count);
    EXPECT_EQ(histogram.max().count(), values.back());
    for (const double percent : {0.01, 1.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
      const auto rank = static_cast<size_t>(std::ceil(percent / 100 * static_cast<double>(count)));
      const int64_t exact = values[std::max<size_t>(rank, 1) - 1];
      const int64_t got = histogram.percentile(percent).count();
      EXPECT_GE(got, exact) << percent << "% of " << count;
      EXPECT_LE(got, exact + exact / 128) << percent << "% of " << count;
    }
  }
}

TEST(CliHistogramTest, TheEndsOfItsRange) {
  Histogram histogram;
  EXPECT_EQ(histogram.percentile(99).count(), 0) << "nothing was recorded";
  histogram.record(nanoseconds(-5));
  EXPECT_EQ(histogram.percentile(100).count(), 0);
  histogram.record(nanoseconds::max());
  EXPECT_EQ(histogram.percentile(100), nanoseconds::max());
  EXPECT_EQ(histogram.percentile(50).count(), 0);
  for (int64_t value : {0, 1, 127, 128, 255}) {
    Histogram small;
    small.record(nanoseconds(value));
    small.record(seconds(1));
    EXPECT_EQ(small.percentile(50).count(), value) << "exact below 256 ns";
  }
}

TEST(CliHistogramTest, MergedIsAsIfRecordedInOne) {
  Histogram one;
  Histogram other;
  Histogram both;
  for (int i = 1; i <= 1000; ++i) {
    (i % 3 == 0 ? one : other).record(nanoseconds(i * i * 1000));
    both.record(nanoseconds(i * i * 1000));
  }
  one.merge(other);
  EXPECT_EQ(one.count(), both.count());
  EXPECT_EQ(one.max(), both.max());
  for (const double percent : {1.0, 50.0, 99.0}) EXPECT_EQ(one.percentile(percent), both.percentile(percent));
}

TEST(CliScheduleTest, WritesAreEvenlyAmongTheOthers) {
  for (const double share : {0.0, 0.1, 0.25, 1.0 / 3, 0.5, 0.9, 1.0}) {
    uint64_t writes = 0;
    for (uint64_t i = 0; i < 1000; ++i) {
      writes += is_write(i, share) ? 1 : 0;
      EXPECT_NEAR(static_cast<double>(writes), share * static_cast<double>(i + 1), 1.0) << share << " at " << i;
    }
    EXPECT_NEAR(static_cast<double>(writes), share * 1000, 1.0);
  }
}

TEST(CliScheduleTest, ArrivalsDoNotDrift) {
  EXPECT_EQ(arrival(0, 3), nanoseconds(0));
  EXPECT_EQ(arrival(3'000'000, 3), seconds(1'000'000));
  EXPECT_EQ(arrival(1, 1e6), nanoseconds(1000));
  EXPECT_EQ(arrival(1, 0.5), seconds(2));
}

TEST(CliScheduleTest, EachWrittenPointHasItsOwnId) {
  EXPECT_NE(written_id("bench-x-", 1, 11), written_id("bench-x-", 11, 1));
  EXPECT_EQ(written_id("bench-x-", 1, 11), "bench-x-1-11");
}

TEST(CliTuneTest, TheLowerBoundIsBelowTheTruthInNineteenOfTwentySamples) {
  // Recall@10 of queries of which a tenth are hard.
  std::mt19937_64 random{11};
  std::binomial_distribution<int> easy(10, 0.995);
  std::binomial_distribution<int> hard(10, 0.93);
  constexpr double kTruth = 0.9 * 0.995 + 0.1 * 0.93;
  constexpr int kSamples = 2000;
  int below = 0;
  for (int sample = 0; sample < kSamples; ++sample) {
    std::vector<double> recalls;
    for (int i = 0; i < 400; ++i) recalls.push_back((random() % 10 == 0 ? hard(random) : easy(random)) / 10.0);
    const RecallEstimate estimate = estimate_recall(recalls);
    EXPECT_LT(estimate.low, estimate.mean);
    below += estimate.low <= kTruth ? 1 : 0;
  }
  EXPECT_NEAR(below / double{kSamples}, 0.95, 0.02);
}

TEST(CliTuneTest, ASampleWithoutAMissIsNoProof) {
  const RecallEstimate estimate = estimate_recall(std::vector<double>(100, 1.0));
  EXPECT_EQ(estimate.mean, 1);
  EXPECT_DOUBLE_EQ(estimate.low, 0.97);
  EXPECT_EQ(queries_needed(estimate, 0.99), 300u);
  EXPECT_EQ(queries_needed(estimate, 0.999), 3000u);
  EXPECT_EQ(estimate_recall({0.5}).low, 0);
}

TEST(CliTuneTest, HowManyQueriesAreNeeded) {
  std::vector<double> recalls;
  for (int i = 0; i < 100; ++i) recalls.push_back(i % 10 == 0 ? 0.9 : 1);
  const RecallEstimate estimate = estimate_recall(recalls);
  EXPECT_NEAR(estimate.mean, 0.99, 1e-12);
  EXPECT_NEAR(estimate.deviation, 0.0302, 1e-4);
  EXPECT_NEAR(static_cast<double>(queries_needed(estimate, 0.988).value_or(0)), 615, 3);
  EXPECT_EQ(queries_needed(estimate, 0.995), std::nullopt);
  // As many queries of the same kind are enough, and fewer by a tenth are not.
  const auto repeated = [](int count) {
    std::vector<double> more;
    for (int i = 0; i < count; ++i) more.push_back(i % 10 == 0 ? 0.9 : 1);
    return estimate_recall(more).low;
  };
  EXPECT_GE(repeated(630), 0.988);
  EXPECT_LT(repeated(550), 0.988);
}

// A measurement of which `ef` has the recall ef / 1000.
Result<TuneStep> measured(uint64_t ef) {
  TuneStep step;
  step.ef = ef;
  step.recall.low = static_cast<double>(ef) / 1000;
  return step;
}

TEST(CliTuneTest, FindsTheSmallestEf) {
  for (const uint64_t wanted : {10u, 11u, 12u, 19u, 20u, 21u, 500u, 999u}) {
    const auto tuning = find_ef(10, 1000, static_cast<double>(wanted) / 1000, measured);
    ASSERT_TRUE(tuning.ok() && tuning->reached) << wanted;
    EXPECT_EQ(tuning->reached->ef, wanted);
    EXPECT_LE(tuning->steps.size(), 18u);
    for (size_t i = 1; i < tuning->steps.size(); ++i) EXPECT_LT(tuning->steps[i - 1].ef, tuning->steps[i].ef);
  }
  const auto never = find_ef(10, 300, 0.5, measured);
  ASSERT_TRUE(never.ok());
  EXPECT_FALSE(never->reached);
  EXPECT_EQ(never->best().ef, 300u);
  EXPECT_EQ(find_ef(10, 10, 0.5, measured)->steps.size(), 1u);
  const auto fails = find_ef(1, 100, 0.5, [](uint64_t) -> Result<TuneStep> { return Status{Code::kBusy, "x"}; });
  EXPECT_EQ(fails.status().code(), Code::kBusy);
}

TEST(CliChartTest, TicksEncloseTheValues) {
  EXPECT_EQ(linear_ticks(0, 1), (std::vector<double>{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1}));
  EXPECT_EQ(tick_texts(linear_ticks(0, 1)), (std::vector<std::string>{"0.0", "0.2", "0.4", "0.6", "0.8", "1.0"}));
  EXPECT_EQ(tick_texts(linear_ticks(0.991, 1)),
            (std::vector<std::string>{"0.990", "0.992", "0.994", "0.996", "0.998", "1.000"}));
  EXPECT_EQ(log_ticks(300, 4000), (std::vector<double>{200, 500, 1000, 2000, 5000}));
  EXPECT_EQ(log_ticks(200, 5000), (std::vector<double>{200, 500, 1000, 2000, 5000}));
  EXPECT_EQ(tick_texts(log_ticks(0.3, 4)), (std::vector<std::string>{"0.2", "0.5", "1", "2", "5"}));
  for (const double value : {1.0, 0.5, 0.0, 1e-7, 123456.0}) {
    const auto linear = linear_ticks(value, value);
    EXPECT_LE(linear.front(), value);
    EXPECT_GE(linear.back(), value - 1e-12);
    EXPECT_GE(linear.size(), 2u);
    EXPECT_LE(linear.size(), 12u);
    if (value == 0) continue;
    const auto log = log_ticks(value, value);
    EXPECT_LE(log.front(), value);
    EXPECT_GE(log.back(), value);
    EXPECT_GE(log.size(), 2u);
  }
  EXPECT_LE(linear_ticks(1, 1).back(), 1 + 1e-9) << "there is no recall above 1";
}

TEST(CliChartTest, EachPointIsThereInBothForms) {
  Chart chart{"a<b & c", "sub", "recall@10", "QPS", {{0.9, 5000, "ef 16"}, {0.99, 900, "ef 128"}}};
  const std::string svg = chart_svg(chart);
  EXPECT_NE(svg.find("a&lt;b &amp; c"), std::string::npos);
  for (const char* text : {"recall@10", "QPS", "ef 16", "ef 128", ">5000<", ">0.90<", "</svg>"})
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  const Picture two = chart_picture(chart);
  chart.points.pop_back();
  const Picture one = chart_picture(chart);
  const auto blue = [](const Picture& picture) {
    int count = 0;
    for (int y = 0; y < picture.height(); ++y)
      for (int x = 0; x < picture.width(); ++x) count += picture.at(x, y) == Rgb{28, 98, 196};
    return count;
  };
  EXPECT_GT(blue(one), 60);
  EXPECT_GT(blue(two), blue(one) + 500);
}

TEST(CliChartTest, TheEndingSaysWhichForm) {
  EXPECT_TRUE(check_chart_path("a.png").ok());
  EXPECT_TRUE(check_chart_path("a.svg").ok());
  EXPECT_EQ(check_chart_path("a.pdf").code(), Code::kBadArgument);
  EXPECT_EQ(check_chart_path("png").code(), Code::kBadArgument);
}

TEST(CliPictureLineTest, CoversWhatLiesWithinHalfItsThickness) {
  Picture picture(20, 20, {255, 255, 255});
  picture.line(5, 10, 15, 10, 4, {0, 0, 0});
  EXPECT_EQ(picture.at(10, 9), Rgb{});
  EXPECT_EQ(picture.at(10, 10), Rgb{});
  EXPECT_EQ(picture.at(10, 13), (Rgb{255, 255, 255}));
  EXPECT_EQ(picture.at(1, 10), (Rgb{255, 255, 255}));
  picture.line(-100, -100, 300, 250, 3, {1, 1, 1});  // cut off
  picture.line(10, 10, 10, 10, 6, {9, 9, 9});
  EXPECT_EQ(picture.at(10, 10), (Rgb{9, 9, 9}));
}

}  // namespace
}  // namespace vs::cli
