/// Calls of the application, and how everything ends.
#include <mutex>
#include <random>
#include <utility>

#include "base/limits.hpp"
#include "runtime/log.hpp"
#include "runtime/peer_driver.hpp"

namespace hawser {
namespace {

std::uint64_t random_bits() {
  std::random_device source;
  return (static_cast<std::uint64_t>(source()) << 32) | source();
}

}  // namespace

void PeerDriver::call(const EngineEvent& event, CallId id, OwedAnswer answer) {
  if (over_) return answer.give(over_);
  calls_.emplace(id, std::move(answer));
  step(event);
  settle();
}

void PeerDriver::cancel(CallId id) {
  if (over_ || !calls_.contains(id)) return;
  step(CancelCall{id});
  settle();
}

void PeerDriver::connect(CallId id, std::shared_ptr<PrefetchTarget> prefetch, OwedAnswer answer) {
  if (over_) return answer.give(over_);
  const PeerId self{random_bits()};
  calls_.emplace(id, std::move(answer));
  step(ConnectCall{.call = id,
                   .id = self,
                   .token = random_bits(),
                   .address = {.host = config_.advertise_host,
                               .port = config_.advertise_port != 0 ? config_.advertise_port : listener_->address().port},
                   .prefetch = std::move(prefetch)});
  // The master answers later, and links are opened after that.
  if (info()->self == self) links_.set_self(self);
  settle();
}

void PeerDriver::leave(std::function<void()> gone) noexcept {
  try {
    if (!over_) step(LeaveCall{});
    settle();
  } catch (...) {
    fail(what_was_thrown());
  }
  const auto master = std::exchange(master_, nullptr);
  end(closed_);
  if (!master) return gone();
  try {
    master->close_after_sending(std::move(gone));
  } catch (...) {
    // It has `gone` by then, and calls it.
    master->close();
  }
}

void PeerDriver::vanish() noexcept { end(closed_); }

void PeerDriver::fail(const Thrown& thrown) noexcept {
  if (!over_) {
    // Both have room for any sentence.
    failed_->error.status = lost_info_->not_a_member.status = thrown.status;
    failed_->error.sentence = thrown.sentence.data();
    lost_info_->not_a_member.sentence = thrown.sentence.data();
    const std::lock_guard lock(info_mutex_);
    info_ = lost_info_;
  }
  end(failed_);
  log_failure(config_.engine.name, thrown);
}

/// Nothing is asked of the engine any more. Each step is kept from the failures of those before it.
void PeerDriver::end(const std::shared_ptr<const CallDone>& why) noexcept {
  if (!over_) over_ = why;
  is_over_ = true;
  const auto attempt = [](const auto& step) noexcept {
    try {
      step();
    } catch (...) {
      // What could not be closed is closed with the driver.
    }
  };
  // First the links: they may hold pointers into the memory of calls.
  attempt([&] { links_.close_all(); });
  stop_works();
  if (config_.devices) config_.devices->finish();
  {
    // No lane is in the engine, and none will be.
    const std::lock_guard lock(engine_mutex_);
    late_.clear();
    engine_.undo_all();
  }
  for (auto& [id, answer] : calls_) answer.give(over_);
  calls_.clear();
  attempt([&] { listener_->close(); });
  attempt([&] { forget_master(); });
  attempt([&] { names_.close(); });
  attempt([&] { timer_.cancel(); });
  events_.clear();
  seat_.wakes.clear();
}

void PeerDriver::shut_down_links() { links_.shut_down_connections(); }

void PeerDriver::interrupt_after(std::uint64_t payload_bytes, std::function<void()> what) {
  interrupted_at_ = payload_bytes_received_ + payload_bytes;
  interruption_ = std::move(what);
}

}  // namespace hawser
