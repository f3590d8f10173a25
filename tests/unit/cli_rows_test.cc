// The readers of rows: streams, CSV, JSON Lines, the fvecs family, and how a format is found.
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "cli/array.h"
#include "cli/csv.h"
#include "cli/import_formats.h"
#include "cli/jsonl.h"
#include "cli/labels.h"
#include "cli/row_text.h"

namespace vs::cli {
namespace {

class CliRowsTest : public testing::Test {
 protected:
  CliRowsTest() {
    std::string name = (std::filesystem::temp_directory_path() / "vs-cli-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~CliRowsTest() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& bytes, const std::string& name = "file") const {
    std::ofstream(directory_ / name, std::ios::binary) << bytes;
    return (directory_ / name).string();
  }
  std::string write_gzip(const std::string& bytes, const std::string& name) const {
    const std::string path = (directory_ / name).string();
    gzFile file = gzopen(path.c_str(), "wb");
    EXPECT_EQ(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())), static_cast<int>(bytes.size()));
    gzclose(file);
    return path;
  }

  // All rows; an error is one of the test.
  std::vector<Row> rows(const std::string& path, const std::string& format = "", const RowOptions& options = {}) const {
    std::vector<Row> out;
    auto reader = open_rows(path, format, options);
    EXPECT_TRUE(reader.ok()) << reader.status().message();
    if (!reader.ok()) return out;
    for (Row row;;) {
      const auto more = (*reader)->next(row);
      EXPECT_TRUE(more.ok()) << more.status().message();
      if (!more.ok() || !*more) return out;
      out.push_back(row);
    }
  }
  std::vector<Row> csv(const std::string& text, const std::string& header = "guess") const {
    return rows(write(text), "csv", {{}, header});
  }
  void expect_refused(const std::string& text, const std::string& format, const std::string& part,
                      const std::string& header = "guess") const {
    const auto reader = open_rows(write(text), format, {{}, header});
    ASSERT_FALSE(reader.ok()) << text;
    EXPECT_NE(reader.status().message().find(part), std::string::npos) << reader.status().message();
  }

  std::filesystem::path directory_;
};

using Vector = std::vector<float>;

template <class T>
std::string vecs(const std::vector<std::vector<T>>& rows) {
  std::string out;
  const auto append = [&out](const auto& value) { out.append(reinterpret_cast<const char*>(&value), sizeof value); };
  for (const auto& row : rows) {
    append(static_cast<int32_t>(row.size()));
    for (const T& value : row) append(value);
  }
  return out;
}

TEST_F(CliRowsTest, LinesOfAStream) {
  // Longer than a piece that is read at once, and with a line that goes from one piece to the next.
  std::string text = "first\r\n\n";
  const std::string longer(300'000, 'x');
  text += longer + "\nlast";
  for (const std::string& path : {write(text), write_gzip(text, "file.gz")}) {
    const auto lines = read_lines(path);
    ASSERT_TRUE(lines.ok());
    EXPECT_EQ(*lines, (std::vector<std::string>{"first", "", longer, "last"}));
  }
  auto stream = InputStream::open(write(text));
  std::string_view line;
  ASSERT_TRUE(*stream->line(line, 10));
  ASSERT_TRUE(*stream->line(line, 10));
  EXPECT_EQ(stream->line(line, 10).status().code(), Code::kTooLarge);
}

TEST_F(CliRowsTest, WhatComesBeforeTheDamageOfAGzipFileIsRead) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i * 7919LL % 100'003) + "\n";
  const std::string path = write_gzip(text, "cut.gz");
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1000);
  auto stream = InputStream::open(path);
  std::string_view line;
  uint64_t count = 0;
  for (;; ++count) {
    const auto more = stream->line(line, 100);
    if (!more.ok()) {
      EXPECT_NE(more.status().message().find("truncated"), std::string::npos);
      break;
    }
    ASSERT_TRUE(*more);
  }
  EXPECT_GT(count, 90'000u);
  EXPECT_LT(count, 100'000u);
}

TEST_F(CliRowsTest, Vecs) {
  const std::string floats = vecs<float>({{1, 2}, {3, -0.5f}});
  for (const std::string& path : {write(floats, "a.fvecs"), write_gzip(floats, "a.fvecs.gz")}) {
    const auto array = Array::open(path);
    ASSERT_TRUE(array.ok()) << array.status().message();
    EXPECT_EQ(array->shape(), (std::vector<uint64_t>{2, 2}));
    Vector second(2);
    ASSERT_TRUE(array->read_floats(1, {}, second).ok());
    EXPECT_EQ(second, (Vector{3, -0.5f}));
  }
  const auto bytes = rows(write(vecs<uint8_t>({{0, 255}, {7, 8}}), "b.bvecs"), "", {{1, 255}});
  ASSERT_EQ(bytes.size(), 2u);
  EXPECT_EQ(bytes[0].vector, (Vector{0, 1}));
  const auto integers = Array::open(write(vecs<int32_t>({{1, -2}, {3, 4}}), "c.ivecs"));
  ASSERT_TRUE(integers.ok());
  EXPECT_EQ(*integers->all_integers(), (std::vector<int64_t>{1, -2, 3, 4}));
}

TEST_F(CliRowsTest, RefusesBadVecs) {
  const std::string good = vecs<float>({{1, 2}, {3, 4}, {5, 6}});
  expect_refused(good.substr(0, good.size() - 1), "fvecs", "after 2 rows 11 bytes are left");
  expect_refused("", "fvecs", "0 bytes");
  expect_refused(vecs<float>({{}}), "fvecs", "claims 0");
  expect_refused(std::string("\xFF\xFF\xFF\xFF", 4), "fvecs", "claims -1");
  expect_refused(std::string("\xFF\xFF\xFF\x7F", 4), "fvecs", "claims 2147483647");
  // The row that differs is found when it is read.
  const auto array =
      Array::open(write(vecs<float>({{1, 2}}) + std::string("\3\0\0\0", 4) + std::string(8, '\0'), "d.fvecs"));
  ASSERT_TRUE(array.ok());
  Vector row(2);
  EXPECT_TRUE(array->read_floats(0, {}, row).ok());
  const Status status = array->read_floats(1, {}, row);
  EXPECT_EQ(status.code(), Code::kBadRequest);
  EXPECT_NE(status.message().find("row 1 claims 3"), std::string::npos) << status.message();
}

TEST_F(CliRowsTest, CsvWithoutHeader) {
  const auto plain = csv("1, 2\r\n\r\n+3,-4e1");
  ASSERT_EQ(plain.size(), 2u);
  EXPECT_EQ(plain[0].vector, (Vector{1, 2}));
  EXPECT_EQ(plain[1].vector, (Vector{3, -40}));
  EXPECT_EQ(plain[1].line, 3u);
  EXPECT_EQ(plain[1].id, "");
  const auto ids = csv("a,1\n\"b,\nc\",2\n\"d\",3\n", "no");
  ASSERT_EQ(ids.size(), 3u);
  EXPECT_EQ(ids[0].id, "a");
  EXPECT_EQ(ids[1].id, "b,\nc");
  EXPECT_EQ(ids[2].line, 4u);
}

TEST_F(CliRowsTest, CsvWithHeader) {
  const auto named = csv("\xEF\xBB\xBFx,ID,name,label,y\n1,a,\"say \"\"hi\"\"\",7,2\n3,b,12,x,4\n5,c,,007,6");
  ASSERT_EQ(named.size(), 3u);
  EXPECT_EQ(named[0].vector, (Vector{1, 2}));
  EXPECT_EQ(named[0].id, "a");
  EXPECT_EQ(named[0].attributes, R"({"name":"say \"hi\"","label":7})");
  // A column of text stays one; labels are what they are.
  EXPECT_EQ(named[1].attributes, R"({"name":"12","label":"x"})");
  EXPECT_EQ(named[2].attributes, R"({"name":"","label":"007"})");

  const auto whole = csv("id,vector,size,attributes2\na,\"[0.1,-0]\",5,p\nb,f32:AACAPwAAAEA=,6,q\n");
  ASSERT_EQ(whole.size(), 2u);
  EXPECT_EQ(whole[0].vector, (Vector{0.1f, -0.0f}));
  EXPECT_EQ(whole[0].attributes, R"({"size":5,"attributes2":"p"})");
  EXPECT_EQ(whole[1].vector, (Vector{1, 2}));
  const auto json = csv("id,x,attributes\na,1,\"{\"\"k\"\":\n1.50}\"\nb,2,\n");
  EXPECT_EQ(json[0].attributes, R"({"k": 1.50})");
  EXPECT_EQ(json[1].attributes, "");
  EXPECT_EQ(csv("0,1\n2,3\n", "yes").size(), 1u);
  EXPECT_EQ(csv("id,0,1\na,2,3\n")[0].vector, (Vector{2, 3}));
}

TEST_F(CliRowsTest, ACsvRowsFaultIsItsOwn) {
  const auto got = csv("id,x,y\na,1,2\nb,1\nc,1,2,3\nd,1,z\ne,1,\nf,1,2\" \ng,\"1\"2,3\n,1,2\nh,nan,1e999\ni,8,9\n");
  ASSERT_EQ(got.size(), 10u);
  EXPECT_NE(got[1].fault.message().find("expected 3 fields as in the first line, got 2"), std::string::npos);
  EXPECT_NE(got[2].fault.message().find("got 4"), std::string::npos);
  EXPECT_NE(got[3].fault.message().find("column 'y': expected a number, got 'z'"), std::string::npos);
  EXPECT_NE(got[4].fault.message().find("got ''"), std::string::npos);
  EXPECT_NE(got[5].fault.message().find("field 3"), std::string::npos);
  EXPECT_NE(got[6].fault.message().find("closing quote of field 2"), std::string::npos);
  EXPECT_NE(got[7].fault.message().find("id is empty"), std::string::npos);
  ASSERT_TRUE(got[8].fault.ok());  // numbers, but none for a point: that is the caller's to see
  EXPECT_TRUE(std::isnan(got[8].vector[0]) && std::isinf(got[8].vector[1]));
  EXPECT_TRUE(got[9].fault.ok());
  EXPECT_EQ(got[9].line, 11u);
}

TEST_F(CliRowsTest, RefusesBadCsv) {
  expect_refused("", "csv", "no rows");
  expect_refused("id,x\n", "csv", "no rows");
  expect_refused("name,0,1\na,2,3\n", "csv", "--header yes or --header no");
  expect_refused("id,x,y\na,,1\n", "csv", "line 2: column 'x' is empty in the first row");
  expect_refused("id,name\na,b\n", "csv", "no numbers");
  expect_refused("id,x,x\na,1,2\n", "csv", "'x' twice");
  expect_refused("id,x,\na,1,2\n", "csv", "column 3 has no name");
  expect_refused("id,x,attributes,label\na,1,{},2\n", "csv", "attributes");
  expect_refused("id,x\na,1,2\n", "csv", "line 2: expected 2 fields");
  expect_refused("1,a\n", "csv", "field 2 is 'a'", "no");
  const auto open_quote = open_rows(write("id,x\na,1\n\"b,2\nc,3\n"), "csv", {});
  ASSERT_TRUE(open_quote.ok());
  Row row;
  ASSERT_TRUE(*(*open_quote)->next(row));
  const auto more = (*open_quote)->next(row);
  ASSERT_FALSE(more.ok());
  EXPECT_NE(more.status().message().find("line 3: the quote that begins here"), std::string::npos);
}

TEST_F(CliRowsTest, ComponentsAreRoundedOnce) {
  // Between two floats, and by way of a double it would go to the other one.
  EXPECT_EQ(read_component("1.00000017881393432617187499", {}), 1.00000011920928955078125f);
  EXPECT_EQ(read_component("51", {1, 255}), 51.0f / 255.0f);
  EXPECT_EQ(read_component("1e-60", {}), 0.0f);
  for (const char* const text : {"", " ", "+", "-", "+-1", "1,5", "0x1", "1 2", "1e"})
    EXPECT_EQ(read_component(text, {}), std::nullopt) << text;
}

TEST_F(CliRowsTest, JsonLines) {
  const auto got =
      rows(write("{\"id\":\"a\",\"vector\":[1,-0],\"attributes\":{\"n\":1.50}}\n \n"
                 "{\"vector\":\"f32:AACAPwAAAEA=\",\"id\":null}\r\n{\"id\":12.50,\"vector\":[3,4],\"links\":[[]]}"));
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0].attributes, R"({"n":1.50})");
  EXPECT_TRUE(std::signbit(got[0].vector[1]));
  EXPECT_EQ(got[1].vector, (Vector{1, 2}));
  EXPECT_EQ(got[1].id, "");
  EXPECT_EQ(got[1].line, 3u);
  EXPECT_EQ(got[2].id, "12.50");
}

TEST_F(CliRowsTest, AJsonRowsFaultIsItsOwn) {
  const std::pair<std::string, std::string> bad[] = {
      {"{\"vector\":[1,2]", "one JSON object"},
      {"[1,2]", "one JSON object"},
      {"{\"vector\":[1,2]} x", "one JSON object"},
      {"{\"id\":\"a\"}", "no vector"},
      {"{\"vector\":[]}", "vector"},
      {"{\"vector\":[1,2],\"attribute\":{}}", "'attribute'"},
      {"{\"vector\":[1,2],\"vector\":[1,2]}", "twice"},
      {"{\"vector\":[1,\"2\"]}", ""},
      {"{\"vector\":\"AAAA\"}", "f32:BASE64"},
      {"{\"vector\":[1,2],\"id\":\"\"}", "id is empty"},
      {"{\"vector\":[1,2],\"id\":[1]}", "string or a number"},
      {"{\"vector\":[1,2],\"attributes\":[1]}", "object"},
      {"{\"vector\":[1]}", "expected 2 numbers as in the first row, got 1"},
  };
  std::string text = "{\"vector\":[1,2]}\n";
  for (const auto& [line, part] : bad) text += line + "\n";
  const auto got = rows(write(text));
  ASSERT_EQ(got.size(), std::size(bad) + 1);
  for (size_t i = 0; i < std::size(bad); ++i) {
    EXPECT_FALSE(got[i + 1].fault.ok()) << bad[i].first;
    EXPECT_NE(got[i + 1].fault.message().find(bad[i].second), std::string::npos) << got[i + 1].fault.message();
  }
  expect_refused("\n{\"id\":\"a\"}\n", "jsonl", "line 2: the row has no vector");
  expect_refused("\n\n", "jsonl", "no rows");
}

TEST_F(CliRowsTest, FormatsAreFound) {
  const std::string floats = vecs<float>({Vector(123, 1.0f)});  // begins with a brace
  EXPECT_EQ(rows(write(floats, "x.fvecs"))[0].vector, Vector(123, 1.0f));
  EXPECT_EQ(rows(write_gzip("{\"vector\":[5]}\n", "nameless"))[0].vector, Vector{5});
  EXPECT_EQ(rows(write("5\n6\n", "one.csv")).size(), 2u);
  EXPECT_EQ(rows(write_gzip("id,x\na,5\n", "one.csv.gz"))[0].id, "a");
  EXPECT_EQ(rows(write("5,6\n", "nameless")).size(), 1u);
  expect_refused("no vectors here", "", "--format npy|npz|idx|jsonl|csv|fvecs|bvecs|ivecs|seed");
  expect_refused(floats, "", "--format");
  expect_refused("", "", "not a single byte");
  expect_refused("5,6\n", "npy", "NPY");
}

TEST_F(CliRowsTest, Labels) {
  EXPECT_EQ(*read_labels(write("3\n-1\nshoe\n007\n0\n1.5\n\n-\n")),
            (std::vector<std::string>{"3", "-1", "\"shoe\"", "\"007\"", "0", "\"1.5\"", "\"\"", "\"-\""}));
  EXPECT_EQ(*read_labels(write_gzip("a \"b\"\n", "l.gz")), std::vector<std::string>{R"("a \"b\"")"});
  EXPECT_EQ(*read_labels(write(std::string("\0\0\x08\x01\0\0\0\x02\x05\x09", 10))),
            (std::vector<std::string>{"5", "9"}));
  const auto binary = read_labels(write("\xFF\xFE"));
  ASSERT_FALSE(binary.ok());
  EXPECT_NE(binary.status().message().find("line 1"), std::string::npos);
}

}  // namespace
}  // namespace vs::cli
