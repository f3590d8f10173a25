#include "daemon/protocol.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "daemon/text.h"

namespace vs::protocol {
namespace {

using std::string_literals::operator""s;

Request parse(std::string_view line) {
  auto request = parse_request(line);
  EXPECT_TRUE(request.ok()) << line << ": " << request.status().to_string();
  return request.ok() ? *std::move(request) : Request{};
}

template <class T>
testing::AssertionResult fails(const Result<T>& result, Code code, std::string_view part) {
  if (result.ok()) return testing::AssertionFailure() << "succeeded";
  if (result.status().code() != code) return testing::AssertionFailure() << result.status().to_string();
  if (result.status().message().find(part) == std::string::npos) {
    return testing::AssertionFailure() << result.status().message() << " does not contain " << part;
  }
  return testing::AssertionSuccess();
}

Value bare(std::string_view text) { return {Value::Kind::kBare, text}; }
Value array(std::string_view text) { return {Value::Kind::kArray, text}; }
Value object(std::string_view text) { return {Value::Kind::kObject, text}; }
Value string(std::string_view text) { return {Value::Kind::kString, text}; }

TEST(ParseRequest, SplitsWordsOptionsAndJson) {
  const std::string line = "  add photos \"a b\"\t[1, 2]  {\"x\": \"]} \\\" \"} if=absent f32:AAAA= with=\"a b\"\r";
  const Request request = parse(line);
  EXPECT_EQ(request.verb, "ADD");
  ASSERT_EQ(request.arguments.size(), 5u);
  EXPECT_EQ(request.arguments[0].text, "photos");
  EXPECT_EQ(request.arguments[1].kind, Value::Kind::kString);
  EXPECT_EQ(request.arguments[1].text, "\"a b\"");
  EXPECT_EQ(request.arguments[2].kind, Value::Kind::kArray);
  EXPECT_EQ(request.arguments[2].text, "[1, 2]");
  EXPECT_EQ(request.arguments[3].kind, Value::Kind::kObject);
  EXPECT_EQ(request.arguments[3].text, "{\"x\": \"]} \\\" \"}");
  EXPECT_EQ(request.arguments[4].text, "f32:AAAA=");
  ASSERT_EQ(request.options.size(), 2u);
  EXPECT_EQ(request.options[0].name, "if");
  EXPECT_EQ(request.options[0].value.text, "absent");
  EXPECT_EQ(request.options[1].name, "with");
  EXPECT_EQ(request.options[1].value.text, "\"a b\"");
}

TEST(ParseRequest, TakesAnEmptyOptionAndWordsThatOnlyResembleOptions) {
  const Request request = parse("SEARCH =x 1=2 a-b=c k= _y=1");
  EXPECT_EQ(request.arguments.size(), 3u);
  ASSERT_EQ(request.options.size(), 2u);
  EXPECT_EQ(request.options[0].name, "k");
  EXPECT_EQ(request.options[0].value.text, "");
  EXPECT_EQ(request.options[1].name, "_y");
}

TEST(ParseRequest, RefusesWhatIsNoText) {
  EXPECT_TRUE(fails(parse_request("PING \x01"), Code::kBadRequest, "'\\x01'"));
  EXPECT_TRUE(fails(parse_request("PI\0NG"s), Code::kBadRequest, "byte 2"));
  EXPECT_TRUE(fails(parse_request("PING\rPING"), Code::kBadRequest, "'\\x0d'"));
  for (const std::string& bad : {"\xff"s, "\xc3"s, "\xc0\xaf"s, "\xe0\x80\x80"s, "\xed\xa0\x80"s, "\xf4\x90\x80\x80"s,
                                 "\xf8\x88\x80\x80\x80"s, "\x80"s, "\xf0\x9f\x92"s}) {
    EXPECT_TRUE(fails(parse_request("GET a " + bad), Code::kBadRequest, "byte 6 is no valid UTF-8")) << excerpt(bad);
  }
  EXPECT_EQ(parse("GET a žluťoučký€😀").arguments[1].text, "žluťoučký€😀");
}

TEST(ParseRequest, RefusesWhatIsNoRequest) {
  EXPECT_TRUE(fails(parse_request(""), Code::kBadRequest, "empty"));
  EXPECT_TRUE(fails(parse_request(" \t \r"), Code::kBadRequest, "empty"));
  EXPECT_TRUE(fails(parse_request("[1,2]"), Code::kBadRequest, "verb"));
  EXPECT_TRUE(fails(parse_request("1PING"), Code::kBadRequest, "verb"));
  EXPECT_TRUE(fails(parse_request("ADD a \"b"), Code::kBadRequest, "string that begins at byte 6 does not end"));
  EXPECT_TRUE(fails(parse_request("ADD a \"b\\\""), Code::kBadRequest, "does not end"));
  EXPECT_TRUE(fails(parse_request("ADD a b [1,2"), Code::kBadRequest, "array that begins at byte 8 does not end"));
  EXPECT_TRUE(fails(parse_request("ADD a b [1] {\"x\":\"}"), Code::kBadRequest, "object that begins at byte 12"));
  EXPECT_TRUE(fails(parse_request("ADD a \"b\"c"), Code::kBadRequest, "a space is expected"));
  EXPECT_TRUE(fails(parse_request("SEARCH a k=1 k=2"), Code::kBadRequest, "'k' is given twice"));
  std::string many = "SEARCH a";
  for (int i = 0; i < 100; ++i) many += " o" + std::to_string(i) + "=1";
  EXPECT_TRUE(fails(parse_request(many), Code::kBadRequest, "at most 32 options"));
  EXPECT_TRUE(fails(parse_request("ADD a b " + std::string(1'000'000, '[')), Code::kBadRequest, "does not end"));
}

TEST(ParseRequest, SurvivesNoise) {
  std::mt19937 random(7);
  const std::string_view alphabet = "ab \"\\[]{}=:,\t\r\x01\x80\xc3\xa9k1f32:";
  for (int i = 0; i < 20'000; ++i) {
    std::string line;
    for (size_t n = random() % 40; n > 0; --n) line += alphabet[random() % alphabet.size()];
    const auto request = parse_request(line);
    if (!request.ok()) {
      EXPECT_EQ(request.status().code(), Code::kBadRequest);
      continue;
    }
    for (const Value& value : request->arguments) {
      (void)read_word(value, "x").ok();
      (void)read_vector(value).ok();
      (void)read_attributes(value).ok();
    }
  }
}

TEST(ReadWord, DecodesStrings) {
  EXPECT_EQ(*read_word(bare("x"), "id"), "x");
  EXPECT_EQ(*read_word(string("\"a b\""), "id"), "a b");
  EXPECT_EQ(*read_word(string("\"\\u00e9\\\"\\n\""), "id"), "é\"\n");
  EXPECT_TRUE(fails(read_word(string("\"\\x\""), "id"), Code::kBadArgument, "id must be a valid JSON string"));
  EXPECT_TRUE(fails(read_word(string("\"\\ud800\""), "id"), Code::kBadArgument, "valid JSON string"));
  EXPECT_TRUE(fails(read_word(string("\"a\tb\""), "id"), Code::kBadArgument, "valid JSON string"));
  EXPECT_TRUE(fails(read_word(array("[1]"), "id"), Code::kBadArgument, "id must be a word"));
  EXPECT_TRUE(fails(read_word(object("{}"), "id"), Code::kBadArgument, "id must be a word"));
}

TEST(ReadUnsigned, NamesArgumentRangeAndWhatCame) {
  EXPECT_EQ(*read_unsigned(bare("1"), "k", 1, 10'000), 1u);
  EXPECT_EQ(*read_unsigned(bare("10000"), "k", 1, 10'000), 10'000u);
  EXPECT_EQ(*read_unsigned(bare("18446744073709551615"), "seed", 0, UINT64_MAX), UINT64_MAX);
  for (const std::string_view text : {"0", "-1", "10001", "9223372036854775808", "99999999999999999999999", "abc",
                                      "1.5", "", "1 ", "+1", "0x1", "1e3"}) {
    EXPECT_TRUE(fails(read_unsigned(bare(text), "k", 1, 10'000), Code::kBadArgument,
                      "k must be an integer from 1 to 10000, got '" + std::string(text) + "'"));
  }
  EXPECT_TRUE(fails(read_unsigned(string("\"1\""), "k", 1, 9), Code::kBadArgument, "k must be"));
  const auto longest = read_unsigned(bare(std::string(5000, '9')), "k", 1, 9);
  ASSERT_FALSE(longest.ok());
  EXPECT_LT(longest.status().message().size(), 120u);
}

TEST(ReadNumber, TakesFiniteJsonNumbers) {
  EXPECT_EQ(*read_number(bare("0.25"), "radius"), 0.25);
  EXPECT_EQ(*read_number(bare("-1e-3"), "radius"), -1e-3);
  EXPECT_EQ(*read_number(bare("1e-999"), "radius"), 0.0);
  for (const std::string_view text :
       {"1e999", "nan", "inf", "-Infinity", "", "-", "1.", ".5", "01", "+1", "1e", "0x1p3", "1,5"}) {
    EXPECT_TRUE(fails(read_number(bare(text), "radius"), Code::kBadArgument, "radius must be a finite number, got"));
  }
  EXPECT_TRUE(fails(read_number(array("[1]"), "radius"), Code::kBadArgument, "finite number"));
}

TEST(ReadBool, TakesTrueAndFalseOnly) {
  EXPECT_TRUE(*read_bool(bare("true"), "exact"));
  EXPECT_FALSE(*read_bool(bare("false"), "exact"));
  for (const std::string_view text : {"True", "1", "yes", ""}) {
    EXPECT_TRUE(fails(read_bool(bare(text), "exact"), Code::kBadArgument, "exact must be true or false"));
  }
}

TEST(ReadVector, ReadsArrays) {
  EXPECT_EQ(*read_vector(array("[1]")), std::vector<float>{1});
  EXPECT_EQ(*read_vector(array("[ 1 ,\t-2.5 , 1e2,0,3E-1 ]")), (std::vector<float>{1, -2.5f, 100, 0, 0.3f}));
  const auto tiny = read_vector(array("[1e-45,-1e-45,1e-999,-0,1e-40,3.4028235e38]"));
  ASSERT_TRUE(tiny.ok());
  EXPECT_EQ((*tiny)[0], std::numeric_limits<float>::denorm_min());
  EXPECT_EQ((*tiny)[1], -std::numeric_limits<float>::denorm_min());
  EXPECT_EQ((*tiny)[2], 0.0f);
  EXPECT_TRUE(std::signbit((*tiny)[3]));
  EXPECT_EQ((*tiny)[4], 1e-40f);
  EXPECT_EQ((*tiny)[5], std::numeric_limits<float>::max());
}

TEST(ReadVector, TellsNonFiniteFromMalformed) {
  for (const std::string_view text :
       {"[1e999]", "[0,-1e39]", "[NaN]", "[Infinity]", "[1,-Infinity]", "[nan]", "[inf]", "[-inf]"}) {
    EXPECT_TRUE(fails(read_vector(array(text)), Code::kNotFinite, "component")) << text;
  }
  for (const std::string_view text :
       {"[]",  "[ ]",  "[1,]",    "[,1]",   "[1 2]",  "[1,2}", "[01]", "[.5]", "[1.]",   "[+1]",
        "[-]", "[1e]", "[\"1\"]", "[null]", "[true]", "[[1]]", "[{}]", "[1]]", "[0x10]", "[1}]"}) {
    EXPECT_TRUE(fails(read_vector(array(text)), Code::kBadArgument, "")) << text;
  }
  EXPECT_TRUE(fails(read_vector(array("[1,2,x]")), Code::kBadArgument, "component 2"));
  EXPECT_TRUE(fails(read_vector(bare("hello")), Code::kBadArgument, "JSON array"));
  EXPECT_TRUE(fails(read_vector(string("\"f32:AAAA\"")), Code::kBadArgument, "JSON array"));
  EXPECT_TRUE(fails(read_vector(object("{}")), Code::kBadArgument, "JSON array"));
}

TEST(ReadVector, ReadsBase64Strictly) {
  EXPECT_EQ(*read_vector(bare("f32:AACAPw==")), std::vector<float>{1});
  EXPECT_EQ(*read_vector(bare("f32:AACAPwAAAEA=")), (std::vector<float>{1, 2}));
  EXPECT_EQ(*read_vector(bare("f32:AACAPwAAAEAAAEBA")), (std::vector<float>{1, 2, 3}));
  for (const std::string_view text :
       {"f32:", "f32:A", "f32:AACAPw=", "f32:AACAPw", "f32:AACAPw===", "f32:=ACAPw==", "f32:AA=APw==", "f32:AAC-Pw==",
        "f32:AAC_Pw==", "f32:AAAA", "f32:AAA=", "f32:====", "f32:\nAACAPw==", "F32:AACAPw=="}) {
    EXPECT_TRUE(fails(read_vector(bare(text)), Code::kBadArgument, "")) << text;
  }
}

TEST(ReadAttributes, ChecksTheObject) {
  EXPECT_EQ(*read_attributes(object("{}")), "{}");
  EXPECT_EQ(*read_attributes(object("{\"a\" : [1, {\"b\":null}]}")), "{\"a\" : [1, {\"b\":null}]}");
  for (const std::string_view text : {"{a:1}", "{\"a\":}", "{\"a\":1,}", "{]}", "{\"a\":NaN}", "{\"a\":1e999}",
                                      "{\"a\":01}", "{\"a\":\"\\ud800\"}"}) {
    EXPECT_TRUE(fails(read_attributes(object(text)), Code::kBadArgument, "attributes must be valid JSON")) << text;
  }
  EXPECT_TRUE(fails(read_attributes(array("[1]")), Code::kBadArgument, "must be a JSON object"));
  EXPECT_TRUE(fails(read_attributes(bare("x")), Code::kBadArgument, "must be a JSON object"));

  const std::string fits = "{\"a\":\"" + std::string(limits::kAttributesBytes - 8, 'x') + "\"}";
  EXPECT_TRUE(read_attributes(object(fits)).ok());
  const std::string large = "{\"a\":\"" + std::string(limits::kAttributesBytes - 7, 'x') + "\"}";
  EXPECT_TRUE(fails(read_attributes(object(large)), Code::kTooLarge, "at most 65536 bytes, got 65537"));
}

TEST(ReadAttributes, BoundsTheDepth) {
  const auto nested = [](size_t depth) {
    return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
  };
  EXPECT_TRUE(read_attributes(object(nested(64))).ok());
  EXPECT_TRUE(fails(read_attributes(object(nested(65))), Code::kBadArgument, "at most 64 deep"));
  EXPECT_TRUE(fails(read_attributes(object(nested(30'000))), Code::kBadArgument, "at most 64 deep"));
  EXPECT_TRUE(read_attributes(object("{\"a\":\"" + std::string(500, '[') + "\"}")).ok());
}

TEST(Floats, ReadBackBitForBit) {
  std::mt19937 random(1);
  std::vector<float> vector = {0.0f,
                               -0.0f,
                               1.0f,
                               16777216.0f,
                               16777217.0f,
                               0.1f,
                               1e10f,
                               123456789.0f,
                               1e-45f,
                               1e-38f,
                               std::numeric_limits<float>::max(),
                               std::numeric_limits<float>::min(),
                               std::numeric_limits<float>::lowest()};
  while (vector.size() < 20'000) {
    const auto number = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (std::isfinite(number)) vector.push_back(number);
  }
  for (uint32_t bits = 1; bits < 200; ++bits) vector.push_back(std::bit_cast<float>(bits));
  std::string text;
  append_vector(text, vector);

  const auto same = [&](const std::vector<float>& other) {
    ASSERT_EQ(other.size(), vector.size());
    for (size_t i = 0; i < vector.size(); ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(other[i]), std::bit_cast<uint32_t>(vector[i])) << vector[i];
    }
  };
  same(*read_vector(array(text)));
  same(FloatJson::parse(text).get<std::vector<float>>());
  const std::string encoded = encode_vector(vector);
  same(*read_vector(bare(encoded)));
  for (size_t n = 1; n < 8; ++n) {
    const auto front = std::span(vector).first(n);
    EXPECT_EQ(read_vector(bare(encode_vector(front)))->size(), n);
  }
}

TEST(Floats, DoublesReadBack) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 5'000; ++i) {
    const auto number = std::bit_cast<double>(random());
    if (!std::isfinite(number)) continue;
    std::string text;
    append_number(text, number);
    EXPECT_EQ(*read_number(bare(text), "x"), number);
    EXPECT_TRUE(nlohmann::json::accept(text)) << text;
  }
}

TEST(Floats, WhatJsonCannotSayIsNull) {
  std::string text;
  append_number(text, std::numeric_limits<float>::infinity());
  append_number(text, std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(text, "nullnull");
}

TEST(Strings, QuoteWordReadsBack) {
  std::mt19937 random(3);
  std::vector<std::string> words = {"",    "a",     "a b", "\"",   "[1]",  "{",         "a=b",  "=b",
                                    "1=2", "f32:A", "\\",  "a\"b", "a\\",  "ž€😀",       "x\ty", "line\nend",
                                    "\r",  "a=",    "_=",  "\x7f", "\0x"s, "k=\"v w\"", "a[",   "\u00a0"};
  const std::string_view alphabet = "ab=\" \\[{}],\t\n\r";
  for (int i = 0; i < 5'000; ++i) {
    std::string word;
    for (size_t n = random() % 8; n > 0; --n) word += alphabet[random() % alphabet.size()];
    words.push_back(word);
  }
  for (const std::string& word : words) {
    const std::string line = "GET c " + quote_word(word) + " with=" + quote_word(word);
    const Request request = parse(line);
    ASSERT_EQ(request.arguments.size(), 2u) << line;
    ASSERT_EQ(request.options.size(), 1u) << line;
    EXPECT_EQ(*read_word(request.arguments[1], "id"), word);
    EXPECT_EQ(*read_word(request.options[0].value, "with"), word);
  }
  EXPECT_EQ(quote_word("plain-1.jpg"), "plain-1.jpg");
}

TEST(Strings, BadUtf8IsReplaced) {
  std::string text;
  append_string(text, "a\xff\"b");
  EXPECT_EQ(text, "\"a\xEF\xBF\xBD\\\"b\"");
  EXPECT_TRUE(parse_request("GET c " + quote_word("\xff")).ok());
}

TEST(Validate, Ids) {
  EXPECT_TRUE(validate_id("a b=c").ok());
  EXPECT_TRUE(validate_id(std::string(512, 'x')).ok());
  EXPECT_EQ(validate_id(std::string(513, 'x')).code(), Code::kTooLarge);
  EXPECT_EQ(validate_id("").code(), Code::kBadArgument);
  EXPECT_EQ(validate_id("a\nb").code(), Code::kBadArgument);
  EXPECT_EQ(validate_id("a\x7f").code(), Code::kBadArgument);
  EXPECT_EQ(validate_id("a\xff").code(), Code::kBadArgument);
}

TEST(Validate, CollectionNames) {
  for (const std::string& name : {"a"s, "A-b_c.9"s, "-x"s, std::string(64, 'x')}) {
    EXPECT_TRUE(validate_collection_name(name).ok()) << name;
  }
  for (const std::string& name : {""s, ".a"s, ".."s, "a/b"s, "a b"s, "é"s, "a\0"s, std::string(65, 'x')}) {
    EXPECT_EQ(validate_collection_name(name).code(), Code::kBadArgument) << name;
  }
}

TEST(Replies, ErrorLinesReadBack) {
  const Status status(Code::kNotFound, "no point 'x'");
  EXPECT_EQ(error_line(status), "ERR not_found no point 'x'");
  EXPECT_EQ(error_line({Code::kInternal, "a\nb\x01\xff"}), "ERR internal a b ?");
  const auto reply = parse_reply("ERR not_found no point 'x'\n");
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->status.code(), Code::kNotFound);
  EXPECT_EQ(reply->status.message(), "no point 'x'");
}

TEST(Replies, Parse) {
  EXPECT_TRUE(parse_reply("OK")->status.ok());
  EXPECT_EQ(parse_reply("OK")->json, "");
  EXPECT_EQ(parse_reply("OK {\"a\":1}\r\n")->json, "{\"a\":1}");
  EXPECT_EQ(parse_reply("ERR busy")->status.code(), Code::kBusy);
  EXPECT_EQ(parse_reply("ERR from_the_future x")->status.code(), Code::kInternal);
  EXPECT_EQ(parse_reply("ERR from_the_future x")->status.message(), "from_the_future x");
  for (const std::string_view line : {"", "OK 1", "OKAY", "OK {", "ERR ", "HTTP/1.1 400 Bad Request", "ERR"}) {
    EXPECT_TRUE(fails(parse_reply(line), Code::kBadRequest, "a reply is")) << line;
  }
}

TEST(Text, ExcerptIsShortAndSafe) {
  std::string quoted(42, 'x');
  quoted.front() = '\'';
  quoted.replace(41, 1, "…'");
  EXPECT_EQ(excerpt("abc"), "'abc'");
  EXPECT_EQ(excerpt("a\x1b\xff\nž"), "'a\\x1b\\xff\\x0až'");
  EXPECT_EQ(excerpt(std::string(100, 'x')), quoted);
  EXPECT_FALSE(find_bad_utf8(excerpt(std::string(39, 'x') + "žluťoučký")));
}

TEST(Text, NearestGuessesTyposOnly) {
  const std::string_view verbs[] = {"SEARCH", "SCAN", "STATS", "ADD", "DEL"};
  EXPECT_EQ(nearest("SERCH", verbs), "SEARCH");
  EXPECT_EQ(nearest("stat", verbs), "STATS");
  EXPECT_EQ(nearest("SELECT", verbs), "");
  EXPECT_EQ(nearest("XYZ", verbs), "");
  EXPECT_EQ(nearest(std::string(100'000, 'x'), verbs), "");
}

}  // namespace
}  // namespace vs::protocol
