#include <string>

#include "base/random.hpp"
#include "catch.hpp"
#include "base/loggable_text.hpp"

namespace hawser {

TEST_CASE("text that may stand in a log line") {
  for (const char* text : {"", "plain", "tilde~", "\xc2\xa0", "\xc3\xa9", "\xe6\x97\xa5\xe6\x9c\xac",
                           "\xf0\x9f\xaa\xa2", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80"}) {
    INFO(text);
    CHECK_FALSE(first_unloggable(text));
  }
}

TEST_CASE("text that may not, and where") {
  struct Bad {
    const char* what;
    std::string text;
    std::size_t at;
  };
  for (const Bad& bad :
       {Bad{"line break", "ab\n", 2}, Bad{"null", std::string("a\0", 2), 1}, Bad{"escape", "\x1b[0m", 0},
        Bad{"delete", "\x7f", 0}, Bad{"C1 control", "x\xc2\x85", 1}, Bad{"line separator", "\xe2\x80\xa8", 0},
        Bad{"overlong slash", "\xc0\xaf", 0}, Bad{"overlong", "\xe0\x80\xaf", 0},
        Bad{"overlong", "\xf0\x80\x80\xaf", 0}, Bad{"surrogate", "\xed\xa0\x80", 0},
        Bad{"beyond Unicode", "\xf4\x90\x80\x80", 0}, Bad{"lone continuation", "ok\x80", 2},
        Bad{"cut short", "ok\xe6\x97", 2}, Bad{"no continuation", "\xc3(", 0},
        Bad{"no such byte", "\xff", 0}}) {
    INFO(bad.what);
    REQUIRE(first_unloggable(bad.text));
    CHECK(*first_unloggable(bad.text) == bad.at);
  }
}

TEST_CASE("any text can be made loggable, and fit text stays as it is") {
  CHECK(make_loggable("a\nb\xff"
                      "c",
                      100) == "a?b?c");
  CHECK(make_loggable("\xc3\xa9\xc3\xa9", 3) == "\xc3\xa9");
  CHECK(make_loggable("abc", 0).empty());
  Random random(1);
  for (int i = 0; i < 5000; ++i) {
    std::string noise(random.below(40), '\0');
    for (char& c : noise) c = static_cast<char>(random.next());
    const std::string fit = make_loggable(noise, 20);
    REQUIRE(fit.size() <= 20);
    REQUIRE_FALSE(first_unloggable(fit));
    REQUIRE(make_loggable(fit, 20) == fit);
  }
}

}  // namespace hawser
