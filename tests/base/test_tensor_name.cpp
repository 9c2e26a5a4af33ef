#include "base/tensor_name.hpp"

#include <string>

#include "catch.hpp"

namespace hawser {
namespace {

bool is_good(std::string_view name) { return check_tensor_name(name).ok(); }

}  // namespace

TEST_CASE("printable UTF-8 is a tensor's name") {
  for (const char* name :
       {"w", "model.layers.10.attn.q_proj.weight", " with spaces ", "\"quoted\\\"", "größe", "重み",
        "\U0001f600", "\u00a0", "\uffff", "\ud7ff", "\ue000", "\U0010ffff"}) {
    INFO(name);
    CHECK(is_good(name));
  }
}

TEST_CASE("a tensor's name has 1 to 255 bytes") {
  CHECK_FALSE(is_good(""));
  CHECK(is_good(std::string(255, 'n')));
  CHECK_FALSE(is_good(std::string(256, 'n')));
}

TEST_CASE("control characters and broken UTF-8 are no name") {
  using namespace std::string_view_literals;
  for (const std::string_view name : {"\0"sv,
                                      "a\nb"sv,
                                      "\x7f"sv,
                                      "\xc2\x80"sv,
                                      "\xc2\x9f"sv,
                                      "\xe2\x80\xa8"sv,
                                      "\xe2\x80\xa9"sv,
                                      "\x80"sv,
                                      "\xbf"sv,
                                      "\xc0\x80"sv,
                                      "\xc1\xbf"sv,
                                      "\xe0\x9f\xbf"sv,
                                      "\xf0\x8f\xbf\xbf"sv,
                                      "\xed\xa0\x80"sv,
                                      "\xed\xbf\xbf"sv,
                                      "\xf4\x90\x80\x80"sv,
                                      "\xf5\x80\x80\x80"sv,
                                      "\xf8\x88\x80\x80\x80"sv,
                                      "\xff"sv,
                                      "ok\xc3"sv,
                                      "ok\xe2\x82"sv,
                                      "\xc3(z"sv}) {
    CHECK_FALSE(is_good(name));
    CHECK_FALSE(is_good("before" + std::string(name) + "behind"));
  }
}

TEST_CASE("the sentence about a bad name is itself printable") {
  const auto checked = check_tensor_name("weight\x1b[2J");
  REQUIRE_FALSE(checked.ok());
  CHECK(checked.status() == Status::invalid_argument);
  CHECK(checked.error().sentence.find("byte 6") != std::string::npos);
  for (const char character : checked.error().sentence) CHECK(static_cast<unsigned char>(character) >= 0x20);
}

}  // namespace hawser
