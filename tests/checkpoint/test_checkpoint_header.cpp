#include "checkpoint/checkpoint_header.hpp"

#include <string>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"
#include "base/json_scanner.hpp"

namespace hawser {
namespace {

CheckpointHeader small_header() {
  return {.revision = 42,
          .entries = {{"w", DataType::float64, 3, {1, 2}},
                      {"größe \"x\\y\"", DataType::bfloat16, 5, {3, 4}},
                      {"empty", DataType::int16, 0, {5, 6}}}};
}

std::uint64_t data_bytes(const CheckpointHeader& header) {
  std::uint64_t bytes = 0;
  for (const CheckpointEntry& entry : header.entries) bytes += content_bytes(entry);
  return bytes;
}

/// The small header's JSON with one part of it written otherwise.
std::string with(const std::string& part, const std::string& other) {
  std::string json = encode_checkpoint_header(small_header());
  const auto at = json.find(part);
  REQUIRE(at != std::string::npos);
  return json.replace(at, part.size(), other);
}

std::string refusal(const std::string& json, std::uint64_t bytes = 34) {
  const auto header = decode_checkpoint_header(json, bytes);
  REQUIRE_FALSE(header.ok());
  CHECK(header.status() == Status::refused);
  return header.error().sentence;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::optional<std::string> scanned(std::string_view json) {
  JsonScanner scanner(json);
  auto text = scanner.string();
  CHECK(text.has_value() == scanner.failure().empty());
  return text;
}

}  // namespace

TEST_CASE("a checkpoint's header comes back from its text") {
  const std::string json = encode_checkpoint_header(small_header());
  CHECK(json.size() % 8 == 0);
  CHECK(json.front() == '{');
  const auto header = decode_checkpoint_header(json, data_bytes(small_header()));
  INFO((header.ok() ? "" : header.error().sentence));
  REQUIRE(header.ok());
  CHECK(*header == small_header());

  const std::string empty = encode_checkpoint_header({.revision = 1});
  REQUIRE(decode_checkpoint_header(empty, 0).ok());
  CHECK(*decode_checkpoint_header(empty, 0) == CheckpointHeader{.revision = 1});
}

TEST_CASE("every type has safetensors' name") {
  const std::vector<std::string> names{"F32", "F64", "F16", "BF16", "I8",  "U8",
                                       "I16", "U16", "I32", "U32",  "I64", "U64"};
  for (const DataType type : kDataTypes) {
    const CheckpointHeader header{.entries = {{"w", type, 2, {}}}};
    const std::string json = encode_checkpoint_header(header);
    CHECK(contains(json, "\"dtype\":\"" + names[static_cast<std::size_t>(type)] + "\""));
    const auto decoded = decode_checkpoint_header(json, data_bytes(header));
    REQUIRE(decoded.ok());
    CHECK(decoded->entries.front().type == type);
  }
}

TEST_CASE("tensors lie aligned to their elements") {
  std::vector<CheckpointEntry> entries;
  for (const DataType type : kDataTypes)
    entries.push_back({"t" + std::to_string(entries.size()), type, 3, {}});
  order_for_file(entries);
  std::uint64_t at = 0;
  for (const CheckpointEntry& entry : entries) {
    CHECK(at % element_bytes(entry.type) == 0);
    at += content_bytes(entry);
  }
}

TEST_CASE("another writer's spacing, order and escapes are read") {
  const CheckpointHeader header{.revision = 7, .entries = {{"a\"ö😀", DataType::int32, 2, {1, 2}}}};
  const std::string digest = to_string(checkpoint_digest(header));
  const std::string json =
      "{ \"a\\u0022\\u00f6\\ud83d\\ude00\" :\t{\"data_offsets\" : [ 0 ,8 ],\r\n\"shape\":[2] , "
      "\"dtype\":\"\\u00493\\u0032\"},\"__metadata__\":{\"hawser.digest\":\"" +
      digest +
      "\",\"hawser.digest:a\\\"\xc3\xb6😀\":\"00000000000000020000000000000001\","
      "\"hawser.revision\":\"7\",\"hawser\\u002echeckpoint\":\"1\"} }  ";
  const auto decoded = decode_checkpoint_header(json, 8);
  INFO((decoded.ok() ? "" : decoded.error().sentence));
  REQUIRE(decoded.ok());
  CHECK(*decoded == header);
}

TEST_CASE("a header that is cut anywhere is refused") {
  const std::string json = encode_checkpoint_header(small_header());
  const auto last = json.find_last_not_of(' ');
  for (std::size_t length = 0; length <= last; ++length) refusal(json.substr(0, length));
}

TEST_CASE("a header with any bit flipped is refused") {
  const std::string json = encode_checkpoint_header(small_header());
  for (std::size_t at = 0; at < json.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string altered = json;
      altered[at] = static_cast<char>(altered[at] ^ (1 << bit));
      INFO("byte " << at << " of " << altered);
      REQUIRE_FALSE(decode_checkpoint_header(altered, data_bytes(small_header())).ok());
    }
}

TEST_CASE("what is wrong with a header is told") {
  CHECK(contains(refusal(""), "does not start"));
  CHECK(contains(refusal(" {}"), "does not start"));
  CHECK(contains(refusal("{}"), "no __metadata__"));
  CHECK(contains(refusal("[]"), "does not start"));
  CHECK(contains(refusal("{\"__metadata__\":{}}"), "hawser.checkpoint"));
  CHECK(contains(refusal("{\"__metadata__\":{\"format\":\"pt\"}}"), "hawser.checkpoint"));
  CHECK(contains(refusal("{\"__metadata__\":{},\"__metadata__\":{}}"), "twice"));
  CHECK(contains(refusal("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}"), "\"a\" twice"));
  CHECK(contains(refusal("{\"__metadata__\":[]}"), "'{'"));
  CHECK(contains(refusal("{\"__metadata__\":{\"a\":1}}"), "'\"'"));
  CHECK(contains(refusal(encode_checkpoint_header(small_header()) + "x"), "behind the JSON"));
  CHECK(contains(refusal(encode_checkpoint_header(small_header()) + "\n"), "behind the JSON"));
  CHECK(contains(refusal(with("\"hawser.checkpoint\":\"1\"", "\"hawser.checkpoint\":\"2\"")), "\"2\""));
  CHECK(contains(refusal(with("\"42\"", "\"042\"")), "hawser.revision"));
  CHECK(contains(refusal(with("\"42\"", "\"-1\"")), "hawser.revision"));
  CHECK(contains(refusal(with("\"42\"", "\"18446744073709551616\"")), "hawser.revision"));
  CHECK(contains(refusal(with("\"42\"", "\"43\"")), "altered"));
  CHECK(contains(refusal(with("F64", "F99")), "unknown type \"F99\" of the tensor \"w\""));
  CHECK(contains(refusal(with("F64", "I64")), "altered"));
  CHECK(contains(refusal(with("[3]", "[4]")), "\"w\" has 24 bytes for 4 float64"));
  CHECK(contains(refusal(with("[3]", "[3,1]")), "more than 1"));
  CHECK(contains(refusal(with("[3]", "[]")), "fewer than 1"));
  CHECK(contains(refusal(with("[3]", "[03]")), "whole number"));
  CHECK(contains(refusal(with("[3]", "[3.0]")), "no ','"));
  CHECK(contains(refusal(with("[3]", "[-3]")), "whole number"));
  CHECK(contains(refusal(with("[3]", "[18446744073709551616]")), "whole number"));
  CHECK(contains(refusal(with("[0,24]", "[0,24,24]")), "more than 2"));
  CHECK(contains(refusal(with("[0,24]", "[24,0]")), "bytes 24 to 0"));
  CHECK(contains(refusal(with("[0,24]", "[0,35]")), "bytes 0 to 35 of 34"));
  CHECK(contains(refusal(with("[0,24]", "[0,18446744073709551615]")), "of 34"));
  CHECK(contains(refusal(with("[0,24]", "[0,23]")), "23 bytes for 3"));
  CHECK(contains(refusal(with("[24,34]", "[23,34]")), "where another one lies"));
  CHECK(contains(refusal(with("[24,34]", "[25,34]")), "byte 24 is next"));
  CHECK(contains(refusal(with("[24,34]", "[0,10]")), "where another one lies"));
  CHECK(contains(refusal(with("\"w\":{", "\"v\":{")), "no digest of the tensor \"v\""));
  CHECK(contains(refusal(with("\"dtype\"", "\"kind\"")), "\"kind\" of the tensor \"w\""));
  CHECK(contains(refusal(with("\"shape\"", "\"shape\":[3],\"shape\"")), "\"shape\" of the tensor \"w\""));
  CHECK(contains(refusal(with("\"dtype\":\"F64\",", "")), "lacks"));
  CHECK(contains(refusal(with("\"w\":{", "\"\":{")), "no digest"));
  CHECK(contains(refusal(encode_checkpoint_header(small_header()), 35), "1 bytes of data that belong"));
  CHECK(contains(refusal(encode_checkpoint_header(small_header()), 33), "of 33"));
  CHECK(
      contains(refusal(with("\"hawser.digest:w\"", "\"hawser.digest:u\"")), "no digest of the tensor \"w\""));
  const std::string two = with(",\"hawser.digest:w\"", ",\"hawser.more\":\"x\",\"hawser.digest:w\"");
  CHECK(contains(refusal(two), "\"hawser.more\""));
}

TEST_CASE("one tensor twice in a header is refused") {
  CheckpointHeader header{.entries = {{"a", DataType::int8, 1, {1, 2}}, {"b", DataType::int8, 1, {1, 2}}}};
  std::string json = encode_checkpoint_header(header);
  json.replace(json.find("\"b\":{"), 3, "\"a\"");
  CHECK(contains(refusal(json, 2), "no digest of the tensor \"a\""));
  CHECK_FALSE(check_checkpoint_header({.entries = {{.name = "a"}, {.name = "a"}}}).ok());
}

TEST_CASE("names and sizes beyond the limits are no header") {
  const auto error_of = [](const CheckpointHeader& header) {
    const auto checked = check_checkpoint_header(header);
    REQUIRE_FALSE(checked.ok());
    return checked.error().sentence;
  };
  CHECK(contains(error_of({.entries = {{.name = ""}}}), "empty"));
  CHECK(contains(error_of({.entries = {{.name = "__metadata__"}}}), "__metadata__"));
  CHECK(contains(error_of({.entries = {{.name = "a", .count = ~std::uint64_t{0}}}}), "bytes"));
  CHECK(contains(error_of({.entries = std::vector<CheckpointEntry>(65537)}), "65537"));
}

TEST_CASE("deep and endless texts cost nothing") {
  CHECK(contains(refusal(std::string(1 << 20, '{')), "header"));
  CHECK(contains(
      refusal("{\"__metadata__\":{\"" + std::string(1 << 20, '[') + "\":" + std::string(1 << 20, '[')),
      "header"));
  std::string many = "{\"__metadata__\":{";
  for (int i = 0; i < 70000; ++i) many += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":\"\"";
  CHECK(contains(refusal(many + "}}"), "too much metadata"));
}

TEST_CASE("random damage to a header is refused") {
  Random random(77);
  const std::string json = encode_checkpoint_header(small_header());
  for (int round = 0; round < 30000; ++round) {
    std::string altered = json;
    for (std::uint64_t i = 1 + random.below(4); i > 0; --i) {
      const std::size_t at = random.below(altered.size());
      switch (random.below(3)) {
        case 0: altered[at] = static_cast<char>(random.next()); break;
        case 1: altered.erase(at, 1 + random.below(4)); break;
        default: altered.insert(at, 1, json[random.below(json.size())]);
      }
    }
    const auto decoded = decode_checkpoint_header(altered, 34);
    // Only spaces may have come or gone.
    if (decoded.ok()) REQUIRE(*decoded == small_header());
  }
}

TEST_CASE("JSON strings are read with all their escapes") {
  CHECK(scanned("\"\"") == "");
  CHECK(scanned("  \"a\"") == "a");
  CHECK(scanned(R"("\"\\\/\b\f\n\r\t")") == "\"\\/\b\f\n\r\t");
  CHECK(scanned(R"("\u0041\u00e9\u20ac\ud834\udd1e")") == "Aé€𝄞");
  CHECK(scanned(R"("\u0000")") == std::string(1, '\0'));
  for (const char* bad : {"", "a", "\"", "\"a", "\"\\", "\"\\u", "\"\\u12", "\"\\u12\"", "\"\\u12g4\"",
                          "\"\\u+123\"", "\"\\x41\"", "\"\\ud800\"", "\"\\ud800x\"", "\"\\ud800\\u0041\"",
                          "\"\\udc00\"", "\"\n\"", "\"\x01\""})
    CHECK_FALSE(scanned(bad).has_value());
}

TEST_CASE("JSON numbers are whole and from 0 to 2^64 - 1") {
  const auto number = [](std::string_view json) { return JsonScanner(json).number(); };
  CHECK(number("0") == 0);
  CHECK(number(" 18446744073709551615") == ~std::uint64_t{0});
  for (const char* bad : {"", "-1", "+1", "01", "00", "x", "18446744073709551616", ".5", " "})
    CHECK_FALSE(number(bad).has_value());
}

TEST_CASE("JSON objects and arrays want every comma and bracket") {
  const auto numbers = [](std::string_view json) {
    JsonScanner scanner(json);
    std::vector<std::uint64_t> read;
    const bool good = scanner.array([&] {
      const auto number = scanner.number();
      if (number) read.push_back(*number);
      return number.has_value();
    });
    CHECK(good == scanner.failure().empty());
    return good ? read.size() : 99;
  };
  CHECK(numbers("[]") == 0);
  CHECK(numbers("[ ]") == 0);
  CHECK(numbers("[1]") == 1);
  CHECK(numbers("[ 1 , 2 ]") == 2);
  for (const char* bad : {"", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1}", "{1}", "1"})
    CHECK(numbers(bad) == 99);

  const auto members = [](std::string_view json) {
    JsonScanner scanner(json);
    std::size_t read = 0;
    const bool good = scanner.object([&](const std::string&) {
      ++read;
      return scanner.number().has_value();
    });
    return good ? read : 99;
  };
  CHECK(members("{}") == 0);
  CHECK(members("{\"a\":1 , \"b\" : 2}") == 2);
  for (const char* bad :
       {"{", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "{\"a\":1", "{1:1}"})
    CHECK(members(bad) == 99);
}

}  // namespace hawser
