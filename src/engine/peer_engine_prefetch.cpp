#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/planted_fault.hpp"
#include "engine/peer_engine_state.hpp"

/// Prefetching, both sides of it, between the membership, the links and the machines of prefetch_server and
/// prefetch_guest.
namespace hawser {
namespace {

std::vector<PeerId> ids_of(const std::vector<Member>& members) {
  std::vector<PeerId> ids;
  for (const Member& member : members) ids.push_back(member.id);
  return ids;
}

LogEvent wrong_content() {
  return {LogLevel::info, "wrong-content",
          "a member sent content of the shared state that does not have its digest; it is fetched again"};
}

}  // namespace

void PeerEngine::State::begin_prefetch(Instant now, const ConnectCall& event) {
  guest_.reset();
  if (event.prefetch) guest_.emplace(now, event.prefetch);
}

void PeerEngine::State::end_prefetch(Instant now) {
  if (!guest_) return;
  guest_->end(now);
  if (guest_works_ > 0) former_guest_ = std::move(guest_);
  guest_.reset();
}

/// Its memory is the caller's again after the last work on it.
void PeerEngine::State::end_connect(EngineActions& out) {
  if (!connect_done_ || (guest_works_ > 0 && !planted(PlantedFault::hasty_guest))) return;
  out.emplace_back(std::move(*connect_done_));
  connect_done_.reset();
}

void PeerEngine::State::on(Instant now, const OfferStateCall& event, EngineActions& out) {
  if (event.offer)
    if (const Error error = machine_.not_a_member(); error.status != Status::success) {
      out.emplace_back(CallDone{event.call, error, {}});
      return;
    }
  if (!event.instead_of || event.instead_of == offer_) make_offer_known(now, event.offer, out);
  withdrawals_.push_back({.done = {event.call, {Status::success, {}}, {}}, .offer = event.instead_of});
  end_withdrawals(out);
}

/// Who takes an offer back may write to it once no work reads it.
void PeerEngine::State::end_withdrawals(EngineActions& out) {
  std::erase_if(withdrawals_, [&](Withdrawal& one) {
    const auto reads = [&](const auto& entry) { return entry.second.offer == one.offer; };
    if (one.offer && std::any_of(works_.begin(), works_.end(), reads)) return false;
    out.emplace_back(std::move(one.done));
    return true;
  });
}

void PeerEngine::State::make_offer_known(Instant now, std::shared_ptr<const StateOffer> offer, EngineActions& out) {
  std::vector<PrefetchSend> sends;
  const auto before = prefetch_server_.offer(now, offer, sends);
  offer_before_ = std::exchange(offer_, std::move(offer));
  if (before)
    for (auto& [peer, link] : links_) drop_frames(peer, link, *before, out);
  send_prefetch(now, sends, out);
}

void PeerEngine::State::follow_one(Instant now, const GroupMembersKnown& known, EngineActions& out) {
  if (!guest_) return;
  std::vector<PrefetchSend> sends;
  guest_->servers(now, ids_of(known.members), sends);
  send_prefetch(now, sends, out);
}

void PeerEngine::State::follow_one(Instant, const VisitorsKnown& known, EngineActions&) {
  prefetch_server_.guests(ids_of(known.visitors));
}

/// Sends, and lets the master know when the fetching is over.
void PeerEngine::State::send_prefetch(Instant now, std::vector<PrefetchSend>& sends, EngineActions& out) {
  for (const PrefetchSend& send : sends) {
    Link* const link = find_link(send.to);
    if (!link) continue;
    // Who wants a chunk takes it.
    if (send.frame.kind == FrameKind::chunk) link->schedule.set_ready(send.frame.key, 0);
    link->schedule.enqueue(send.frame);
    out.emplace_back(WakeLink{send.to});
  }
  sends.clear();
  if (!guest_ || !guest_->over()) return;
  PeerActions actions;
  machine_.prefetch_over(actions);
  follow(now, actions, out);
}

void PeerEngine::State::prefetch_control(Instant now, LinkConnection connection, const FrameHeader& header,
                                      EngineActions& out) {
  std::vector<PrefetchSend> sends;
  look_at_training();
  bool honest = true;
  switch (header.kind) {
    case FrameKind::ready: prefetch_server_.ready(now, connection.peer, sends); break;
    case FrameKind::want: honest = prefetch_server_.want(now, connection.peer, header, sends); break;
    case FrameKind::unwant: prefetch_server_.unwant(connection.peer, header); break;
    case FrameKind::have:
      if (guest_) guest_->offered(now, connection.peer, header, sends);
      break;
    default: break;
  }
  send_prefetch(now, sends, out);
  if (!honest) drop_connection(now, connection, "it requested content that was never offered", out);
}

void PeerEngine::State::prefetch_chunk(Instant now, PeerId from, const FrameHeader& header, Payload payload,
                                       EngineActions& out) {
  if (!guest_) return;
  std::vector<PrefetchSend> sends;
  std::vector<Execution::Order> works;
  if (!guest_->chunk_came(now, from, header, std::move(payload), sends, works)) out.emplace_back(wrong_content());
  order_prefetched(works, out);
  send_prefetch(now, sends, out);
}

void PeerEngine::State::order_prefetched(std::vector<Execution::Order>& works, EngineActions& out) {
  for (Execution::Order& one : works) {
    UnderWay under_way;
    under_way.use = UnderWay::Use::prefetch;
    under_way.token = one.token;
    ++guest_works_;
    order(std::move(under_way), std::move(one.work), out);
  }
  works.clear();
}

void PeerEngine::State::prefetch_worked(Instant now, const UnderWay& work, bool right, EngineActions& out) {
  HAWSER_ASSERT(former_guest_ || guest_);
  --guest_works_;
  std::vector<PrefetchSend> sends;
  std::vector<Execution::Order> works;
  PrefetchGuest& guest = former_guest_ ? *former_guest_ : *guest_;
  if (!guest.worked(now, work.token, right, sends, works)) out.emplace_back(wrong_content());
  order_prefetched(works, out);
  send_prefetch(now, sends, out);
  if (guest_works_ > 0) return;
  former_guest_.reset();
  end_connect(out);
}

void PeerEngine::State::look_at_training() {
  prefetch_server_.training(
      std::any_of(ops_.begin(), ops_.end(), [](const auto& entry) { return !entry.second.whole; }));
}

void PeerEngine::State::tick_prefetch(Instant now, EngineActions& out) {
  std::vector<PrefetchSend> sends;
  look_at_training();
  prefetch_server_.tick(now, sends);
  if (guest_) guest_->tick(now, sends);
  send_prefetch(now, sends, out);
}

}  // namespace hawser
