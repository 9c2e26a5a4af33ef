#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/signature.hpp"
#include "membership/view.hpp"

/// How a run stands, as its master knows it: who is in, who waits for what, and what is under way. For people
/// who look for whoever holds it up; no machine decides by it.
namespace hawser {

/// What a peer that is in no view waits for.
enum class Awaits : std::uint8_t {
  first_view = 0,   ///< The run has no members yet: those who come in time are admitted together.
  update = 1,       ///< An update-topology of all members.
  prefetch = 2,     ///< The end of its own fetching, as a guest.
  party = 3,        ///< The rest of its party.
  links = 4,        ///< Links between it and the members, which are being opened.
  recovery = 5,     ///< A newcomer: the former members of a run that lost its master.
  others_back = 6,  ///< A former member that is back: the others.
  nothing = 7,      ///< A former member that is not back yet: it is what the others wait for.
  turn = 8,         ///< Its turn: too many visit already, or its links have failed before.
  permission = 9,   ///< An operator, who admits its key.
};
inline constexpr std::uint32_t kAwaitsMax = static_cast<std::uint32_t>(Awaits::permission);

struct PeerStatus {
  Member member;
  Party party{};
  std::uint64_t heard_ms = 0;  ///< Since the master last heard of it; 0 for a former member that is not back.
  bool in_update = false;      ///< It waits in update-topology.
  bool opens_links = false;    ///< It waits for admission, and lacks links to members yet.
  bool is_away = false;        ///< A member whose connection to the master broke, and who may come back.
  friend bool operator==(const PeerStatus&, const PeerStatus&) = default;
};

struct GroupStatus {
  std::uint32_t group = 0;
  Epoch epoch;
  std::uint32_t size = 0;           ///< More than are listed, if some were left out.
  std::vector<PeerStatus> members;  ///< By rank.
  ViewId view{};
  std::uint64_t measures = 0;         ///< Newest version of what its members have measured; 0: none in this view.
  std::uint64_t measures_age_ms = 0;  ///< Since that was told to them.
  std::uint64_t mismatches = 0;       ///< How often its members called different things,
  std::string last_mismatch{};        ///< who called what the last time,
  std::uint64_t last_mismatch_age_ms = 0;  ///< and how long ago; 0 if that never was.
  friend bool operator==(const GroupStatus&, const GroupStatus&) = default;
};

struct PendingStatus {
  std::uint32_t group = 0;
  PeerStatus peer;
  Awaits awaits = Awaits::update;
  std::uint64_t waits_ms = 0;  ///< Since it came; 0 for former members.
  friend bool operator==(const PendingStatus&, const PendingStatus&) = default;
};

/// A collective that is neither committed nor aborted, and that the master has heard of: one that lasts, or
/// that somebody has a whole result of.
struct CollectiveStatus {
  std::uint32_t group = 0;
  std::uint64_t tag = 0;
  std::uint64_t sequence = 0;
  Signature signature;
  bool alike = true;           ///< All who called it called the same; else `signature` is one of several.
  std::uint64_t since_ms = 0;  ///< Since the master first heard of it.
  std::uint32_t group_size = 0;
  /// Ranks, in order.
  std::vector<std::uint32_t> called;
  std::vector<std::uint32_t> reported;
  /// Who holds it up: those who have not called it; else the one who is to blame for a stall that others
  /// complain of; else the one whose links are far slower than was known; else those who have no whole result yet.
  std::vector<std::uint32_t> waits_for;
  /// Who was reported for holding it up though it goes on: by slow links, or as the last without a result.
  std::vector<std::uint32_t> stragglers{};
  friend bool operator==(const CollectiveStatus&, const CollectiveStatus&) = default;
};

/// A peer says that it has no straight way to another one of its group.
struct UnreachedStatus {
  PeerId from;
  PeerId to;
  PeerId by{};      ///< Who passes on what goes over their link; none: they have none.
  std::string why;  ///< How the last try ended.
  friend bool operator==(const UnreachedStatus&, const UnreachedStatus&) = default;
};

inline constexpr std::size_t kCollectiveKinds = 7;

/// What has happened since this master began to serve. They only grow.
struct RunTotals {
  std::array<std::uint64_t, kCollectiveKinds> committed{};  ///< Collectives, by kind.
  std::array<std::uint64_t, kCollectiveKinds> bytes{};      ///< And how large: count times size of an element.
  /// Collectives that the master had heard of and that ended with an error, by what it was.
  std::uint64_t failed_by_loss = 0;
  std::uint64_t failed_by_mismatch = 0;
  std::uint64_t failed_by_timeout = 0;
  std::uint64_t failed_otherwise = 0;  ///< By a restart or takeover of the master.
  std::uint64_t joined = 0;  ///< Members and relays that were admitted, those of the first view too.
  std::uint64_t left = 0;    ///< Members and relays that said good-bye,
  std::uint64_t lost = 0;    ///< and that were removed.
  friend bool operator==(const RunTotals&, const RunTotals&) = default;
};

struct RunStatus {
  RunId run;
  std::uint32_t protocol_version = 0;
  std::string version;      ///< Of the master's Hawser: "0.1.0".
  std::uint64_t up_ms = 0;  ///< Since the master was started.
  World world;
  std::uint32_t in_update = 0;  ///< Members that wait in update-topology; it ends when all do.
  std::uint64_t update_ms = 0;  ///< Since the first of them called it.
  std::vector<GroupStatus> groups;
  std::vector<PendingStatus> pending;
  std::vector<CollectiveStatus> collectives;  ///< The oldest first.
  /// What is not listed, because a message holds only so much.
  std::uint32_t peers_left_out = 0;
  std::uint32_t collectives_left_out = 0;
  bool has_keys = false;  ///< Nobody is heard without one.
  std::vector<UnreachedStatus> unreached{};  ///< As many as fit.
  bool serves = true;     ///< False: a master that stands by.
  std::uint32_t gathered = 0;  ///< So many members of a run wait with a master that stands by.
  std::uint64_t term = 0;  ///< Of the master, where others may take the run over; 0: it is the only one.
  RunTotals totals{};
  std::string waits{};     ///< Why a master that stands by does not take the run over, in a sentence.
  friend bool operator==(const RunStatus&, const RunStatus&) = default;
};

}  // namespace hawser
