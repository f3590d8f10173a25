// What an import keeps count of: ids, the low-water mark, the journal, rejected rows; and the source that joins files.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cli/id_set.h"
#include "cli/import_journal.h"
#include "cli/import_rejects.h"
#include "cli/import_source.h"
#include "cli/low_water.h"

namespace vs::cli {
namespace {

class CliImportTest : public testing::Test {
 protected:
  CliImportTest() {
    std::string name = (std::filesystem::temp_directory_path() / "vs-cli-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~CliImportTest() override { std::filesystem::remove_all(directory_); }

  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  static std::string read(const std::string& path) { return *read_text_file(path); }

  std::filesystem::path directory_;
};

TEST(CliIdSetTest, KnowsWhatItHasSeen) {
  IdSet ids;
  for (int i = 0; i < 50'000; ++i) ASSERT_TRUE(ids.insert(std::to_string(i))) << i;
  for (int i = 0; i < 50'000; i += 7) ASSERT_FALSE(ids.insert(std::to_string(i))) << i;
  EXPECT_TRUE(ids.insert(""));
  EXPECT_FALSE(ids.insert(""));
}

TEST(CliLowWaterTest, RisesWhenAllBelowIsSettled) {
  LowWater low({10, 5, 1});
  low.begin(10, 2, 111);
  low.begin(12, 3, 222);
  low.begin(15, 1, 333);
  for (const uint64_t row : {12, 13, 15, 14}) low.settle(row, row == 13);
  EXPECT_EQ(low.mark().rows, 10u);
  low.settle(11, false);
  EXPECT_EQ(low.mark().rows, 10u);
  EXPECT_EQ(low.mark().rejected, 1u);
  low.settle(10, true);
  EXPECT_EQ(low.mark().rows, 16u);
  EXPECT_EQ(low.mark().digest, 333u);
  EXPECT_EQ(low.mark().rejected, 3u);
  low.begin(16, 1, 444);
  EXPECT_EQ(low.mark().rows, 16u);
}

TEST_F(CliImportTest, TheJournalKeepsTheLastState) {
  const std::string file = path("state/vsctl/journal");
  {
    auto journal = ImportJournal::open(file);
    ASSERT_TRUE(journal.ok()) << journal.status().message();
    EXPECT_FALSE(journal->found());
    EXPECT_EQ(ImportJournal::open(file).status().code(), Code::kBusy);
    ASSERT_TRUE(journal->begin("c", UINT64_MAX, {"a.npy", "-"}).ok());
    ASSERT_TRUE(journal->append({UINT64_MAX, {}, 4096, 0}, ImportJournal::Sync::kYes).ok());
    ASSERT_TRUE(journal->append({UINT64_MAX, {4000, UINT64_MAX, 3}, UINT64_MAX, 4050}, ImportJournal::Sync::kNo).ok());
  }
  {
    auto journal = ImportJournal::open(file);
    ASSERT_TRUE(journal.ok() && journal->found());
    EXPECT_EQ(journal->found()->seed, UINT64_MAX);
    EXPECT_EQ(journal->found()->mark.rows, 4000u);
    EXPECT_EQ(journal->found()->mark.digest, UINT64_MAX);
    EXPECT_EQ(journal->found()->mark.rejected, 3u);
    EXPECT_EQ(journal->found()->limit, UINT64_MAX);
    EXPECT_EQ(journal->found()->lsn, 4050u);
    journal->remove();
  }
  EXPECT_FALSE(std::filesystem::exists(file));
  // One that nothing was written to is not left behind.
  EXPECT_TRUE(ImportJournal::open(file).ok());
  EXPECT_FALSE(std::filesystem::exists(file));
  EXPECT_EQ(ImportJournal::open("/proc/none/journal").status().code(), Code::kIoError);
}

TEST_F(CliImportTest, AJournalThatIsCutCountsUpToThere) {
  const std::string header = "{\"vsctl_import\":1,\"collection\":\"c\",\"seed\":7,\"files\":[]}\n";
  const std::string one = "{\"mark\":1,\"limit\":9,\"digest\":2,\"lsn\":3,\"rejected\":0}\n";
  const std::string two = "{\"mark\":5,\"limit\":9,\"digest\":2,\"lsn\":3,\"rejected\":0}\n";
  EXPECT_EQ(parse_journal(header + one + two)->mark.rows, 5u);
  for (size_t cut = 1; cut <= two.size(); ++cut) {
    const std::string text = header + one + two;
    EXPECT_EQ(parse_journal(text.substr(0, text.size() - cut))->mark.rows, 1u) << cut;
  }
  EXPECT_FALSE(parse_journal(header));
  EXPECT_FALSE(parse_journal(""));
  EXPECT_FALSE(parse_journal(one + two));
  EXPECT_FALSE(parse_journal(header + "{\"mark\":9,\"limit\":1,\"digest\":2,\"lsn\":3,\"rejected\":0}\n"));
  EXPECT_FALSE(parse_journal(header + "{\"mark\":-1,\"limit\":1,\"digest\":2,\"lsn\":3,\"rejected\":0}\n"));
  EXPECT_FALSE(parse_journal("{\"vsctl_import\":2,\"seed\":7}\n" + one));
}

TEST_F(CliImportTest, JournalsLieInTheStateDirectory) {
  const auto environment = [](std::string_view set, const char* value) {
    return [=](std::string_view name) { return name == set ? std::optional<std::string>(value) : std::nullopt; };
  };
  const auto in_home = journal_path(environment("HOME", "/h"), "c", {"/a"});
  EXPECT_EQ(in_home->substr(0, in_home->size() - 22), "/h/.local/state/vsctl/import-c-");
  EXPECT_TRUE(journal_path(environment("XDG_STATE_HOME", "/s"), "c", {"/a"})->starts_with("/s/vsctl/import-c-"));
  EXPECT_NE(in_home, journal_path(environment("HOME", "/h"), "c", {"/b"}));
  EXPECT_EQ(in_home, journal_path(environment("HOME", "/h"), "c", {"/x/../a"}));
  EXPECT_FALSE(journal_path(environment("X", "y"), "c", {"/a"}));
}

TEST_F(CliImportTest, RejectedRowsAreWrittenOnce) {
  const std::string file = path("rejects");
  const RejectedRow row{17, "a.csv", 7, 9, "x\n\xFF", {Code::kNotFinite, "why"}};
  {
    RejectFile rejects(file, false);
    EXPECT_FALSE(std::filesystem::exists(file));
    ASSERT_TRUE(rejects.write(row).ok());
  }
  const std::string line =
      "{\"file\":\"a.csv\",\"row\":7,\"line\":9,\"id\":\"x\\n\xEF\xBF\xBD\",\"code\":\"not_finite\",\"reason\":\"why\"}"
      "\n";
  EXPECT_EQ(read(file), line);
  RejectedRow other = row;
  other.file_row = 8;
  other.line = 0;
  {
    RejectFile rejects(file, true);
    ASSERT_TRUE(rejects.write(row).ok());
    ASSERT_TRUE(rejects.write(other).ok());
  }
  EXPECT_EQ(
      read(file),
      line + "{\"file\":\"a.csv\",\"row\":8,\"id\":\"x\\n\xEF\xBF\xBD\",\"code\":\"not_finite\",\"reason\":\"why\"}\n");
  RejectFile again(file, false);
  ASSERT_TRUE(again.open().ok());
  EXPECT_EQ(read(file), "");
  RejectFile nowhere(path("none/rejects"), false);
  EXPECT_EQ(nowhere.write(row).code(), Code::kIoError);
}

TEST_F(CliImportTest, RowsAreCountedOnAndChecked) {
  ImportFiles files;
  files.vectors = {
      write("a.jsonl", "{\"id\":\"a\",\"vector\":[1,2]}\n{\"vector\":[3,4]}\n"),
      write("b.jsonl",
            "{\"id\":\"a\",\"vector\":[5,6]}\n{\"vector\":[1e39,4]}\n{\"id\":\"1\",\"vector\":[7,8]}\n{bad\n")};
  files.id_prefix = "p";
  auto source = ImportSource::open(files);
  ASSERT_TRUE(source.ok()) << source.status().message();
  EXPECT_TRUE(source->can_be_read_again());
  EXPECT_FALSE(source->rows());
  std::vector<SourceRow> rows;
  for (SourceRow row; *source->next(row);) rows.push_back(row);
  ASSERT_EQ(rows.size(), 6u);
  EXPECT_EQ(rows[0].id, "pa");
  EXPECT_EQ(rows[1].id, "p1");
  EXPECT_TRUE(rows[1].fault.ok());
  EXPECT_EQ(rows[2].fault.code(), Code::kExists);
  EXPECT_EQ(rows[2].number, 2u);
  EXPECT_EQ(rows[2].file_row, 0u);
  EXPECT_EQ(source->path(rows[2].file), files.vectors[1]);
  EXPECT_EQ(rows[3].fault.code(), Code::kNotFinite);
  // Also an id that is another row's number.
  EXPECT_EQ(rows[4].fault.code(), Code::kExists);
  EXPECT_EQ(rows[5].id, "");
  EXPECT_EQ(source->part(), 1.0);

  std::string request;
  append_add("c", rows[0], " if=absent", request);
  EXPECT_EQ(request, "ADD c pa f32:AACAPwAAAEA= if=absent\n");
}

TEST_F(CliImportTest, TheDigestIsOfEverythingThatIsSent) {
  const std::string vectors = write("v.csv", "1,2\n3,4\n");
  const auto digest = [](const ImportFiles& files) {
    auto source = ImportSource::open(files);
    EXPECT_TRUE(source.ok()) << source.status().message();
    SourceRow row;
    while (*source->next(row)) {
    }
    return row.digest;
  };
  ImportFiles plain;
  plain.vectors = {vectors};
  EXPECT_EQ(digest(plain), digest(plain));
  std::vector<uint64_t> digests = {digest(plain)};
  for (const auto& change : std::vector<std::function<void(ImportFiles&)>>{
           [](ImportFiles& files) { files.scale = "2"; }, [](ImportFiles& files) { files.id_prefix = "x"; },
           [&](ImportFiles& files) { files.labels = {write("l", "1\n2\n")}; },
           [&](ImportFiles& files) { files.ids = write("i", "1\n0\n"); },
           [&](ImportFiles& files) { files.vectors = {write("w.csv", "1,2\n3,5\n")}; }}) {
    ImportFiles files = plain;
    change(files);
    digests.push_back(digest(files));
  }
  std::sort(digests.begin(), digests.end());
  EXPECT_EQ(std::unique(digests.begin(), digests.end()), digests.end());
}

TEST_F(CliImportTest, FilesBesideMustFit) {
  ImportFiles files;
  files.vectors = {write("v.csv", "1,2\n3,4\n5,6\n")};
  const auto end_of = [](const ImportFiles& options) {
    auto source = ImportSource::open(options);
    if (!source.ok()) return source.status();
    for (SourceRow row;;) {
      const auto more = source->next(row);
      if (!more.ok() || !*more) return more.status();
    }
  };
  EXPECT_TRUE(end_of(files).ok());
  // How many rows there are is seen only while they are read.
  files.labels = {write("l", "1\n2\n")};
  EXPECT_NE(end_of(files).message().find("3 or more"), std::string::npos) << end_of(files).message();
  files.labels = {write("l", "1\n2\n3\n4\n")};
  EXPECT_NE(end_of(files).message().find("as many labels as rows, 3"), std::string::npos) << end_of(files).message();
  files.labels = {};
  files.ids = write("ids", "a\nb\nc\n");
  EXPECT_TRUE(end_of(files).ok());
  files.vectors = {write("v.csv", "id,x\nq,1\n")};
  EXPECT_EQ(end_of(files).code(), Code::kBadArgument);
  files.vectors = {"-", "-"};
  EXPECT_EQ(end_of(files).code(), Code::kBadArgument);
}

}  // namespace
}  // namespace vs::cli
