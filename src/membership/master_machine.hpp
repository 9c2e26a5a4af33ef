#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.hpp"
#include "base/instant.hpp"
#include "base/link_layout.hpp"
#include "base/log_event.hpp"
#include "membership/admission_rules.hpp"
#include "membership/lease.hpp"
#include "membership/messages.hpp"
#include "membership/straggler.hpp"

namespace hawser {

/// The bounds that the master keeps; hawser.h says what each is for.
struct MasterConfig {
  Duration silence = seconds(5);
  Duration stall = seconds(6);
  Duration call_wait = seconds(600);
  /// How long former members of a restarted master, and members whose connection broke, have to come back.
  Duration recovery = seconds(5);
  Duration bootstrap = seconds(1);
  /// For the links of a peer that is to be admitted.
  Duration link_open = seconds(10);
  /// How long to wait for the other members' calls once two were seen to differ, so that all are told.
  Duration mismatch_grace = seconds(2);
  /// What happens to a member that holds up a collective by links that deliver less than so many percent of what its
  /// plan counts on, for so long.
  StragglerPolicy straggler_policy = StragglerPolicy::report;
  Duration straggler = seconds(10);
  std::uint32_t straggler_percent = 25;
  /// A connection that has not said who it is after so long is closed.
  Duration introduction = seconds(5);
  /// The same at all peers.
  LinkLayout links{};
  /// The run has keys: whoever has not proven to hold one is not heard.
  bool needs_keys = false;
  /// Other masters may take the run over: this one serves it only with enough of its members (membership/majority.hpp),
  /// and its driver looks after the others.
  bool has_others = false;
  /// Of these: it takes runs over, and begins none.
  bool is_standby = false;
  /// Of these: whoever holds the lease serves, with whichever members come (membership/lease.hpp). The driver tells of it.
  bool has_lease = false;
};

struct ConnectionOpened {
  ConnectionId connection;
  std::string remote_host;  ///< IP literal.
  /// Whose limits it counts for: the literal, of IPv6 the first 64 bits. Empty: the literal.
  std::string source{};
  std::uint16_t remote_port = 0;  ///< 0: not known.
};
struct ConnectionClosed {
  ConnectionId connection;
  std::string reason;  ///< For people: "closed by peer", "connection reset".
};
/// Whoever is on that connection holds this key. Before anything that it says.
struct Authenticated {
  ConnectionId connection;
  Badge badge;
};
struct PeerSaid {
  ConnectionId connection;
  PeerMessage message;
};
/// The other masters were asked what they do, as looks_for_others() wants it.
struct OthersSeen {
  bool all_answered = false;
  bool none_serves = true;   ///< Of those that answered.
  std::uint32_t gathered = 0;  ///< So many members wait with the one with whom most do,
  RunId gathering{};           ///< and that is its own mark; of two alike the higher one.
  std::uint64_t term = 0;          ///< The highest of theirs.
  std::uint64_t serving_term = 0;  ///< Of those that serve the highest,
  RunId run{};                     ///< and whose that is.
};
/// One more has answered.
void note_other(OthersSeen& seen, const RunStatus& status);
/// Time has passed; deadlines may have come.
struct Tick {};
using MasterEvent = std::variant<ConnectionOpened, ConnectionClosed, Authenticated, PeerSaid, OthersSeen, LeaseTaken,
                                 LeaseLost, LeaseSeen, Tick>;

struct SendToPeer {
  ConnectionId connection;
  MasterMessage message;
};
/// The same to many, so that a driver encodes it once.
struct SendToPeers {
  std::vector<ConnectionId> connections;
  MasterMessage message;
};
/// Close once everything sent before is on its way. The driver reports no ConnectionClosed for it.
struct CloseConnection {
  ConnectionId connection;
  std::string reason;
  Duration bound = milliseconds(500);  ///< After which it is closed even if something is not on its way yet.
};
/// Who is on a connection, as far as the master knows: what its driver reads of it at once, and how soon.
enum class ConnectionRole {
  stranger,   ///< From its opening on: one short message.
  newcomer,   ///< It waits for admission, or says that it was a member of a run that this master does not know yet.
  presenting, ///< It was asked for its view.
  member,     ///< Also one that resumes and was asked for its outcomes. It is read first, and as much as it says.
};
struct SetConnectionRole {
  ConnectionId connection;
  ConnectionRole role = ConnectionRole::stranger;
};
/// An operator has changed the rules: they shall hold after a restart, too. Before whatever follows.
struct KeepRules {
  AdmissionRules rules;
};
/// Another master shall have the lease: members do not reach this one, or it serves them no longer.
struct GiveLeaseUp {};
using MasterAction =
    std::variant<SendToPeer, SendToPeers, CloseConnection, SetConnectionRole, KeepRules, GiveLeaseUp, LogEvent>;
using MasterActions = std::vector<MasterAction>;
/// The same with a SendToPeer for each receiver of a SendToPeers, for who looks at each of them.
MasterActions one_by_one(MasterActions actions);

/// The membership authority as a pure state machine: who is in, which view holds, what is committed.
/// The protocol in prose: docs/architecture.md. Not thread-safe.
class MasterMachine {
 public:
  /// `seed` must differ between incarnations of a master: run and view ids are drawn from it. `rules`: as the last
  /// KeepRules had them.
  MasterMachine(MasterConfig config, std::uint64_t seed, Instant now, AdmissionRules rules = {});
  ~MasterMachine();
  MasterMachine(MasterMachine&&) noexcept;
  MasterMachine& operator=(MasterMachine&&) noexcept;

  /// Takes one event and appends what to do about it, in order.
  void step(Instant now, const MasterEvent& event, MasterActions& out);
  /// When to step with a Tick at the latest.
  std::optional<Instant> next_deadline() const;
  /// How long after one look the other masters are to be looked at again; none: not now.
  std::optional<Duration> looks_for_others() const;
  /// So many members of a run wait here for a master.
  std::uint32_t gathered() const;

  /// What a person or a checker may look at.
  struct Snapshot {
    std::vector<View> views;
    std::uint32_t pending = 0;  ///< Guests included.
    std::uint32_t guests = 0;
    std::uint32_t connections = 0;
    bool recovering = false;
    AdmissionRules rules{};
    bool serves = true;
    std::uint64_t term = 0;
    RunId run{};
  };
  Snapshot snapshot() const;
  /// What members have signed of the latest collectives, the oldest first. Ages are not filled in.
  std::vector<AttestedCollective> attested() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace hawser
