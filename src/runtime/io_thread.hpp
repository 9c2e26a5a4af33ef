#pragma once

#include <asio/io_context.hpp>
#include <utility>

#include "base/thrown.hpp"

namespace hawser {

/// Runs an io_context until it is stopped, whatever its handlers throw: `failed` hears of each exception on
/// this thread, after which the rest goes on.
template <class Failed>
void run_io(asio::io_context& io, const Failed& failed) noexcept {
  static_assert(noexcept(failed(std::declval<const Thrown&>())), "who ends the calls may not fail itself");
  while (!io.stopped()) {
    try {
      io.run();
    } catch (...) {
      failed(what_was_thrown());
    }
  }
}

}  // namespace hawser
