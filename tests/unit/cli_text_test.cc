// Tables, CSV, numbers, the --scale parser, settings, replies with points, and the arithmetic of eval.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <new>
#include <stdexcept>

#include "cli/context.h"
#include "cli/eval.h"
#include "cli/json_cursor.h"
#include "cli/points.h"
#include "cli/progress.h"
#include "cli/scale.h"
#include "cli/settings.h"
#include "cli/table.h"
#include "cli/threads.h"

namespace vs::cli {
namespace {

TEST(CliTableTest, AlignsByCodePoints) {
  Table table({{"id", false}, {"n", true}, {"text", false}});
  table.add({"é", "1", "x"});
  table.add({"long", "100", "y"});
  EXPECT_EQ(table.text(),
            "id      n  text\n"
            "é       1  x\n"
            "long  100  y\n");
  EXPECT_EQ(Table({{"a"}, {"b"}}, false).text(), "");
}

TEST(CliTableTest, ControlCharactersDoNotReachTheTerminal) {
  Table table({{"a"}}, false);
  table.add({"x\033[31m\n\x7fy"});
  EXPECT_EQ(table.text(), "x?[31m??y\n");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m\xc2\x80\xc2\x9f\xc2\xa0"),
            "?31m??\xc2\xa0")
      << "C1, which abbreviates escape sequences";
  EXPECT_EQ(printable("a\u202eb\u2066c\u2028d\u200fe"), "a?b?c?d?e");
  EXPECT_EQ(printable("\x9b"
                      "31m \xff \xc3 \xed\xa0\x80 \xc0\x9b \xf4\x90\x80\x80"),
            "?31m ? ? ??? ?? ????")
      << "no UTF-8";
  EXPECT_EQ(printable("é 漢 😀 \u200d"), "é 漢 😀 \u200d");
}

TEST(CliTableTest, AsciiHasOneCharacterForEach) { EXPECT_EQ(ascii("aé漢😀z\n\xff"), "a???z??"); }

TEST(CliTableTest, APartGoesOnInTheColumnsOfTheOneBefore) {
  Table first({{"id"}, {"n"}});
  first.add({"long", "1"});
  Table second({{"id"}, {"n"}}, /*header=*/false);
  second.add({"x", "2"});
  second.widen(first.widths());
  EXPECT_EQ(first.text() + second.text(), "id    n\nlong  1\nx     2\n");
}

TEST(CliTableTest, CsvQuotesWhatNeedsIt) {
  EXPECT_EQ(csv_cell("plain text"), "plain text");
  EXPECT_EQ(csv_cell("a,b"), "\"a,b\"");
  EXPECT_EQ(csv_cell("say \"x\""), "\"say \"\"x\"\"\"");
  EXPECT_EQ(csv_cell("two\nlines"), "\"two\nlines\"");
  Table table({{"a"}, {"b"}}, false);
  table.add({"1,2", ""});
  EXPECT_EQ(table.csv(), "a,b\n\"1,2\",\n");
}

TEST(CliTableTest, FieldsAreFlattened) {
  const auto json = parse_json(R"({"dim":3,"ml":0.36067376022224085,"bytes":{"graph":5},"layers":[7,1],"x":null})");
  EXPECT_EQ(fields_table(json, true).text(),
            "dim          3\nml           0.3607\nbytes.graph  5\nlayers       [7,1]\nx            \n");
  EXPECT_NE(fields_table(json, false).csv().find("0.36067376022224085"), std::string::npos);
  EXPECT_EQ(fields_table(parse_json("no json"), true).text(), "");
}

TEST(CliScaleTest, NumbersAndFractions) {
  EXPECT_EQ(parse_scale("1/255")->apply(255), 1.0f);
  for (int pixel = 0; pixel < 256; ++pixel)
    EXPECT_EQ(parse_scale("1/255")->apply(pixel), static_cast<float>(pixel) / 255.0f);
  EXPECT_EQ(parse_scale("0.5")->apply(3), 1.5f);
  EXPECT_EQ(parse_scale("-2e0")->apply(3), -6.0f);
  for (const char* text : {"", "x", "1/0", "0", "1/", "/2", "nan", "inf", "1/2/3", "1 /x", "1e999"}) {
    EXPECT_EQ(parse_scale(text).status().code(), Code::kBadArgument) << text;
  }
}

class CliSettingsTest : public testing::Test {
 protected:
  CliSettingsTest()
      : path_((std::filesystem::temp_directory_path() / ("vsctl-" + std::to_string(::getpid()) + ".conf")).string()) {}
  ~CliSettingsTest() override { std::filesystem::remove(path_); }

  void write(const std::string& text) {
    std::ofstream(path_) << text;
    variables_["VSCTL_CONFIG"] = path_;
  }
  Result<Settings> resolve(const Layer& flags = {}) const {
    return resolve_settings(flags, [this](std::string_view name) -> std::optional<std::string> {
      const auto found = variables_.find(std::string(name));
      if (found == variables_.end()) return std::nullopt;
      return found->second;
    });
  }

  const std::string path_;
  std::map<std::string, std::string> variables_;
};

TEST_F(CliSettingsTest, Defaults) {
  const auto settings = resolve();
  ASSERT_TRUE(settings.ok());
  EXPECT_EQ(settings->address(), "127.0.0.1:8700");
  EXPECT_EQ(settings->output, Format::kTable);
}

TEST_F(CliSettingsTest, FlagsOverEnvironmentOverFile) {
  write("# comment\n\n server = file:1 \ntoken-file = /file\noutput=csv\n");
  auto settings = resolve();
  ASSERT_TRUE(settings.ok()) << settings.status().message();
  EXPECT_EQ(settings->server, "file:1");
  EXPECT_EQ(settings->token_file, "/file");
  EXPECT_EQ(settings->output, Format::kCsv);
  variables_["VSCTL_SERVER"] = "environment:1";
  variables_["VSCTL_OUTPUT"] = "json";
  settings = resolve();
  ASSERT_TRUE(settings.ok());
  EXPECT_EQ(settings->server, "environment:1");
  EXPECT_EQ(settings->token_file, "/file");
  EXPECT_EQ(settings->output, Format::kJson);
  Layer flags;
  flags.server = "flag:1";
  flags.output = "table";
  settings = resolve(flags);
  ASSERT_TRUE(settings.ok());
  EXPECT_EQ(settings->server, "flag:1");
  EXPECT_EQ(settings->output, Format::kTable);
}

TEST_F(CliSettingsTest, AHigherAddressReplacesALowerOneOfTheOtherKind) {
  write("socket = /file.sock\n");
  EXPECT_EQ(resolve()->address(), "/file.sock");
  Layer flags;
  flags.server = "flag:1";
  EXPECT_EQ(resolve(flags)->address(), "flag:1");
  variables_["VSCTL_SERVER"] = "environment:1";
  variables_["VSCTL_SOCKET"] = "/environment.sock";
  EXPECT_EQ(resolve().status().code(), Code::kBadArgument);
  EXPECT_EQ(resolve(flags)->address(), "flag:1");
}

TEST_F(CliSettingsTest, ErrorsNameFileAndLine) {
  write("output = json\nserve = x\n");
  EXPECT_EQ(resolve().status().code(), Code::kBadArgument);
  EXPECT_NE(resolve().status().message().find("line 2"), std::string::npos);
  write("just words\n");
  EXPECT_FALSE(resolve().ok());
  write("output = xml\n");
  EXPECT_NE(resolve().status().message().find("xml"), std::string::npos);
  variables_["VSCTL_CONFIG"] = "/nonexistent";
  EXPECT_EQ(resolve().status().code(), Code::kBadArgument);
}

TEST_F(CliSettingsTest, AnEmptyFileSaysNothing) {
  write("");
  EXPECT_TRUE(resolve().ok()) << resolve().status().message();
  EXPECT_EQ(*read_text_file(path_), "");
  const std::string large(200'000, 'x');
  write(large);
  EXPECT_EQ(*read_text_file(path_), large);
  EXPECT_EQ(read_text_file("/").status().code(), Code::kIoError);
}

TEST(CliPointsTest, ReadsAScanReply) {
  const std::string json =
      R"({"points":[{"id":"a","attributes":{"x":0.1234567890123456789,"vector":[1],"n":{"id":"z"},"big":18446744073709551615},)"
      R"("vector":[1,-0.1,16777217,3.4028235e+38],"links":[["b","c"],[]]},{"id":"é \"q\"","attributes":{}}],"cursor":"12"})";
  const auto reply = parse_points(json, PointText::kWhole);
  ASSERT_TRUE(reply.ok()) << reply.status().message();
  ASSERT_EQ(reply->points.size(), 2u);
  const PointData& point = reply->points[0];
  EXPECT_EQ(point.id, "a");
  EXPECT_EQ(point.attributes, R"({"x":0.1234567890123456789,"vector":[1],"n":{"id":"z"},"big":18446744073709551615})");
  EXPECT_EQ(point.vector, (std::vector<float>{1, -0.1f, 16777216.0f, 3.4028235e+38f}));
  EXPECT_EQ(point.links, (std::vector<std::vector<std::string>>{{"b", "c"}, {}}));
  EXPECT_EQ(point.text + "," + reply->points[1].text, json.substr(11, json.size() - 11 - 16));
  EXPECT_EQ(reply->points[1].id, "é \"q\"");
  EXPECT_EQ(reply->points[1].attributes, "{}");
  EXPECT_EQ(reply->rest, R"({"cursor":"12"})");
}

TEST(CliPointsTest, LeavesVectorsOutOfTheText) {
  const auto reply = parse_points(
      R"({"matches":[{"id":"a","distance":1.5,"attributes":{"label":7},"vector":[1,2]}],"explain":{"hops":[1,2],"points":[3]}})",
      PointText::kWithoutVector);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->points[0].text, R"({"id":"a","distance":1.5,"attributes":{"label":7}})");
  EXPECT_EQ(reply->points[0].vector, (std::vector<float>{1, 2}));
  EXPECT_EQ(reply->points[0].distance, 1.5f);
  EXPECT_EQ(reply->rest, R"({"explain":{"hops":[1,2],"points":[3]}})");
  const auto empty = parse_points(R"({"matches":[]})");
  ASSERT_TRUE(empty.ok());
  EXPECT_TRUE(empty->points.empty());
  EXPECT_EQ(empty->rest, "{}");
}

TEST(CliPointsTest, RefusesWhatIsNoListOfPoints) {
  for (const char* json :
       {"", "{}", "[]", "3", "{\"points\":3}", "{\"points\":{}}", "{\"points\":[3]}", "{\"points\":[[]]}",
        "{\"points\":[{\"id\":\"a\"}", "{\"points\":[],\"points\":[]}", "{\"x\":[]}"}) {
    EXPECT_FALSE(parse_points(json).ok()) << json;
  }
  EXPECT_EQ(parse_point(R"({"id":"a","attributes":{"k":[1]}})")->attributes, R"({"k":[1]})");
  EXPECT_FALSE(parse_point("").ok());
}

TEST(CliPointsTest, NumbersOfAttributesStayAsTheyWereGiven) {
  const std::string attributes =
      R"({"population":1e39,"digits":123456789012345678901234567890123456789012345,"zero":-0,"spaces" : [ 1.0, 2 ],"label":-0})";
  const std::string point = R"({"id":"a","attributes":)" + attributes + R"(,"vector":[-0.0,1e-45]})";
  for (const PointText text : {PointText::kNone, PointText::kWhole, PointText::kWithoutVector}) {
    const auto reply = parse_points(R"({"points":[)" + point + R"(],"cursor":null})", text);
    ASSERT_TRUE(reply.ok()) << reply.status().message();
    EXPECT_EQ(reply->points[0].attributes, attributes);
    EXPECT_TRUE(std::signbit(reply->points[0].vector[0]));
    EXPECT_EQ(reply->points[0].vector[1], 1e-45f);
    if (text == PointText::kWhole) {
      EXPECT_EQ(reply->points[0].text, point);
    }
    if (text == PointText::kWithoutVector) {
      EXPECT_EQ(reply->points[0].text, R"({"id":"a","attributes":)" + attributes + "}");
    }
  }
  EXPECT_EQ(parse_point(point)->attributes, attributes);
  EXPECT_EQ(label_of(attributes), "-0");
}

TEST(CliPointsTest, ADistanceBeyondFloatIsNull) {
  EXPECT_TRUE(std::isinf(parse_points(R"({"matches":[{"id":"a","distance":null}]})")->points[0].distance));
}

TEST(CliJsonTest, OneWellFormedObject) {
  for (const char* text : {"{}", " { } ", R"({"a":[1,-0,1.5e-3,[],{}],"b":"\u00e9\n","c":true,"d":null})"}) {
    EXPECT_TRUE(is_json_object(text)) << text;
  }
  for (const char* text : {"",
                           "[]",
                           "3",
                           "{",
                           "}",
                           "{}}",
                           "{} {}",
                           "{a:1}",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{,}",
                           "{\"a\":01}",
                           "{\"a\":1.}",
                           "{\"a\":.5}",
                           "{\"a\":+1}",
                           "{\"a\":-}",
                           "{\"a\":1e}",
                           "{\"a\":tru}",
                           "{\"a\":\"\\x\"}",
                           "{\"a\":\"\\u12g4\"}",
                           "{\"a\":\"}",
                           "{\"a\":\"\n\"}",
                           "{\"a\":[1,]}",
                           "{\"a\":[1}",
                           "{\"a\":[1]]}",
                           "{\"a\":1 \"b\":2}",
                           "{\"a\":nan}"}) {
    EXPECT_FALSE(is_json_object(text)) << text;
  }
}

TEST(CliPointsTest, Labels) {
  EXPECT_EQ(label_of(R"({"label":7})"), "7");
  EXPECT_EQ(label_of(R"({"label":"shoe"})"), "shoe");
  EXPECT_EQ(label_of(R"({"x":7})"), "");
  EXPECT_EQ(label_of(""), "");
}

TEST(CliEvalTest, RecallAndPercentiles) {
  const Answers truth = {{{"1", "2"}, {}}, {{"3", "4"}, {}}};
  EXPECT_DOUBLE_EQ(recall(truth, {{{"2", "9"}, {}}, {{"4", "3"}, {}}}), 0.75);
  EXPECT_DOUBLE_EQ(recall(Answer{}, Answer{}), 1);
  const Answer near{{"a", "b"}, {1, 2}};
  EXPECT_DOUBLE_EQ(recall(near, {{"a", "c"}, {1, 2}}), 1) << "c is as near as b";
  EXPECT_DOUBLE_EQ(recall(near, {{"a", "c"}, {1, 2.5F}}), 0.5);
  EXPECT_DOUBLE_EQ(recall(near, {{"c", "d", "a"}, {2, 2, 2}}), 1) << "not more than all";
  std::vector<double> sorted;
  for (int i = 1; i <= 100; ++i) sorted.push_back(i);
  EXPECT_EQ(percentile(sorted, 50), 50);
  EXPECT_EQ(percentile(sorted, 99), 99);
  EXPECT_EQ(percentile({5}, 99), 5);
}

TEST(CliThreadsTest, AnExceptionIsReported) {
  std::atomic<int> done{0};
  std::mutex mutex;
  std::vector<std::string> messages;
  run_threads(
      4,
      [&done](size_t i) {
        if (i == 1) throw std::bad_alloc();
        if (i == 2) throw std::runtime_error("of a library");
        ++done;
      },
      [&](const Status& status) {
        const std::lock_guard lock(mutex);
        EXPECT_EQ(status.code(), Code::kInternal);
        messages.push_back(status.message());
      });
  EXPECT_EQ(done, 2);
  std::sort(messages.begin(), messages.end());
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_NE(messages[0].find("of a library"), std::string::npos);
  EXPECT_NE(messages[1].find("not enough memory"), std::string::npos);
}

TEST(CliProgressTest, Durations) {
  EXPECT_EQ(short_duration(7.4), "0:07");
  EXPECT_EQ(short_duration(750), "12:30");
  EXPECT_EQ(short_duration(3723), "1:02:03");
  EXPECT_EQ(short_duration(-1), "0:00");
}

}  // namespace
}  // namespace vs::cli
