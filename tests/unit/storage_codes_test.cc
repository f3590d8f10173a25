// codes=sq8 in a database: across restarts, crashes, rebuilds, checks, and data that leaves their range.
#include <chrono>
#include <fstream>
#include <future>
#include <memory>
#include <thread>

#include "storage/mapped_file.h"
#include "tests/unit/database_fixture.h"

namespace vs::storage {
namespace {

class CodesInStorage : public StorageTest {
 protected:
  static constexpr uint32_t kPoints = 1500;
  void SetUp() override {
    StorageTest::SetUp();
    ASSERT_TRUE(
        database_->create("points", {.dim = kDim, .m = 8, .ef_construction = 50, .seed = 3, .codes = CodeType::kSq8})
            .ok());
    add_points(0, kPoints, 1);
  }
  void add_points(uint32_t first, uint32_t last, float scale) {
    std::vector<std::future<void>> replies;
    for (uint32_t i = first; i < last; ++i) {
      vectors_.push_back(test::random_vector(random_, kDim));
      for (float& x : vectors_.back()) x *= scale;
      auto done = std::make_shared<std::promise<void>>();
      replies.push_back(done->get_future());
      find("points")->add({.id = std::to_string(i), .vector = vectors_.back(), .attributes = {}},
                          [done](const Result<AddReply>& reply) {
                            EXPECT_TRUE(reply.ok()) << reply.status().to_string();
                            done->set_value();
                          });
    }
    for (auto& reply : replies) reply.get();
  }
  static std::optional<CodeState> state(Database& database) { return (*database.find("points"))->stats().codes; }
  void expect_all_found(Database& database) {
    uint32_t missed = 0;
    for (uint32_t i = 0; i < vectors_.size(); ++i) {
      const auto found = (*database.find("points"))->search({.vector = vectors_[i], .k = 1, .ef = 100});
      missed += ids_of(found) == std::vector<std::string>{std::to_string(i)} ? 0 : 1;
    }
    EXPECT_LE(missed, vectors_.size() / 200);
    Progress progress;
    const auto report = database.check("points", {.deep = true}, progress);
    ASSERT_TRUE(report.ok());
    for (const Problem& problem : report->problems) ADD_FAILURE() << problem.kind << ": " << problem.detail;
  }
  std::vector<std::vector<float>> vectors_;
};

TEST_F(CodesInStorage, AreThereAgainAfterARestart) {
  const auto before = state(*database_);
  ASSERT_TRUE(before);
  reopen();
  EXPECT_EQ(state(*database_), before);
  add_points(kPoints, kPoints + 100, 1);
  expect_all_found(*database_);
}

// Its checkpoint knows of no codes, or of those of fewer slots.
TEST_F(CodesInStorage, AreMadeAgainAfterACrash) {
  for (int i = 0; i < 2; ++i) {
    const auto copy = open_crashed_copy();
    ASSERT_TRUE(copy);
    EXPECT_TRUE(state(*copy));
    expect_all_found(*copy);
    ASSERT_TRUE(database_->checkpoint().ok());
    add_points(kPoints, kPoints + 10, 1);
  }
}

TEST_F(CodesInStorage, ARangeThatIsLeftIsLearnedAnewInTheBackground) {
  const auto before = state(*database_);
  add_points(kPoints, kPoints + 200, 20);
  for (int tries = 0; (!state(*database_) || state(*database_) == before) && tries < 300; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  const auto after = state(*database_);
  ASSERT_TRUE(after);
  EXPECT_GT(after->range.step, before->range.step * 5);
  // Nobody vouches for the codes on the disk before the next checkpoint.
  const auto copy = open_crashed_copy();
  ASSERT_TRUE(copy);
  expect_all_found(*copy);
  ASSERT_TRUE(database_->checkpoint().ok());
  reopen();
  EXPECT_EQ(state(*database_), after);
  expect_all_found(*database_);
}

TEST_F(CodesInStorage, ARebuildTakesThemOrLeavesThem) {
  for (const CodeType type : {CodeType::kNone, CodeType::kSq8}) {
    Progress progress;
    ASSERT_TRUE(database_->rebuild("points", {.m = {}, .ef_construction = {}, .ml = {}, .codes = type}, progress).ok());
    EXPECT_EQ(state(*database_).has_value(), type == CodeType::kSq8);
    expect_all_found(*database_);
    reopen();
    EXPECT_EQ(state(*database_).has_value(), type == CodeType::kSq8);
  }
}

TEST_F(CodesInStorage, ADamagedOneIsFoundAndMended) {
  database_.reset();
  {
    std::fstream file(generation_directory() + "/codes.dat", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(MappedFile::kHeaderBytes + 70 * 64));
    file.write("\x7f\x01\x7f\x01", 4);
  }
  reopen();
  for (const bool repair : {false, true}) {
    Progress progress;
    const auto report = database_->check("points", {.deep = true, .repair = repair}, progress);
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(report->problems_found, 1u);
    EXPECT_EQ(report->problems_left, repair ? 0u : 1u);
    for (const Problem& problem : report->problems) EXPECT_EQ(problem.kind, "code");
  }
  expect_all_found(*database_);
}

}  // namespace
}  // namespace vs::storage
