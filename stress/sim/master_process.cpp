#include "sim/master_process.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "sim/violation.hpp"
#include "sim/world.hpp"

namespace hawser::sim {

void MasterProcess::start() {
  incarnation_ = ++world_.master_incarnations;
  if (world_.tracing()) world_.trace("the " + name_ + " starts, incarnation " + std::to_string(incarnation_));
  MasterConfig config = world_.profile.master;
  // With a lease several may begin a run: whoever of them holds it.
  config.is_standby = number_ == 1 || (number_ > 1 && !config.has_lease);
  machine_.emplace(config, world_.random.next(), world_.queue.now(), rules);
  looks_ = false;
  services_ = 0;
  timer_at_.reset();
  barren_ticks_ = 0;
  stopped_ = false;
  lease_.reset();
  lease_timer_at_.reset();
  if (config.has_lease) {
    lease_.emplace(LeaseBounds{}, world_.queue.now(), config.is_standby);
    look_at_lease();
  }
  arm_timer();
  look_for_others();
}

void MasterProcess::stop() {
  if (world_.tracing()) world_.trace("the " + name_ + " is stopped");
  stopped_ = true;
}

void MasterProcess::resume() {
  if (!stopped_) return;
  if (world_.tracing()) world_.trace("the " + name_ + " goes on");
  stopped_ = false;
  look_at_lease();
  world_.control.master_awake(*this);
  timer_at_.reset();
  arm_timer();
  look_for_others();
}

void MasterProcess::kill(Ending ending) {
  if (world_.tracing()) world_.trace("the " + name_ + " is killed");
  world_.control.master_gone(*this, ending);
  machine_.reset();
}

void MasterProcess::deliver(const MasterEvent& event) {
  look_at_lease();
  step(event);
  if (lease_) lease_->hurry(machine_->gathered() > 0);
}

void MasterProcess::look_at_lease() {
  if (!lease_) return;
  LeaseActions actions;
  lease_->tick(world_.queue.now(), actions);
  perform_lease(actions);
}

void MasterProcess::perform_lease(const LeaseActions& actions) {
  for (const LeaseAction& action : actions) {
    if (const auto* const request = std::get_if<LeaseRequest>(&action)) ask_for_lease(*request);
    if (const auto* const taken = std::get_if<LeaseTaken>(&action)) step(*taken);
    if (const auto* const lost = std::get_if<LeaseLost>(&action)) step(*lost);
    if (const auto* const seen = std::get_if<LeaseSeen>(&action)) step(*seen);
    if (const auto* const line = std::get_if<LogEvent>(&action)) world_.log(name_, *line);
  }
  arm_lease_timer();
}

/// There and back; what comes while the process is stopped is too late anyway.
void MasterProcess::ask_for_lease(const LeaseRequest& request) {
  const auto delay = [this] { return world_.profile.network.control_delay.draw(world_.random); };
  world_.queue.after(delay(), [this, request, delay, incarnation = incarnation_] {
    const auto answer = world_.lease.serve(world_.queue.now(), request, world_.random);
    if (!answer) return;
    world_.queue.after(delay(), [this, answer = *answer, incarnation] {
      if (!running() || incarnation != incarnation_ || stopped_) return;
      LeaseActions actions;
      lease_->answered(world_.queue.now(), answer, actions);
      perform_lease(actions);
    });
  });
}

void MasterProcess::arm_lease_timer() {
  const auto deadline = lease_->next_deadline();
  if (!deadline || (lease_timer_at_ && *lease_timer_at_ <= *deadline)) return;
  lease_timer_at_ = std::max(*deadline, world_.queue.now());
  world_.queue.at(*lease_timer_at_ + world_.profile.network.timer_latency.draw(world_.random),
                  [this, armed = *lease_timer_at_, incarnation = incarnation_] {
                    if (!running() || incarnation != incarnation_ || lease_timer_at_ != armed) return;
                    lease_timer_at_.reset();
                    if (!stopped_) look_at_lease();
                  });
}

void MasterProcess::step(const MasterEvent& event) {
  if (world_.tracing()) {
    if (const auto* said = std::get_if<PeerSaid>(&event))
      world_.trace(name_ + " <- #" + std::to_string(said->connection.value) + ": " +
                   world_.names.of(said->message));
    if (const auto* opened = std::get_if<ConnectionOpened>(&event))
      world_.trace(name_ + " <- #" + std::to_string(opened->connection.value) + " opened");
    if (const auto* closed = std::get_if<ConnectionClosed>(&event))
      world_.trace(name_ + " <- #" + std::to_string(closed->connection.value) + " closed: " + closed->reason);
  }
  MasterActions actions;
  machine_->step(world_.queue.now(), event, actions);
  actions = one_by_one(std::move(actions));
  if (actions.size() > 20000) throw Violation("the master wants 20,000 actions at once");
  for (MasterAction& action : actions) {
    if (auto* send = std::get_if<SendToPeer>(&action)) {
      if (world_.tracing())
        world_.trace(name_ + " -> #" + std::to_string(send->connection.value) + ": " +
                     world_.names.of(send->message));
      const char* kind = kind_of(send->message);
      const auto* update = std::get_if<UpdateDone>(&send->message);
      if (update) world_.checker.update_told(*update);
      world_.control.send(send->connection, std::move(send->message));
      world_.observe(name_, kind);
    } else if (auto* close = std::get_if<CloseConnection>(&action)) {
      if (world_.tracing())
        world_.trace(name_ + " closes #" + std::to_string(close->connection.value) + ": " + close->reason);
      world_.control.close(close->connection, close->reason);
    } else if (const auto* set = std::get_if<SetConnectionRole>(&action)) {
      world_.control.set_role(set->connection, set->role);
    } else if (std::holds_alternative<GiveLeaseUp>(action)) {
      LeaseActions lease_actions;
      lease_->give_up(world_.queue.now(), lease_actions);
      perform_lease(lease_actions);
    } else if (auto* const keep = std::get_if<KeepRules>(&action)) {
      rules = std::move(keep->rules);
    } else if (auto* event_logged = std::get_if<LogEvent>(&action)) {
      services_ += std::string_view(event_logged->what) == "stepped-down" ? 1 : 0;
      world_.log(name_, *event_logged);
    }
  }
  arm_timer();
  look_for_others();
}

/// As its driver does: what they do is asked for, and heard a little later.
void MasterProcess::look_for_others() {
  const auto pause = machine_->looks_for_others();
  if (looks_ || !pause) return;
  looks_ = true;
  world_.queue.after(Duration(world_.random.between(0, pause->count())),
                     [this, incarnation = incarnation_] { others_seen(incarnation); });
}

void MasterProcess::others_seen(std::uint64_t incarnation) {
  if (!running() || incarnation != incarnation_) return;
  looks_ = false;
  if (stopped_) return;
  OthersSeen seen{.all_answered = true, .none_serves = true};
  for (const MasterProcess* const other : world_.masters()) {
    if (other == this) continue;
    const bool answers = other->running() && !other->stopped() && !world_.control.are_cut(*this, *other);
    seen.all_answered = seen.all_answered && answers;
    if (!answers) continue;
    const auto snapshot = other->machine().snapshot();
    note_other(seen, {.run = snapshot.run, .serves = snapshot.serves, .gathered = other->machine().gathered(),
                      .term = snapshot.term});
  }
  const Duration delay = world_.profile.network.control_delay.draw(world_.random);
  world_.queue.after(delay, [this, incarnation, seen] {
    if (running() && incarnation == incarnation_ && !stopped_) deliver(seen);
  });
}

void MasterProcess::arm_timer() {
  const auto deadline = machine_->next_deadline();
  if (!deadline || (timer_at_ && *timer_at_ <= *deadline)) return;
  timer_at_ = std::max(*deadline, world_.queue.now());
  world_.queue.at(*timer_at_ + world_.profile.network.timer_latency.draw(world_.random),
                  [this, armed = *timer_at_, incarnation = incarnation_] {
                    if (timer_at_ == armed) timer(incarnation);
                  });
}

void MasterProcess::timer(std::uint64_t incarnation) {
  if (!running() || incarnation != incarnation_) return;
  timer_at_.reset();
  if (stopped_) return;
  const auto deadline = machine_->next_deadline();
  if (deadline && *deadline <= world_.queue.now()) {
    deliver(Tick{});
    const auto next = machine_->next_deadline();
    barren_ticks_ = next && *next <= world_.queue.now() ? barren_ticks_ + 1 : 0;
    if (barren_ticks_ > 2)
      throw Violation("the deadline of the master stays in the past whatever is done: a busy loop");
  }
  arm_timer();
}

}  // namespace hawser::sim
