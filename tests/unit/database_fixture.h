// What the tests of an open database share: calls that wait for their answer, and a fixture on a directory of its own.
#pragma once

#include <future>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/collection.h"
#include "storage/database.h"
#include "tests/unit/test_util.h"

namespace vs::storage {

inline constexpr uint32_t kDim = 8;

inline Result<AddReply> add(Collection& collection, std::string id, std::vector<float> vector,
                            std::string attributes = {}, AddRequest::If condition = AddRequest::If::kAlways) {
  std::promise<Result<AddReply>> reply;
  collection.add({std::move(id), std::move(vector), std::move(attributes), condition},
                 [&](Result<AddReply> r) { reply.set_value(std::move(r)); });
  return reply.get_future().get();
}

inline Result<DeleteReply> remove(Collection& collection, std::vector<std::string> ids) {
  std::promise<Result<DeleteReply>> reply;
  collection.remove(std::move(ids), [&](Result<DeleteReply> r) { reply.set_value(std::move(r)); });
  return reply.get_future().get();
}

inline std::vector<std::string> ids_of(const Result<SearchReply>& reply) {
  std::vector<std::string> ids;
  for (const Match& match : reply->matches) ids.push_back(match.point.id);
  return ids;
}

inline std::set<std::string> all_ids(const Collection& collection) {
  std::set<std::string> ids;
  ScanRequest request{.limit = 7};
  for (;;) {
    auto page = collection.scan(request);
    EXPECT_TRUE(page.ok());
    for (const Point& point : page->points) EXPECT_TRUE(ids.insert(point.id).second) << point.id;
    if (!page->next) return ids;
    request.after = *page->next;
  }
}

class StorageTest : public testing::Test {
 protected:
  void SetUp() override { reopen(); }

  void reopen() {
    database_.reset();
    auto opened = Database::open(options());
    ASSERT_TRUE(opened.ok()) << opened.status().to_string();
    database_ = *std::move(opened);
  }
  DatabaseOptions options() {
    DatabaseOptions options;
    options.directory = directory_.path() + "/data";
    options.threads = 2;
    options.free_space_reserve_bytes = 0;
    return options;
  }
  std::shared_ptr<Collection> create(const std::string& name, Metric metric = Metric::kL2) {
    const auto created =
        database_->create(name, {.dim = kDim, .metric = metric, .m = 8, .ef_construction = 50, .seed = 3});
    EXPECT_TRUE(created.ok()) << created.status().to_string();
    return *database_->find(name);
  }
  std::shared_ptr<Collection> find(const std::string& name) { return *database_->find(name); }
  // A copy of the files as a killed process leaves them, opened as a database.
  std::unique_ptr<Database> open_crashed_copy() {
    const std::string copy = directory_.path() + "/copy" + std::to_string(copies_++);
    // The files of an old generation go when its last reader, perhaps the vacuum, leaves: then what is copied vanishes.
    std::error_code error;
    for (int tries = 0; tries < 10; ++tries) {
      std::filesystem::remove_all(copy);
      std::filesystem::copy(directory_.path() + "/data", copy, std::filesystem::copy_options::recursive, error);
      if (error != std::errc::no_such_file_or_directory) break;
    }
    EXPECT_FALSE(error) << error.message();
    DatabaseOptions copied = options();
    copied.directory = copy;
    auto opened = Database::open(copied);
    EXPECT_TRUE(opened.ok()) << opened.status().to_string();
    return opened.ok() ? *std::move(opened) : nullptr;
  }
  std::string generation_directory() const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path() + "/data/collections")) {
      if (entry.path().filename() == "rows.dat") return entry.path().parent_path().string();
    }
    return {};
  }

  test::TemporaryDirectory directory_;
  std::unique_ptr<Database> database_;
  std::mt19937 random_{42};
  int copies_ = 0;
};

}  // namespace vs::storage
