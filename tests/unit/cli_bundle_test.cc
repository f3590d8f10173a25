// ZIP archives, NPZ files, the folder of VectorSearch-with-HNSW, and what exports share.
#include <gtest/gtest.h>
#include <unistd.h>
#include <zip.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "cli/bundle.h"
#include "cli/export_rows.h"
#include "cli/export_scan.h"
#include "cli/export_target.h"
#include "cli/import_formats.h"
#include "cli/interrupt.h"
#include "cli/npy.h"
#include "cli/seed.h"
#include "cli/zip_archive.h"

namespace vs::cli {
namespace {

namespace fs = std::filesystem;

class CliBundleTest : public testing::Test {
 protected:
  CliBundleTest() {
    std::string name = (fs::temp_directory_path() / "vs-cli-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~CliBundleTest() override { fs::remove_all(directory_); }

  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }
  std::string read(const std::string& name) const {
    std::ifstream file(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  template <class T>
  std::string write_npy(const std::string& name, const std::string& descr, uint64_t columns,
                        const std::vector<T>& values) const {
    auto file = NpyWriter::create(path(name), descr, columns);
    EXPECT_TRUE(file.ok() && file->append(values.data(), values.size() * sizeof(T)).ok());
    EXPECT_TRUE(file->finish(values.size() / std::max<uint64_t>(columns, 1)).ok());
    return path(name);
  }
  // Deflated, as numpy.savez_compressed() does.
  std::string write_deflated(const std::string& name, const std::vector<std::string>& files) const {
    int error = 0;
    zip_t* const zip = zip_open(path(name).c_str(), ZIP_CREATE | ZIP_TRUNCATE, &error);
    for (const std::string& file : files) {
      const auto index =
          zip_file_add(zip, fs::path(file).filename().c_str(), zip_source_file(zip, file.c_str(), 0, -1), 0);
      EXPECT_EQ(zip_set_file_compression(zip, static_cast<zip_uint64_t>(index), ZIP_CM_DEFLATE, 9), 0);
    }
    EXPECT_EQ(zip_close(zip), 0);
    return path(name);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(directory_)) out.push_back(entry.path().filename().string());
    std::sort(out.begin(), out.end());
    return out;
  }

  fs::path directory_;
};

std::vector<float> floats(const Array& array) {
  std::vector<float> out(array.rows() * array.columns());
  EXPECT_TRUE(array.read_floats(0, Scale{}, out).ok());
  return out;
}

Result<Bundle> npz(const std::string& path, const RowOptions& options = {}) {
  VS_ASSIGN_OR_RETURN(InputStream stream, InputStream::open(path));
  return open_npz(path, std::move(stream), options);
}

TEST_F(CliBundleTest, KeepsRows) {
  auto array = Array::open(write_npy<float>("a.npy", "<f4", 2, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  ASSERT_TRUE(array.ok());
  array->keep_rows({0, 2, 3, 4});
  EXPECT_EQ(array->rows(), 4u);
  EXPECT_EQ(floats(*array), (std::vector<float>{0, 1, 4, 5, 6, 7, 8, 9}));
  std::vector<float> middle(4);
  ASSERT_TRUE(array->read_floats(1, Scale{}, middle).ok());
  EXPECT_EQ(middle, (std::vector<float>{4, 5, 6, 7}));
  array->keep_rows({});
  EXPECT_EQ(floats(*array), std::vector<float>());
}

TEST_F(CliBundleTest, ZipGivesBackWhatWasPacked) {
  const Interrupt interrupt;
  const std::string big(3 << 20, 'x');
  const std::vector<std::string> files = {write("a", "short"), write("b", big), write("empty", "")};
  ASSERT_TRUE(write_zip(path("stored.zip"), files).ok());
  write_deflated("deflated.zip", files);
  EXPECT_GT(fs::file_size(path("stored.zip")), big.size());
  EXPECT_LT(fs::file_size(path("deflated.zip")), big.size() / 100);
  for (const char* name : {"stored.zip", "deflated.zip"}) {
    const auto archive = ZipArchive::open(path(name));
    ASSERT_TRUE(archive.ok()) << archive.status().message();
    EXPECT_EQ(archive->names(), (std::vector<std::string>{"a", "b", "empty"}));
    EXPECT_EQ(*archive->text("a"), "short");
    EXPECT_EQ(*archive->text("b"), big);
    EXPECT_EQ(*archive->text("empty"), "");
    EXPECT_EQ(archive->text("none").status().code(), Code::kNotFound);
    // From the middle, also of two members in turn.
    auto a = archive->member("a");
    auto b = archive->member("b");
    ASSERT_TRUE(a.ok() && b.ok() && b->expect(big.size()).ok() && a->expect(5).ok());
    std::vector<uint8_t> part(3);
    ASSERT_TRUE(a->read(2, part).ok());
    EXPECT_EQ(std::string(part.begin(), part.end()), "ort");
    ASSERT_TRUE(b->read(big.size() - 3, part).ok());
    EXPECT_EQ(std::string(part.begin(), part.end()), "xxx");
    ASSERT_TRUE(a->read(0, part).ok());
    EXPECT_EQ(std::string(part.begin(), part.end()), "sho");
    EXPECT_EQ(archive->member("a")->expect(4).code(), Code::kBadRequest);
    EXPECT_EQ(archive->member("a")->expect(6).code(), Code::kBadRequest);
  }
  EXPECT_EQ(write_zip(path("stored.zip"), files).code(), Code::kIoError) << "it is there already";
  EXPECT_EQ(write_zip(path("new.zip"), {path("nothing")}).code(), Code::kIoError);
  EXPECT_FALSE(fs::exists(path("new.zip")));
}

TEST_F(CliBundleTest, EveryFlippedBitOfAMemberIsFound) {
  const Interrupt interrupt;
  const std::vector<std::string> files = {write_npy<float>("vectors.npy", "<f4", 2, {1, 2, 3, 4})};
  ASSERT_TRUE(write_zip(path("stored.npz"), files).ok());
  write_deflated("deflated.npz", files);
  for (const char* name : {"stored.npz", "deflated.npz"}) {
    const std::string whole = read(name);
    ASSERT_TRUE(npz(path(name)).ok());
    const size_t begin = whole.find("vectors.npy") + 11;
    const size_t end = whole.find("PK\x01\x02");
    for (size_t at = begin; at < end; ++at) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 4);
      const auto bundle = npz(write("damaged.npz", damaged));
      // Bytes of an extra field, which says nothing of the data, may differ.
      if (bundle.ok()) {
        EXPECT_EQ(floats(bundle->vectors), (std::vector<float>{1, 2, 3, 4})) << name << " byte " << at;
      } else {
        EXPECT_NE(bundle.status().message().find("damaged.npz"), std::string::npos);
      }
    }
    // A flip in the values themselves never passes.
    if (std::string_view(name) == "stored.npz") {
      std::string damaged = whole;
      damaged[end - 1] = static_cast<char>(damaged[end - 1] ^ 1);
      EXPECT_EQ(npz(write("damaged.npz", damaged)).status().code(), Code::kBadRequest);
    }
    for (size_t length = 0; length < whole.size(); ++length)
      EXPECT_FALSE(npz(write("damaged.npz", whole.substr(0, length))).ok()) << name << " cut at " << length;
  }
}

TEST_F(CliBundleTest, NpzOfAnExportBringsItsSettings) {
  const Interrupt interrupt;
  const std::vector<std::string> files = {
      write_npy<float>("vectors.npy", "<f4", 2, {1, 2, 3, 4}), write_npy<char32_t>("ids.npy", "<U2", 0, {}),
      write("attributes.jsonl", "{}\n{\"a\":1}\n"),
      write("meta.json", R"({"format":"vsd-export","metric":"dot","m":9,"ml":0.5,"codes":"x y=1","seed":5})")};
  {
    auto ids = NpyWriter::create(path("ids.npy"), "<U2", 0);
    const std::u32string text(U"a\0bc", 4);
    ASSERT_TRUE(ids.ok() && ids->append(text.data(), text.size() * sizeof(char32_t)).ok() && ids->finish(2).ok());
  }
  ASSERT_TRUE(write_zip(path("a.npz"), files).ok());
  const auto bundle = npz(path("a.npz"));
  ASSERT_TRUE(bundle.ok()) << bundle.status().message();
  EXPECT_EQ(bundle->ids, (std::vector<std::string>{"a", "bc"}));
  EXPECT_EQ(bundle->attributes, (std::vector<std::string>{"{}", "{\"a\":1}"}));
  // Nothing that would add a word to the request.
  EXPECT_EQ(bundle->settings,
            (std::vector<std::pair<std::string, std::string>>{{"metric", "dot"}, {"m", "9"}, {"ml", "0.5"}}));
  RowOptions others;
  others.other_ids = others.other_attributes = true;
  const auto vectors = npz(path("a.npz"), others);
  ASSERT_TRUE(vectors.ok());
  EXPECT_TRUE(vectors->ids.empty() && vectors->attributes.empty());
  EXPECT_EQ(vectors->settings, bundle->settings);
}

TEST_F(CliBundleTest, ACollectionIsReadAsRows) {
  const Interrupt interrupt;
  const std::vector<std::string> files = {write_npy<float>("vectors.npy", "<f4", 2, {1, 2, 3, 4, 5, 6}),
                                          write_npy<uint8_t>("tombstones.npy", "|b1", 0, {0, 1, 0}),
                                          write("meta.json", R"({"dim":2,"metric":"cosine","M":7})"),
                                          write_npy<int64_t>("ids.npy", "<i8", 0, {0, 7, 2}),
                                          write_npy<int32_t>("labels.npy", "<i4", 0, {5, 6, 7})};
  ASSERT_TRUE(write_zip(path("a.npz"), files).ok());
  for (const std::string& from : {path("a.npz"), directory_.string()}) {
    const auto rows = open_rows(from, "", {});
    ASSERT_TRUE(rows.ok()) << rows.status().message();
    const bool folder = from == directory_.string();
    EXPECT_TRUE((*rows)->whole() && (*rows)->gives_ids());
    EXPECT_EQ((*rows)->settings().size(), folder ? 2u : 0u) << "meta.json of another program says nothing";
    EXPECT_EQ((*rows)->rows(), folder ? 2u : 3u);
    Row row;
    std::vector<std::string> got;
    while (*(*rows)->next(row)) got.push_back(row.id + " " + std::to_string(row.vector[1]) + row.attributes);
    if (folder)
      EXPECT_EQ(got, (std::vector<std::string>{"0 2.000000", "2 6.000000"}));
    else
      EXPECT_EQ(got, (std::vector<std::string>{R"(0 2.000000{"label":5})", R"(7 4.000000{"label":6})",
                                               R"(2 6.000000{"label":7})"}));
  }
}

TEST_F(CliBundleTest, WhatIsNoCollection) {
  const std::string plain = write_npy<float>("v.npy", "<f4", 2, {1, 2});
  const auto rows = open_rows(plain, "", {});
  ASSERT_TRUE(rows.ok());
  EXPECT_FALSE((*rows)->whole());
  EXPECT_EQ(open_rows(plain, "npz", {}).status().code(), Code::kBadRequest);
  EXPECT_EQ(open_rows(path("none"), "", {}).status().code(), Code::kIoError);
  EXPECT_EQ(open_rows(path("none"), "npz", {}).status().code(), Code::kIoError);
  EXPECT_EQ(open_rows(directory_.string(), "", {}).status().code(), Code::kBadRequest) << "no seed folder";
  EXPECT_EQ(open_rows(directory_.string(), "npy", {}).status().code(), Code::kIoError);
}

TEST(CliSeedMetaTest, Settings) {
  const auto meta = parse_seed_meta(
      R"({"dim":4,"M":16,"ef_construction":200,"ef_search":50,"mL":0.36067376022224085,"metric":"l2","max_m0":32,)"
      R"("entry_point":null,"max_layer":-1,"more":[]})");
  ASSERT_TRUE(meta.ok()) << meta.status().message();
  EXPECT_EQ(meta->dim, 4u);
  EXPECT_EQ(meta->settings, (std::vector<std::pair<std::string, std::string>>{{"metric", "l2"},
                                                                              {"m", "16"},
                                                                              {"ef_construction", "200"},
                                                                              {"ef_search", "50"},
                                                                              {"ml", "0.36067376022224085"}}));
  EXPECT_EQ(parse_seed_meta(R"({"dim":1,"metric":"cosine"})")->settings.size(), 1u);
  for (const char* text :
       {"", "[]", "{", R"({"dim":4})", R"({"metric":"l2"})", R"({"dim":4,"metric":"dot"})",
        R"({"dim":-4,"metric":"l2"})", R"({"dim":4.5,"metric":"l2"})", R"({"dim":"4","metric":"l2"})",
        R"({"dim":4,"metric":"l2","M":"16"})", R"({"dim":4,"metric":"l2","mL":1e999})", R"({"dim":4,"metric":["l2"]})"})
    EXPECT_EQ(parse_seed_meta(text).status().code(), Code::kBadRequest) << text;
}

PointData point(const std::string& id, std::vector<std::vector<std::string>> links) {
  PointData out;
  out.id = id;
  out.links = std::move(links);
  return out;
}

TEST(CliExportRowsTest, LinksBecomeRows) {
  ExportRows rows;
  EXPECT_EQ(rows.level_max(), -1);
  EXPECT_TRUE(rows.add(point("a", {{"b", "c", "gone", "b", "a"}, {"c", "b"}})));
  EXPECT_TRUE(rows.add(point("b", {{"a"}})));
  EXPECT_TRUE(rows.add(point("c", {{}, {"a"}})));
  EXPECT_FALSE(rows.add(point("b", {{}, {}, {}})));
  EXPECT_TRUE(rows.add(point("lonely", {})));
  EXPECT_EQ(rows.count(), 4u);
  EXPECT_EQ(rows.id(2), "c");
  EXPECT_EQ(rows.level(0), 1);
  EXPECT_EQ(rows.level(1), 0);
  EXPECT_EQ(rows.level(3), -1);
  EXPECT_EQ(rows.level_max(), 1);
  EXPECT_EQ(rows.links(0, 0), (std::vector<uint32_t>{1, 2}));
  EXPECT_EQ(rows.links(0, 1), (std::vector<uint32_t>{2})) << "b is not on layer 1";
  EXPECT_EQ(rows.links(2, 1), (std::vector<uint32_t>{0}));
  EXPECT_EQ(rows.links(1, 1), (std::vector<uint32_t>{}));
  EXPECT_EQ(rows.links(3, 0), (std::vector<uint32_t>{}));
}

TEST(CliExportScanTest, OneMomentIfNothingWasWritten) {
  const auto stats = [](uint64_t lsn, uint64_t applied, uint64_t seed) {
    return nlohmann::ordered_json{{"lsn", lsn}, {"applied_lsn", applied}, {"seed", seed}};
  };
  EXPECT_TRUE(judge_consistency(stats(5, 5, 1), stats(5, 5, 1)).consistent);
  EXPECT_FALSE(judge_consistency(stats(5, 4, 1), stats(5, 5, 1)).consistent);
  EXPECT_FALSE(judge_consistency(stats(5, 5, 1), stats(5, 5, 2)).consistent);
  EXPECT_FALSE(judge_consistency(stats(5, 5, 1), stats(3, 3, 1)).consistent);
  const Consistency changed = judge_consistency(stats(5, 5, 1), stats(9, 7, 1));
  EXPECT_FALSE(changed.consistent);
  EXPECT_EQ(changed.changes, 4u);
  // Of a daemon that does not say it, nothing is known.
  EXPECT_FALSE(judge_consistency({{"lsn", 5}}, {{"lsn", 5}}).consistent);
  EXPECT_FALSE(judge_consistency({{"a", 5}}, {{"a", 5}}).consistent);
}

TEST_F(CliBundleTest, TargetIsChangedAtTheEndOnly) {
  const ExportFormat& numpy = *find_export_format("numpy");
  const std::string out = path("out");
  {
    auto target = ExportTarget::prepare(out, numpy, false);
    ASSERT_TRUE(target.ok()) << target.status().message();
    std::ofstream(target->staging() + "/vectors.npy") << "v1";
    std::ofstream(target->staging() + "/meta.json") << "m1";
    EXPECT_EQ(ExportTarget::prepare(out, numpy, true).status().code(), Code::kExists) << "another one is under way";
  }
  EXPECT_FALSE(fs::exists(out)) << "it was not published";
  for (const char* version : {"v1", "v2"}) {
    auto target = ExportTarget::prepare(out, numpy, version[1] == '2');
    ASSERT_TRUE(target.ok()) << target.status().message();
    std::ofstream(target->staging() + (version[1] == '1' ? "/links_3.npy" : "/vectors.npy")) << version;
    std::ofstream(target->staging() + "/meta.json") << version;
    EXPECT_EQ(read("out/meta.json"), version[1] == '2' ? "v1" : "");
    ASSERT_TRUE(target->publish().ok());
  }
  EXPECT_EQ(read("out/meta.json"), "v2");
  EXPECT_FALSE(fs::exists(out + "/links_3.npy"));
  EXPECT_FALSE(fs::exists(out + "/export.tmp"));
  EXPECT_EQ(ExportTarget::prepare(out, numpy, false).status().code(), Code::kExists);
  write("out/mine", "");
  EXPECT_TRUE(ExportTarget::prepare(out, numpy, true).ok());
  EXPECT_TRUE(fs::exists(out + "/mine"));
}

TEST_F(CliBundleTest, TargetMayBeAFile) {
  const ExportFormat& npz = *find_export_format("npz");
  auto target = ExportTarget::prepare(path("a.npz"), npz, false);
  ASSERT_TRUE(target.ok() && target->is_file());
  std::ofstream(target->staging() + "/points.npz") << "data";
  EXPECT_FALSE(fs::exists(path("a.npz")));
  ASSERT_TRUE(target->publish().ok());
  target = Status{Code::kInternal, ""};
  EXPECT_EQ(read("a.npz"), "data");
  EXPECT_EQ(names(), std::vector<std::string>{"a.npz"});
  EXPECT_EQ(ExportTarget::prepare(path("a.npz"), npz, false).status().code(), Code::kExists);
  EXPECT_EQ(ExportTarget::prepare(path("none/a.npz"), npz, false).status().code(), Code::kIoError);
  EXPECT_FALSE(ExportTarget::prepare(path("dir"), npz, false)->is_file());
  EXPECT_FALSE(ExportTarget::prepare(path("dir.json"), npz, false)->is_file());
}

}  // namespace
}  // namespace vs::cli
