#include <algorithm>
#include <utility>

#include "base/planted_fault.hpp"
#include "membership/peer_machine.hpp"

/// Which master of the list this peer dials next, how long it stays with one that stands by, and which it hears.
namespace hawser {
namespace {

/// Members that have lost their master meet at one that stands by for so long at least.
constexpr Duration kStandbyPatience = seconds(2);

}  // namespace

/// The master that it had, or stayed with, first. Then one after the other, and a pause after the last of the list.
void PeerMachine::dial_later(Instant now, bool was_good) {
  stay_until_.reset();
  tells_links_ = false;
  if (was_good) missed_in_row_ = 0;
  if (!was_good && bounds_.masters > 1) {
    master_at_ = (master_at_ + 1) % bounds_.masters;
    redial_at_ = now;
    if (++missed_in_row_ % bounds_.masters != 0) return;
  }
  redial_at_ = now + backoff_;
  backoff_ = std::min(backoff_ * 2, is_known_ ? kBackoffMax : kBackoffMaxOfNewcomer);
}

/// Another one of the list is to be asked.
void PeerMachine::leave_master(Instant now, const std::string& why, PeerActions& out) {
  out.emplace_back(CloseMaster{why});
  welcomed_ = false;
  stay_until_.reset();
  master_down(now, why, false, out);
}

/// This peer has accepted another master since, and knows no way back.
bool PeerMachine::is_superseded(Instant now, std::uint64_t term, PeerActions& out) {
  if (phase_ != Phase::member || term >= term_ || planted(PlantedFault::forgotten_term)) return false;
  out.emplace_back(LogEvent{LogLevel::warning, "master-superseded",
                            "the master that answers has been superseded by another one, and is not heard"});
  leave_master(now, "this master has been superseded by another one", out);
  return true;
}

/// The first of the list keeps members for longer than all others together: so they meet there, whenever each came.
Duration PeerMachine::patience_at_standby() const {
  const Duration unit = std::max<Duration>(bounds_.silence / 2, kStandbyPatience);
  return unit * (1 << (bounds_.masters - 1 - std::min(master_at_, bounds_.masters - 1)));
}

void PeerMachine::said(Instant now, const Standby& message, PeerActions& out) {
  no_masters_ = 0;
  if (phase_ != Phase::member || !message.gathers) {
    out.emplace_back(LogEvent{LogLevel::info, "master-stands-by", message.sentence});
    return leave_master(now, message.sentence, out);
  }
  down_reason_ = message.sentence;
  unanswered_ = 0;
  if (!stay_until_) {
    out.emplace_back(LogEvent{LogLevel::info, "master-gathers", message.sentence});
    tells_links_ = true;
    tell_all_links(out);
  }
  stay_until_ = now + patience_at_standby();
}

void PeerMachine::said(Instant, const ViewHeld& message, PeerActions&) {
  if (message.view == view_.id) quorums_.clear();
}

}  // namespace hawser
