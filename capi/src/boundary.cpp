#include "boundary.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "base/bug_found.hpp"
#include "base/limits.hpp"

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
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return keep(Status::system, "the system has no memory left");
  } catch (const std::system_error& error) {
    return keep(Status::system, error.what());
  } catch (const BugFound& bug) {
    return keep(Status::internal, bug.what());
  } catch (const std::exception& error) {
    return keep(Status::internal, error.what());
  } catch (...) {
    return keep(Status::internal, "an unexpected exception of unknown kind");
  }
}

Error invalid_argument(std::string sentence) { return {Status::invalid_argument, std::move(sentence)}; }

}  // namespace hawser::capi
