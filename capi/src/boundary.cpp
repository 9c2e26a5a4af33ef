#include "boundary.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/limits.hpp"
#include "base/thrown.hpp"

namespace hawser::capi {
namespace {

/// Fixed, so that keeping a sentence cannot fail.
thread_local std::array<char, limits::kSentenceBytesMax + 1> the_sentence{};

hawserResult_t keep(Status status, std::string_view sentence) noexcept {
  const std::size_t count = std::min(sentence.size(), the_sentence.size() - 1);
  std::copy_n(sentence.begin(), count, the_sentence.begin());
  the_sentence[count] = '\0';
  return static_cast<hawserResult_t>(status);
}

}  // namespace

const char* last_sentence() noexcept { return the_sentence.data(); }

hawserResult_t report(const Error& error) noexcept { return keep(error.status, error.sentence); }

hawserResult_t report_exception() noexcept {
  const Thrown thrown = what_was_thrown();
  return keep(thrown.status, thrown.sentence.data());
}

Error invalid_argument(std::string sentence) { return {Status::invalid_argument, std::move(sentence)}; }

}  // namespace hawser::capi
