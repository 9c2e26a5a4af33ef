#pragma once

#include <asio/io_context.hpp>
#include <chrono>
#include <functional>

namespace hawser::test {

/// Runs handlers until it is true, within a bound.
inline bool run_until(asio::io_context& io, const std::function<bool()>& condition,
                      std::chrono::milliseconds bound = std::chrono::seconds(20)) {
  const auto end = std::chrono::steady_clock::now() + bound;
  while (!condition()) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= end) return false;
    if (io.stopped()) io.restart();
    io.run_one_until(end);
  }
  return true;
}

}  // namespace hawser::test
