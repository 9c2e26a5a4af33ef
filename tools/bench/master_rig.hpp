#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "membership/master_machine.hpp"

namespace hawser::bench {

/// What the master did and what it took: CPU time of this process, in seconds.
struct MasterCost {
  double decode_s = 0;   ///< Bytes of peers to messages.
  double machine_s = 0;  ///< Steps of the MasterMachine.
  double encode_s = 0;   ///< Its messages to framed bytes.
  std::uint64_t messages_in = 0;
  std::uint64_t messages_out = 0;  ///< Counted once for each receiver, as are their framed bytes.
  std::uint64_t bytes_out = 0;

  double cpu_s() const { return decode_s + machine_s + encode_s; }
};

/// A MasterMachine with hand-made peers, without sockets: they are numbered from 1, and each has a host and a control
/// connection of its own. Peers do what honest ones do: they open the links that they are told of, and say so. What
/// does not fit to what they were told before is thrown as std::runtime_error.
class MasterRig {
 public:
  MasterRig() : machine_(kConfig, 1, Instant{}) {}

  static constexpr MasterConfig kConfig{};
  using Numbers = std::vector<std::uint64_t>;
  using Words = std::vector<std::pair<std::uint64_t, PeerMessage>>;
  struct Peer {
    Introduction who;
    ConnectionId connection;
    RunId run;
    View view;                   ///< Without members: it is none.
    std::vector<Member> group_members;
    Linked news;                 ///< That the master has not been told.
    bool is_member() const { return view.size() > 0; }
    /// Of a collective in its view.
    OpKey key(std::uint64_t tag) const { return {.epoch = view.epoch, .view = view.id, .tag = tag, .sequence = 0}; }
  };
  /// What members have been told.
  struct Told {
    std::uint64_t committed = 0;
    std::uint64_t views = 0;
    std::uint64_t measures = 0;
  };

  /// They say hello, and wait for admission.
  void hello(const Numbers& numbers, std::uint32_t group);
  /// Each peer says what it has to say of its links. False: nobody had anything to say.
  bool say_links();
  void say(const Numbers& numbers, const PeerMessage& message);
  void hear(const Words& words);
  /// Their connections to the master break, and they are gone.
  void kill(const Numbers& numbers);
  /// The connections of all members break, and they come back over others.
  void reconnect();
  /// The master dies with all that it knows, and another one takes up the run.
  void restart_master();

  /// Ticks at each deadline until then. The number of ticks.
  std::uint64_t pass(Duration time);

  const std::map<std::uint64_t, Peer>& peers() const { return peers_; }
  Numbers members() const;
  const Told& told() const { return told_; }
  /// What all that has happened since the last call has cost.
  MasterCost take_cost() { return std::exchange(cost_, {}); }

 private:
  void open(std::uint64_t number);
  void step(const std::vector<MasterEvent>& events);
  void perform(const MasterActions& actions);
  void take(std::uint64_t number, Peer& peer, const MasterMessage& message);

  Instant now_{};
  MasterMachine machine_;
  std::uint64_t connections_ = 0;
  std::map<std::uint64_t, Peer> peers_;
  std::map<ConnectionId, std::uint64_t> numbers_;  ///< By connection.
  Words answers_;  ///< To what the master asked.
  MasterCost cost_;
  Told told_;
};

}  // namespace hawser::bench
