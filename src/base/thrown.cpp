#include "base/thrown.hpp"

#include <cstdio>
#include <new>
#include <system_error>

#include "base/bug_found.hpp"

namespace hawser {
namespace {

Thrown say(Status status, const char* what, const char* detail) noexcept {
  Thrown thrown;
  thrown.status = status;
  (void)std::snprintf(thrown.sentence.data(), thrown.sentence.size(), "%s%s", what, detail);
  return thrown;
}

}  // namespace

Thrown thrown_of(const Error& error) noexcept { return say(error.status, error.sentence.c_str(), ""); }

Thrown what_was_thrown() noexcept {
  try {
    throw;
  } catch (const BugFound& bug) {
    return say(Status::internal, "Hawser found a bug of its own; please report it: ", bug.what());
  } catch (const std::bad_alloc&) {
    return say(Status::system, "the system has no memory left", "");
  } catch (const std::system_error& error) {
    return say(Status::system, "the system refused something: ", error.what());
  } catch (const std::exception& error) {
    return say(Status::internal, "an unexpected exception; please report it: ", error.what());
  } catch (...) {
    return say(Status::internal, "an unexpected exception of unknown kind; please report it", "");
  }
}

}  // namespace hawser
