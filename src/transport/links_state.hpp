#pragma once

#include <algorithm>
#include <array>
#include <asio/error.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "links/link_sides.hpp"
#include "transport/connection_count.hpp"
#include "transport/links.hpp"
#include "transport/same_machine.hpp"
#include "transport/socket_wait.hpp"

/// What links.cpp, links_accept.cpp and links_dial.cpp share.
namespace hawser::transport {

using Clock = std::chrono::steady_clock;

/// One connection of a link, over all its lives.
struct Links::Slot {
  Slot(asio::io_context& io, Link& owner, std::uint32_t number) : link(&owner), index(number), timer(io) {}

  Link* link;  ///< Null once the link is closed: whatever is under way then ends without a word.
  std::uint32_t index;
  std::shared_ptr<DataConnection> standing;
  Clock::time_point standing_since{};
  std::uint64_t incarnation = 0;  ///< Of the one that stands, or stood last.

  // Dialling side.
  asio::steady_timer timer;  ///< For the redial, or as the bound of the greeting.
  std::shared_ptr<Dial> dialling;
  std::shared_ptr<Tcp::socket> greeting;
  Digest128 proof{};  ///< That went with it.
  std::array<std::byte, kGreetingAnswerBytes> answer{};
  std::size_t answered = 0;
  std::uint64_t attempt = 0;  ///< Counts; a handler of an older one has nothing to say.
  Clock::duration delay{};    ///< Before the next redial.
};

struct Links::Link {
  explicit Link(asio::io_context& io) : look(io) {}
  bool dials() const { return sides.dialler() == LinkSides::Dialler::ours; }
  bool has_connection() const {
    return std::any_of(slots.begin(), slots.end(), [](const auto& slot) { return slot->standing != nullptr; });
  }

  LinkTarget target;
  LinkSides sides;
  asio::steady_timer look;  ///< At the sides.
  std::vector<std::shared_ptr<Slot>> slots;
  bool between_hosts = false;
  std::optional<ConnectionCount> count;  ///< Where the number follows what is measured.
  bool widened = false;  ///< For a probe; the number is not to be judged by what happens meanwhile.
  std::uint64_t segments_sent = 0;       ///< Of all its connections, when they were last looked at.
  std::uint64_t segments_repeated = 0;
  std::size_t turn = 0;  ///< Which connection is asked first, so that each has its share of single frames.
};

/// An accepted connection that belongs to no link yet.
struct Links::Stranger {
  Stranger(Tcp::socket accepted_socket, std::string host)
      : socket(std::move(accepted_socket)), remote_host(std::move(host)) {}

  Tcp::socket socket;
  std::string remote_host;
  std::string source;
  Clock::time_point deadline{};
  std::array<std::byte, kGreetingBytes> received{};
  std::size_t count = 0;
  std::optional<LinkGreeting> greeting;  ///< Once it is whole: it waits for its link to be opened here.
  bool over = false;                     ///< It is in the list no more.
};

/// What a connection between hosts holds that the network cannot take yet: enough for the time that a wake-up takes.
inline constexpr std::size_t kUnsentBytesMax = 128 << 10;
inline constexpr Clock::duration kRedialFirst = std::chrono::milliseconds(20);

inline Instant instant_now() {
  return Instant(std::chrono::duration_cast<Duration>(Clock::now().time_since_epoch()));
}

}  // namespace hawser::transport
