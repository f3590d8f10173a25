// Lists of numbers on the command line, what a search did in words, and why a point was not found.
#include <gtest/gtest.h>

#include "cli/arguments.h"
#include "cli/context.h"
#include "cli/explain.h"
#include "cli/why_not.h"

namespace vs::cli {
namespace {

TEST(CliNumberListTest, NumbersAndRanges) {
  EXPECT_EQ(*number_list("0", 1), (std::vector<uint64_t>{0}));
  EXPECT_EQ(*number_list("5,0,7-9,3-3", 6), (std::vector<uint64_t>{5, 0, 7, 8, 9, 3}));
  EXPECT_EQ(*number_list("18446744073709551615", 1), (std::vector<uint64_t>{UINT64_MAX}));
  EXPECT_EQ(number_list("18446744073709551614-18446744073709551615", 2)->size(), 2u);
  for (const char* text :
       {"", ",", "1,", ",1", "-", "1-", "-1", "3-2", "1-2-3", "01", "0x1", "1 ", "a", "1,,2", "18446744073709551616"}) {
    EXPECT_EQ(number_list(text, 10).status().code(), Code::kBadArgument) << text;
  }
  EXPECT_NE(number_list("1,x", 10).status().message().find("got 'x'"), std::string::npos);
  for (const char* text : {"0-10", "0,1,2-10", "0-18446744073709551615", "1,2,3,4,5,6,7,8,9,10,11"})
    EXPECT_NE(number_list(text, 10).status().message().find("at most 10"), std::string::npos) << text;
}

TEST(CliExplainTest, SaysWhatTheSearchDid) {
  EXPECT_EQ(explain_table(parse_json(R"({"ef":64,"exact":false,"fell_back":false,"distances":1235,)"
                                     R"("distances_from":{"short_codes":1100,"codes":115,"floats":20},)"
                                     R"("hops":[70,1],"entry_point":"a b","time_us":312})"))
                .text(),
            "search       graph, ef 64\n"
            "entry point  a b\n"
            "layer 1      1 hop\n"
            "layer 0      70 hops\n"
            "distances    1235: 1100 from short codes, 115 from codes, 20 from floats\n"
            "time         312 µs\n");
  EXPECT_EQ(explain_table(parse_json(R"({"ef":10,"exact":true,"fell_back":false,"distances":5,)"
                                     R"("distances_from":{"short_codes":0,"codes":0,"floats":5},"hops":[],)"
                                     R"("entry_point":null,"time_us":3})"))
                .text(),
            "search     all points compared\n"
            "distances  5: 5 from floats\n"
            "time       3 µs\n");
  const std::string fell_back =
      explain_table(parse_json(R"({"ef":10,"exact":true,"fell_back":true,"hops":[3],"entry_point":null})")).text();
  EXPECT_NE(fell_back.find("the graph gave too few with ef 10"), std::string::npos);
  EXPECT_NE(fell_back.find("a deleted point"), std::string::npos);
}

TEST(CliExplainTest, WhatIsMissingIsLeftOut) {
  EXPECT_EQ(explain_table(parse_json("{}")).text(), "");
  EXPECT_EQ(explain_table(parse_json("[]")).text(), "");
  EXPECT_EQ(explain_table(parse_json("null")).text(), "");
  EXPECT_EQ(explain_table(parse_json(R"({"distances":7,"hops":3})")).text(), "distances  7\n");
}

// Answers as a collection of points 0, 1, … at those distances would whose graph finds point `hidden` only from `ef_needed` on.
class FakeCollection {
 public:
  uint64_t count = 100;
  uint64_t hidden = 1000;
  uint64_t ef_needed = UINT64_MAX;
  bool found_by_own_vector = true;
  bool ties = false;        // all at the same distance
  bool falls_back = false;  // whatever is not exact
  std::vector<WhyNotSearch> asked;

  std::optional<WhyNotFound> operator()(const WhyNotSearch& search) {
    asked.push_back(search);
    WhyNotFound found;
    found.ef = std::max(search.ef.value_or(64), search.k);
    found.fell_back = falls_back && !search.exact;
    const bool sees_hidden =
        search.exact || found.fell_back || (search.by_own_vector ? found_by_own_vector : found.ef >= ef_needed);
    for (uint64_t i = 0; i < count && found.ids.size() < search.k; ++i) {
      if (i == hidden && !sees_hidden) continue;
      found.ids.push_back(std::to_string(i));
      found.distances.push_back(ties ? 1 : static_cast<float>(i));
    }
    return found;
  }

  std::optional<WhyNotAnswer> ask(const WhyNotQuestion& question) {
    return why_not(question, [this](const WhyNotSearch& search) { return (*this)(search); });
  }
};

WhyNotQuestion question_about(const std::string& id) { return {id, "", 10, std::nullopt}; }

TEST(CliWhyNotTest, ItIsAmongTheResults) {
  FakeCollection collection;
  const auto answer = collection.ask(question_about("3"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->verdict, Verdict::kFound);
  EXPECT_EQ(answer->rank, 4u);
  EXPECT_EQ(answer->true_rank, 4u);
  EXPECT_EQ(answer->distance, 3);
  EXPECT_EQ(answer->kth_distance, 9);
  EXPECT_EQ(answer->text(question_about("3"), "c"), "'3' is among the results, as number 4, at distance 3.0000");
}

TEST(CliWhyNotTest, OnlyBecauseTheSearchFellBack) {
  FakeCollection collection;
  collection.falls_back = true;
  const auto answer = collection.ask(question_about("3"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->verdict, Verdict::kFound);
  EXPECT_TRUE(answer->fell_back);
  EXPECT_NE(answer->text(question_about("3"), "c").find("vsctl check c"), std::string::npos);
}

TEST(CliWhyNotTest, TheQueryItself) {
  FakeCollection collection;
  WhyNotQuestion question = question_about("3");
  question.query_id = "3";
  EXPECT_EQ(collection.ask(question)->verdict, Verdict::kQueryItself);
  EXPECT_TRUE(collection.asked.empty());
}

TEST(CliWhyNotTest, OthersAreNearer) {
  FakeCollection collection;
  const auto answer = collection.ask(question_about("10"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->verdict, Verdict::kFarther);
  EXPECT_EQ(answer->rank, std::nullopt);
  EXPECT_EQ(answer->true_rank, 11u);
  EXPECT_EQ(answer->distance, 10);
  EXPECT_EQ(answer->kth_distance, 9);
  EXPECT_FALSE(answer->tie);
  EXPECT_EQ(answer->text(question_about("10"), "c"),
            "'10' is too far: it is number 11 of the nearest, at distance 10.0000, and the last of 10 results is at "
            "9.0000");
}

TEST(CliWhyNotTest, OthersAreAsNearAndOlder) {
  FakeCollection collection;
  collection.ties = true;
  const auto answer = collection.ask(question_about("10"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->verdict, Verdict::kFarther);
  EXPECT_TRUE(answer->tie);
  EXPECT_NE(answer->text(question_about("10"), "c").find("was added later"), std::string::npos);
}

TEST(CliWhyNotTest, BeyondWhatCanBeAsked) {
  FakeCollection collection;
  collection.count = 20'000;
  const auto answer = collection.ask(question_about("15000"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->verdict, Verdict::kFarther);
  EXPECT_EQ(answer->true_rank, std::nullopt);
  EXPECT_EQ(answer->distance, std::nullopt);
  EXPECT_NE(answer->text(question_about("15000"), "c").find("beyond 10000"), std::string::npos);
  EXPECT_EQ(collection.ask(question_about("9999"))->true_rank, 10'000u);
}

TEST(CliWhyNotTest, DeletedMeanwhile) {
  FakeCollection collection;
  EXPECT_EQ(collection.ask(question_about("x"))->verdict, Verdict::kGone);
}

TEST(CliWhyNotTest, CutOffByEf) {
  FakeCollection collection;
  collection.hidden = 3;
  collection.ef_needed = 300;
  const auto answer = collection.ask(question_about("3"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->verdict, Verdict::kCutOff);
  EXPECT_EQ(answer->ef, 64u);
  EXPECT_EQ(answer->true_rank, 4u);
  EXPECT_EQ(answer->not_with_ef, 256u);
  EXPECT_EQ(answer->found_with_ef, 512u);
  collection.ef_needed = 10'000;
  EXPECT_EQ(collection.ask(question_about("3"))->found_with_ef, 10'000u);
}

TEST(CliWhyNotTest, LinkedButNotFoundFromThisQuery) {
  FakeCollection collection;
  collection.hidden = 3;
  const auto answer = collection.ask(question_about("3"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->verdict, Verdict::kHardToReach);
  EXPECT_EQ(answer->found_with_ef, std::nullopt);
  EXPECT_EQ(answer->not_with_ef, 10'000u);
  EXPECT_TRUE(collection.asked.back().by_own_vector);
}

TEST(CliWhyNotTest, Unreachable) {
  FakeCollection collection;
  collection.hidden = 3;
  collection.found_by_own_vector = false;
  const auto answer = collection.ask(question_about("3"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->verdict, Verdict::kUnreachable);
  EXPECT_NE(answer->text(question_about("3"), "c").find("`vsctl check c --repair`"), std::string::npos);
}

TEST(CliWhyNotTest, EfAtItsLimit) {
  FakeCollection collection;
  collection.hidden = 3;
  WhyNotQuestion question = question_about("3");
  question.ef = 10'000;
  EXPECT_EQ(collection.ask(question)->verdict, Verdict::kHardToReach);
}

TEST(CliWhyNotTest, ASearchThatFailsEndsIt) {
  for (size_t fail_at = 0; fail_at < 5; ++fail_at) {
    FakeCollection collection;
    collection.hidden = 3;
    const auto answer = why_not(question_about("3"), [&](const WhyNotSearch& search) {
      return collection.asked.size() == fail_at ? std::nullopt : collection(search);
    });
    EXPECT_FALSE(answer) << fail_at;
  }
}

}  // namespace
}  // namespace vs::cli
