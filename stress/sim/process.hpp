#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "collective/residual.hpp"
#include "engine/link_probing.hpp"
#include "engine/peer_engine.hpp"
#include "shared_state/prefetch.hpp"
#include "sim/bad_member.hpp"
#include "sim/control_network.hpp"
#include "sim/event_queue.hpp"
#include "sim/keys.hpp"
#include "sim/link_network.hpp"
#include "sim/training_state.hpp"
#include "sim/user_buffers.hpp"

namespace hawser::sim {

class World;

/// A message, at either end.
struct Letter {
  std::uint64_t tag = 0;
  std::uint64_t number = 0;  ///< Of one that is sent.
  PeerId other;              ///< Of one that is received from anybody: 0.
  bool is_received = false;
  std::unique_ptr<std::byte[]> memory;
  std::size_t bytes = 0;
};

/// A call of an application that has not ended.
struct Call {
  enum class Kind { connect, update, reduce, sync, offer, optimize, message };
  CallId id;
  Kind kind = Kind::connect;
  Instant made{};
  PeerId self;
  View view;                  ///< At the moment of the call.
  std::uint64_t ordinal = 0;  ///< Of an update-topology: the how-manieth in this view.
  /// Of a reduce, an optimize-topology, or a step of a synchronisation: which one it is, by the simulator's own count.
  OpKey key;
  bool committed = false;  ///< So the master has told.
  Signature signature;
  std::uint64_t salt = 0;
  std::unique_ptr<UserBuffers> buffers;
  std::shared_ptr<PrefetchTarget> prefetch;  ///< Of a connect.
  std::unique_ptr<Letter> letter{};          ///< Of a message.
  std::shared_ptr<Residual> residual;        ///< Error feedback, or null.
  std::optional<Instant> given_up_at{};  ///< When the master is asked to end it, if it has not ended.
  std::optional<Status> refused_with{};  ///< Of a call that makes no sense: it must end so, and at once.
};

/// What runs in a process beside the engine.
class Application {
 public:
  virtual ~Application() = default;
  /// The call has ended; its memory is gone already. New calls only from a later event.
  virtual void call_ended(const Call& call, const CallDone& done) = 0;
  /// A synchronisation goes on in another view.
  virtual void sync_goes_on(const View&) {}
};

struct SyncWish {
  std::uint64_t tag = 0;
  SyncSettings settings;
  bool only_marked = false;
};

struct CollectiveWish {
  std::uint64_t tag = 0;
  Signature signature;
  bool in_place = false;
  bool compress = false;
  std::optional<Duration> bound{};         ///< As CollectiveStart::bound.
  std::optional<Duration> cancel_after{};  ///< As long as that after the call.
  bool feedback = false;  ///< What quantisation loses is kept, and added to the next such call of this tag and shape.
};

/// One training process, or a relay: a PeerEngine, the memory of its calls, and what the operating system does to it.
class Process : public ControlClient {
 public:
  struct Place {
    std::uint32_t group = 0;
    Party party{};
    std::uint64_t machine = 0;  ///< 0: one of its own.
    bool relay = false;
    std::uint64_t relay_bytes_per_second = 0;  ///< As Introduction::relay_bytes_per_second.
  };
  Process(World& world, std::uint64_t number, std::string name, Place place);

  std::uint64_t number() const { return number_; }
  const std::string& name() const override { return name_; }
  std::uint32_t group() const { return place_.group; }
  std::uint64_t machine() const { return place_.machine != 0 ? place_.machine : number_ + 1; }
  const Party& party() const { return place_.party; }
  bool is_relay() const { return place_.relay; }
  /// It is a relay, and takes part in a collective that is not over.
  bool has_relayed_call() const { return !relayed_calls_.empty(); }
  std::string host() const override { return "10.0.0." + std::to_string(number_ % 250 + 1); }
  PeerId id() const { return id_; }
  /// It went by this id before.
  bool has_been(PeerId id) const { return former_ids_.contains(id); }
  bool gone() const override { return !engine_; }
  bool stopped() const override { return stopped_; }
  bool silent() const { return silent_; }
  /// From now on it does not always tell the master the truth. What becomes of its own calls is nobody's business.
  void turn_bad(bool lies_of_calls);
  BadMember* bad() const { return bad_.get(); }
  bool may_lie() const override { return bad_ != nullptr; }
  std::optional<Badge> badge() const override {
    return Badge{.key = key_of(number_), .name = name_, .role = hawser::Role::member};
  }
  /// As it introduces itself.
  Introduction introduction() const;
  /// Nobody can dial it: it dials the others.
  bool is_behind_nat() const { return is_behind_nat_; }
  /// Dials that cross get through its NAT.
  bool may_cross() const { return may_cross_; }
  void put_behind_nat(bool may_cross = false) {
    is_behind_nat_ = true;
    may_cross_ = may_cross;
  }
  /// Neither reads nor writes on its links.
  bool data_held() const { return stopped_ || silent_; }
  /// When something last kept its data from flowing; maximal while it does.
  Instant hampered_until() const { return data_held() ? Instant::max() : hampered_until_; }
  void was_hampered();
  EngineInfo info() const { return engine_->info(); }
  const std::map<CallId, Call>& calls() const { return calls_; }
  void run(std::unique_ptr<Application> application) { application_ = std::move(application); }
  Application* application() { return application_.get(); }

  // Calls of the application.
  CallId connect();
  CallId update_topology();
  CallId collective(const CollectiveWish& wish);
  CallId optimize_topology(const ProbeWishes& wishes);
  /// To that process, as it is now, if both are members of one group. That one receives it later.
  void send_message(Process& to, std::uint64_t tag, std::size_t bytes);
  void receive_message(std::optional<PeerId> from, std::uint64_t tag, std::size_t bytes);
  /// One synchronisation of state(), in as many steps as it takes; the application hears of its end only.
  void synchronise(const SyncWish& wish);
  TrainingState& state();
  /// Fetches what members offer, and then joins.
  void connect_prefetching();
  // These are over at once.
  /// What was synchronised last, to guests. False: refused.
  bool offer_state();
  void withdraw_state();
  /// Somebody of the application writes to what is on offer.
  void scribble_on_state();
  /// Its digests are made anew from its bytes.
  void digest_state();
  /// All of it was filled anew.
  void mark_state_changed();
  /// False: the checkpoint could not be read, or not to its end.
  bool load_state();
  // Calls that must be refused at once, whatever goes on.
  /// To connect, or to set a term, as a member.
  void misuse_connect();
  /// With arguments that do not fit.
  void misuse_arguments();
  /// Of a tag that is in flight, of anything while update-topology is, or of what must be alone.
  void misuse_second_call();
  /// Graceful: the engine says good-bye, then the process ends.
  void leave();

  // What the operating system does.
  void kill(Ending ending);
  bool device_is_at_work() const;
  /// It does a part of what it was given, and no more. The process ends by that.
  void device_fails(Ending ending);
  void stop();
  void resume();
  void set_silent(bool silent);
  /// Its links carry so few bytes in a millisecond, either way; 0: as many as all others'.
  void set_link_bytes_per_ms(std::int64_t bytes) { link_bytes_per_ms_ = bytes; }
  std::int64_t link_bytes_per_ms() const { return link_bytes_per_ms_; }
  void in_process(Duration delay, EventQueue::Task task) override;

  // What the networks bring. Never called from within an action of this engine.
  void deliver(const EngineEvent& event);
  void hear(const EngineEvent& event) override { deliver(event); }
  void frame_begins(LinkEnd& end, const FrameHeader& header);
  void frame_moved(LinkEnd& end);
  void frame_ends(LinkEnd& end, bool intact);
  std::optional<OutFrame> next_frame(LinkEnd& end);

  /// What its links have to tell the engine, once that is not at work. Always in this order.
  void hear_later(EngineEvent event) { link_events_.push_back(std::move(event)); }
  /// Tells the engine now, unless it is at work. After whatever led to hear_later().
  void settle();

  DataPort port;  ///< The network of links keeps it.
  // What the world keeps here.
  bool timer_changes = false;
  /// At the end of an event in which it did something first in this turn.
  void arm_timer(std::uint64_t turn);

 private:
  void go_on(StateSession::Next next);
  void own_up();
  std::shared_ptr<Residual> residual_for(const CollectiveWish& wish);
  std::optional<Contribution> contribution_to(const Call& call) const;
  Error offer_instead(std::shared_ptr<const StateOffer> offer, std::shared_ptr<const StateOffer> instead_of);
  CallId call_connect(std::shared_ptr<PrefetchTarget> prefetch);
  void prefetch_ended(const PrefetchTarget& target, const Error& error);
  void sync_step();
  void sync_step_ended(Call call, const CallDone& done);
  void message_ended(Call call, const CallDone& done);
  Call& start_call(Call::Kind kind);
  void count_in(const View& view);
  bool counts_go_on() const;
  Epoch epoch_for(const Call& call);
  void cancel_later(Call& call, Duration after);
  void note_calls(const MasterMessage& message);
  void count_again(const EngineInfo& after);
  void expect_refusal(CallId call, Status status, const EngineEvent& event);
  void misuse_tag(std::uint64_t tag, Status status);
  static CollectiveStart sound_reduce(Call& call);
  static CollectiveStart probing_of(const Call& call, const ProbeWishes& wishes);
  EngineActions take_actions();
  void perform(EngineActions actions);
  void perform_one(EngineAction& action);
  void send_to_master(PeerMessage message);
  void order_work(RunWork& ordered);
  DeviceBuffers device_buffers(const Call& call);
  void work_later(WorkToken token);
  void work_now(WorkToken token);
  void work_ready();
  void check_prefetch_works() const;
  void end_call(const CallDone& done);
  void check_view();
  void check_term(const MasterMessage& message, bool was_member);
  void timer();
  void step(const EngineEvent& event);
  void end(Ending ending);

  World& world_;
  const std::uint64_t number_;
  const std::string name_;
  const Place place_;
  std::unique_ptr<BadMember> bad_;
  std::unique_ptr<PeerEngine> engine_;
  std::unique_ptr<Application> application_;
  PeerId id_;
  std::set<PeerId> former_ids_;
  std::uint64_t token_ = 0;
  bool stopped_ = false;
  bool silent_ = false;
  bool is_behind_nat_ = false;
  bool may_cross_ = true;
  std::int64_t link_bytes_per_ms_ = 0;
  Instant hampered_until_ = Instant::min();
  std::deque<EngineEvent> link_events_;
  bool settling_ = false;
  EngineActions spare_actions_;
  int inside_ = 0;  ///< Depth of calls into the engine and of their actions: must not exceed 1.
  std::unique_ptr<TrainingState> state_;
  std::map<std::tuple<std::uint64_t, DataType, std::uint64_t>, std::shared_ptr<Residual>> residuals_;  ///< Tag, shape.
  std::optional<Error> offer_ended_;  ///< How the last call of that kind did.
  std::uint64_t accepted_term_ = 0;  ///< The highest of a master that has welcomed it as a member.
  std::uint64_t sync_tag_ = 0;
  ViewId sync_view_;
  std::map<CallId, Call> calls_;
  std::set<PeerId> met_;  ///< Whom its views had, where messages are sent.
  std::set<OpKey> relayed_calls_;  ///< Of a relay: what the members have called, and what is not over.
  std::map<WorkToken, Work> works_;   ///< Asked for, and not done.
  std::vector<WorkToken> ready_works_;  ///< To be done as soon as nobody is inside.
  WorkDesk desk_;
  std::uint64_t calls_made_ = 0;
  std::uint64_t misuses_ = 0;
  ViewId counted_view_;
  Epoch counted_epoch_;  ///< Of that view.
  std::map<std::uint64_t, std::uint64_t> sequences_;  ///< By tag, in counted_view_.
  std::uint64_t updates_ = 0;  ///< In counted_view_, and those before it that lost nothing but relays to the next.
  std::optional<Instant> timer_at_;
  int barren_ticks_ = 0;
  std::vector<EventQueue::Task> held_tasks_;
};

}  // namespace hawser::sim
