// Readers of IDX and NPY files and the NPY writer.
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "cli/array.h"
#include "cli/npy.h"

namespace vs::cli {
namespace {

class CliArrayTest : public testing::Test {
 protected:
  CliArrayTest() {
    std::string name = (std::filesystem::temp_directory_path() / "vs-cli-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~CliArrayTest() override { std::filesystem::remove_all(directory_); }

  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  std::string write(const std::string& bytes, const std::string& name = "file") const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }
  std::string write_gzip(const std::string& bytes) const {
    gzFile file = gzopen(path("file.gz").c_str(), "wb");
    EXPECT_EQ(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())), static_cast<int>(bytes.size()));
    gzclose(file);
    return path("file.gz");
  }
  static void expect_refused(const std::string& file, Code code, const std::string& part) {
    const auto array = Array::open(file);
    ASSERT_FALSE(array.ok());
    EXPECT_EQ(array.status().code(), code) << array.status().message();
    EXPECT_NE(array.status().message().find(part), std::string::npos) << array.status().message();
    EXPECT_NE(array.status().message().find(file), std::string::npos) << array.status().message();
  }

 private:
  std::filesystem::path directory_;
};

std::string big_endian(uint32_t number) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(number >> shift & 0xFF);
  return out;
}

std::string idx(uint8_t type, const std::vector<uint32_t>& shape, const std::string& data) {
  std::string out = {0, 0, static_cast<char>(type), static_cast<char>(shape.size())};
  for (uint32_t extent : shape) out += big_endian(extent);
  return out + data;
}

std::string npy(int version, const std::string& dictionary, const std::string& data) {
  std::string out = "\x93NUMPY";
  out += static_cast<char>(version);
  out += '\0';
  const size_t length_bytes = version == 1 ? 2 : 4;
  for (size_t i = 0; i < length_bytes; ++i) out += static_cast<char>(dictionary.size() >> (8 * i) & 0xFF);
  return out + dictionary + data;
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  std::string out(values.size() * sizeof(T), '\0');
  std::memcpy(out.data(), values.data(), out.size());
  return out;
}

std::vector<float> floats(const Array& array, const Scale& scale = {}) {
  std::vector<float> out(array.rows() * array.columns());
  EXPECT_TRUE(array.read_floats(0, scale, out).ok());
  return out;
}

const std::string kImages = idx(0x08, {2, 2, 3}, std::string("\x00\x01\x02\x03\x04\xFF\x0A\x0B\x0C\x0D\x0E\x0F", 12));

TEST_F(CliArrayTest, ReadsIdxBytesPlainAndGzip) {
  for (const std::string& file : {write(kImages), write_gzip(kImages)}) {
    const auto array = Array::open(file);
    ASSERT_TRUE(array.ok()) << array.status().message();
    EXPECT_EQ(array->rows(), 2u);
    EXPECT_EQ(array->columns(), 6u);
    EXPECT_EQ(floats(*array), (std::vector<float>{0, 1, 2, 3, 4, 255, 10, 11, 12, 13, 14, 15}));
    std::vector<float> second(6);
    ASSERT_TRUE(array->read_floats(1, Scale{1, 255}, second).ok());
    EXPECT_EQ(second[0], 10.0f / 255.0f);
    EXPECT_EQ(floats(*array, Scale{1, 255})[5], 1.0f);
  }
}

TEST_F(CliArrayTest, ReadsOtherIdxTypes) {
  const auto single = Array::open(write(idx(0x0D, {1, 2}, big_endian(0x3FC00000) + big_endian(0xC0000000))));
  ASSERT_TRUE(single.ok());
  EXPECT_EQ(floats(*single), (std::vector<float>{1.5f, -2.0f}));
  const auto labels = Array::open(write(idx(0x0C, {3}, big_endian(7) + big_endian(0xFFFFFFFF) + big_endian(0)), "l"));
  ASSERT_TRUE(labels.ok());
  EXPECT_EQ(labels->rows(), 1u);
  EXPECT_EQ(labels->columns(), 3u);
  EXPECT_EQ(*labels->all_integers(), (std::vector<int64_t>{7, -1, 0}));
}

TEST_F(CliArrayTest, RefusesBadIdx) {
  expect_refused(write(""), Code::kBadRequest, "neither");
  expect_refused(write("hello, this is text"), Code::kBadRequest, "neither");
  expect_refused(write(idx(0x08, {2, 2, 3}, "").substr(0, 10)), Code::kBadRequest, "truncated");
  expect_refused(write(kImages.substr(0, kImages.size() - 1)), Code::kBadRequest, "truncated");
  expect_refused(write(kImages + "x"), Code::kBadRequest, "more");
  expect_refused(write_gzip(kImages.substr(0, kImages.size() - 1)), Code::kBadRequest, "truncated");
  expect_refused(write_gzip(kImages + "x"), Code::kBadRequest, "more");
  expect_refused(path("missing"), Code::kIoError, "cannot open");
  expect_refused(path("."), Code::kIoError, "regular file");
}

TEST_F(CliArrayTest, HugeDimensionsAllocateNothing) {
  const uint32_t huge = 0xFFFFFFFF;
  expect_refused(write(idx(0x08, {huge, huge, huge}, "abc")), Code::kTooLarge, "2^64");
  expect_refused(write(idx(0x08, {huge, 1024, 1024}, "abc")), Code::kBadRequest, "truncated");
  expect_refused(write_gzip(idx(0x08, {huge, 1024, 1024}, "abc")), Code::kBadRequest, "truncated");
  expect_refused(write(npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 8), }", "")),
                 Code::kTooLarge, "2^64");
}

TEST_F(CliArrayTest, RefusesDamagedGzip) {
  const std::string file = write_gzip(kImages);
  std::ifstream in(file, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  expect_refused(write(bytes.substr(0, bytes.size() - 9)), Code::kBadRequest, "truncated");
  bytes[bytes.size() - 6] = static_cast<char>(bytes[bytes.size() - 6] ^ 0x55);  // the checksum
  expect_refused(write(bytes), Code::kBadRequest, "damaged");
}

TEST_F(CliArrayTest, ReadsNpyOfAllVersionsAndTypes) {
  const std::string shape = "'fortran_order': False, 'shape': (2, 2), }";
  for (int version : {1, 2, 3}) {
    const auto array =
        Array::open(write(npy(version, "{'descr': '<f4', " + shape + "   \n", bytes_of<float>({1, 2, 3, 4.5f}))));
    ASSERT_TRUE(array.ok()) << array.status().message();
    EXPECT_EQ(floats(*array), (std::vector<float>{1, 2, 3, 4.5f}));
    EXPECT_FALSE(array->integers());
  }
  const auto doubles = Array::open(write(npy(1, "{'descr': '<f8', " + shape, bytes_of<double>({1, 2, 3, 0.1}))));
  ASSERT_TRUE(doubles.ok());
  EXPECT_EQ(floats(*doubles)[3], 0.1f);
  const auto halves =
      Array::open(write(npy(1, "{'descr': '<f2', " + shape, bytes_of<uint16_t>({0x3C00, 0xC100, 0x0001, 0x7C00}))));
  ASSERT_TRUE(halves.ok());
  EXPECT_EQ(floats(*halves), (std::vector<float>{1, -2.5f, std::ldexp(1.0f, -24), INFINITY}));
  const auto longs =
      Array::open(write(npy(1, "{'descr': '<i8', " + shape, bytes_of<int64_t>({-1, 2, int64_t{1} << 53, 0}))));
  ASSERT_TRUE(longs.ok());
  EXPECT_EQ(*longs->all_integers(), (std::vector<int64_t>{-1, 2, int64_t{1} << 53, 0}));
  const auto swapped = Array::open(write(npy(1, "{'descr': '>i2', " + shape, std::string("\0\1\0\2\xFF\xFF\1\0", 8))));
  ASSERT_TRUE(swapped.ok());
  EXPECT_EQ(floats(*swapped), (std::vector<float>{1, 2, -1, 256}));
  const auto row =
      Array::open(write(npy(1, "{\"shape\": (3,), 'fortran_order':False,'descr':'|u1'}", std::string("\1\2\3"))));
  ASSERT_TRUE(row.ok()) << row.status().message();
  EXPECT_EQ(row->rows(), 1u);
  EXPECT_EQ(row->columns(), 3u);
}

TEST_F(CliArrayTest, RefusesBadNpy) {
  const std::string order = "'fortran_order': False, ";
  const auto refuse = [&](const std::string& dictionary, const std::string& part, int version = 1) {
    expect_refused(write(npy(version, dictionary, std::string(16, '\0'))), Code::kBadRequest, part);
  };
  refuse("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }", "C order");
  refuse("{'descr': '<c8', " + order + "'shape': (2,), }", "<c8");
  refuse("{'descr': [('a', '<f4')], " + order + "'shape': (4,), }", "structured");
  refuse("{'descr': '<f4', " + order + "'shape': (), }", "rows");
  refuse("{'descr': '<f4', " + order + "'shape': (2, -2), }", "shape");
  refuse("{'descr': '<f4', " + order + "}", "missing");
  refuse("{'descr': '<f4', " + order + "'shape': (2, 2), 'x': 1}", "unknown key");
  refuse("{'descr'", "key");
  refuse("", "dictionary");
  refuse("{'descr': '<f4', " + order + "'shape': (2, 3), }", "truncated");
  refuse("{'descr': '<f4', " + order + "'shape': (1, 3), }", "more");
  refuse("{'descr': '<f4', " + order + "'shape': (2, 2), }", "version", 4);
  expect_refused(write("\x93NUMPY"), Code::kBadRequest, "truncated");
  expect_refused(write(std::string("\x93NUMPY\x01\0\xFF\x7F{", 11)), Code::kBadRequest, "truncated");
  expect_refused(write(std::string("\x93NUMPY\x02\0\xFF\xFF\xFF\xFF{", 13)), Code::kBadRequest, "at most");
}

TEST_F(CliArrayTest, NpyStrings) {
  const std::u32string data = {U'a', 0, 0, U'\u00e9', U'\U0001F600', U'\u6f22', U'x', 0, U'y', 0, 0, 0};
  const std::string bytes(reinterpret_cast<const char*>(data.data()), data.size() * sizeof(char32_t));
  const std::string order = "'fortran_order': False, ";
  const auto strings = parse_npy_strings(npy(1, "{'descr': '<U3', " + order + "'shape': (4,), }", bytes));
  ASSERT_TRUE(strings.ok()) << strings.status().message();
  EXPECT_EQ(*strings, (std::vector<std::string>{"a", "é😀漢", std::string("x\0y", 3), ""}));
  EXPECT_TRUE(parse_npy_strings(npy(2, "{'descr': '<U1', " + order + "'shape': (0,), }", ""))->empty());
  const auto refuse = [&](const std::string& dictionary, const std::string& content, const std::string& part) {
    const auto result = parse_npy_strings(npy(1, dictionary, content));
    EXPECT_EQ(result.status().code(), Code::kBadRequest);
    EXPECT_NE(result.status().message().find(part), std::string::npos) << result.status().message();
  };
  for (const char* descr : {"<f4", ">U3", "<U", "<U0", "<U-3", "<U3x", "<U99999999999999999999", "|S3"})
    refuse(std::string("{'descr': '") + descr + "', " + order + "'shape': (4,), }", bytes, "strings");
  refuse("{'descr': '<U3', " + order + "'shape': (2, 2), }", bytes, "one dimension");
  refuse("{'descr': '<U3', " + order + "'shape': (5,), }", bytes, "damaged");
  refuse("{'descr': '<U3', " + order + "'shape': (3,), }", bytes, "damaged");
  refuse("{'descr': '<U4', " + order + "'shape': (4611686018427387904,), }", "", "damaged");
  refuse("{'descr': '<U1', " + order + "'shape': (1,), }", std::string("\0\0\x11\0", 4), "row 0");
  refuse("{'descr': '<U1', " + order + "'shape': (1,), }", std::string("\0\xd8\0\0", 4), "row 0");
  EXPECT_FALSE(parse_npy_strings("").ok());
  EXPECT_FALSE(parse_npy_strings("no array").ok());
}

TEST_F(CliArrayTest, WrittenNpyReadsBack) {
  {
    auto writer = NpyWriter::create(path("a.npy"), "<f4", 2);
    ASSERT_TRUE(writer.ok());
    const std::vector<float> values = {1, 2, 3, 4, 5, 6};
    ASSERT_TRUE(writer->append(values.data(), 16).ok());
    ASSERT_TRUE(writer->append(values.data() + 4, 8).ok());
    EXPECT_FALSE(std::filesystem::exists(path("a.npy")));
    ASSERT_TRUE(writer->finish(3).ok());
  }
  const auto array = Array::open(path("a.npy"), ArrayFormat::kNpy);
  ASSERT_TRUE(array.ok()) << array.status().message();
  EXPECT_EQ(array->shape(), (std::vector<uint64_t>{3, 2}));
  EXPECT_EQ(floats(*array), (std::vector<float>{1, 2, 3, 4, 5, 6}));
}

TEST_F(CliArrayTest, AnUnfinishedFileLeavesNothing) {
  {
    auto writer = NpyWriter::create(path("b.npy"), "<i4", 0);
    ASSERT_TRUE(writer.ok());
  }
  EXPECT_FALSE(std::filesystem::exists(path("b.npy")));
  EXPECT_FALSE(std::filesystem::exists(path("b.npy.tmp")));
}

}  // namespace
}  // namespace vs::cli
