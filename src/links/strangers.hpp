#pragma once

#include <array>
#include <cstddef>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/digest128.hpp"
#include "base/ids.hpp"
#include "base/instant.hpp"
#include "base/key_id.hpp"
#include "base/limits.hpp"
#include "base/token_bucket.hpp"
#include "links/link_actions.hpp"
#include "wire/link_greeting.hpp"

namespace hawser::links {

struct StrangerBounds {
  /// An accepted connection must have sent its greeting after so long.
  Duration greeting = seconds(5);
  /// One that has waits so long for its link to be opened here.
  Duration held = seconds(5);
  /// Accepted connections of no link yet: all, and those of one source.
  std::size_t most = limits::kStrangersMax;
  std::size_t of_source_most = limits::kHandshakesPerSourceMax;
  /// How many one source may open.
  TokenBucket::Rate opens_per_source{.burst = limits::kHandshakesBurst, .per_second = limits::kHandshakesPerSecond};
  /// How many all sources may open together. A source that has opened others lately leaves half of it to the rest.
  TokenBucket::Rate opens_of_all{.burst = limits::kHandshakesOfAllBurst,
                                 .per_second = limits::kHandshakesOfAllPerSecond};
};

/// An accepted connection that belongs to no link yet.
struct Stranger {
  SocketId socket;
  std::string source;       ///< Whose limits it counts for.
  std::string remote_host;  ///< For people.
  Digest128 machine_proof{};  ///< As this end finds it.
  Instant deadline{};
  std::array<std::byte, kGreetingBytes> received{};
  std::size_t count = 0;
  std::optional<KeyId> key{};            ///< That it has proven to have.
  std::optional<LinkGreeting> greeting;  ///< Once it is whole: it waits for its link to be opened here.
  bool is_answered = false;              ///< The accepting answer is being written.
  bool is_through = false;               ///< What lies beyond it came by a go-between.
  bool is_punched = false;               ///< It is one that this side has dialled, too.
  PeerId by{};                           ///< The go-between that it came by.
  bool waits_to_meet = false;            ///< For another peer, which was invited.
};

/// The strangers of one port, oldest first, and the bounds on them. A pure data structure.
class Strangers {
 public:
  explicit Strangers(const StrangerBounds& bounds) : bounds_(bounds), opens_of_all_(bounds.opens_of_all) {}

  const StrangerBounds& bounds() const { return bounds_; }
  std::size_t size() const { return all_.size(); }
  bool empty() const { return all_.empty(); }

  /// Takes one of what this source, and all together, may open in a time; false if nothing is left.
  bool may_open(Instant now, const std::string& source);
  /// Who has to go before another one of this source is added; null: there is room. That is the oldest, of the same
  /// source if that has its share already, and first one that has not sent its greeting.
  const Stranger* in_the_way_of(const std::string& source) const;
  /// A reference stays valid until the stranger is removed.
  Stranger& add(Instant now, Stranger stranger);
  /// Null if there is none.
  Stranger* find(SocketId socket);
  const Stranger* find(SocketId socket) const;
  void remove(SocketId socket);
  void clear() { all_.clear(); }

  /// Those whose greeting is of this peer and waits.
  std::vector<SocketId> held_of(PeerId peer) const;
  /// Who waits here to be connected with another peer.
  const Stranger* waiting_to_meet(PeerId who, PeerId other) const;
  std::size_t waiting_to_meet() const;
  std::size_t waiting_to_meet(PeerId who) const;
  /// A greeting of this peer is being accepted.
  bool is_answering(PeerId peer) const;
  bool holds(PeerId peer) const { return !held_of(peer).empty(); }
  std::vector<SocketId> late(Instant now) const;
  std::optional<Instant> next_deadline() const;

 private:
  StrangerBounds bounds_;
  std::list<Stranger> all_;
  std::map<std::string, TokenBucket> opens_;  ///< By source.
  TokenBucket opens_of_all_;
};

}  // namespace hawser::links
