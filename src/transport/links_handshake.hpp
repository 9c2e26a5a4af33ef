#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <utility>

#include "transport/links.hpp"
#include "wire/link_greeting.hpp"

namespace hawser::transport {

inline Instant links_now() {
  return Instant(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

/// A connection whose greeting and answer are not yet exchanged.
struct Links::Handshake {
  Handshake(links::SocketId number, Stream connected) : id(number), stream(std::move(connected)) {}

  void close() {
    is_over = true;
    stream.close();
  }

  enum class Preface { awaited, coming, over };

  links::SocketId id;
  Stream stream;
  Preface preface = Preface::over;  ///< What a peer that was told to dial says before all else.
  std::array<std::byte, kPunchHelloBytes> said{};
  std::size_t said_bytes = 0;
  bool is_over = false;  ///< It is in handshakes_ no more.
};

/// Lets the table do something, and performs what it asks for.
template <class Ask>
void Links::ask_table(const Ask& ask) {
  links::Actions actions;
  ask(actions);
  perform(actions);
}

}  // namespace hawser::transport
