#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "engine/peer_engine_state.hpp"

/// Messages between the calls, the links and the MessageExchange.
namespace hawser {

std::string PeerEngine::State::name_of(PeerId peer) const {
  if (const Member* const member = machine_.view().find(peer)) return member->name;
  const auto former = former_names_.find(peer);
  return former == former_names_.end() ? "the peer with that id" : former->second;
}

bool PeerEngine::State::is_member(PeerId peer) const { return machine_.view().find(peer) != nullptr; }

Result<PeerId> PeerEngine::State::other_side(const MessageCall& call) const {
  const View& view = machine_.view();
  const char* const whom = call.receives ? "receives from" : "sends to";
  if (call.peer) {
    if (*call.peer == machine_.self())
      return Error{Status::invalid_argument, "a peer sends no message to itself; copy the buffer"};
    if (view.find(*call.peer) || (call.receives && messages_.remembers(*call.peer))) return *call.peer;
    return Error{Status::peer_lost, name_of(*call.peer) + ", which this call " + whom + ", is not in the group"};
  }
  if (call.epoch != Epoch{} && call.epoch != view.epoch)
    return Error{Status::peer_lost, "the group has changed since its ranks were looked up: look them up again"};
  if (call.rank >= view.size())
    return Error{Status::invalid_argument, "this call " + std::string(whom) + " rank " + std::to_string(call.rank) +
                                               ", and the group has " + std::to_string(view.size()) + " members"};
  const PeerId peer = view.members[call.rank].id;
  if (peer == machine_.self())
    return Error{Status::invalid_argument, "a peer sends no message to itself; copy the buffer"};
  return peer;
}

void PeerEngine::State::on(Instant now, const MessageCall& event, EngineActions& out) {
  const auto refuse = [&](Error error) { out.emplace_back(CallDone{event.call, std::move(error), {}}); };
  if (Error error = machine_.not_a_member(); error.status != Status::success) return refuse(std::move(error));
  if (machine_.is_relay())
    return refuse({Status::invalid_usage, "this communicator is a relay, which sends and receives no messages"});
  if (messages_.in_flight() >= limits::kMessagesInFlightMax)
    return refuse({Status::invalid_usage, std::to_string(limits::kMessagesInFlightMax) +
                                              " messages are in flight, which are the most; wait for some"});
  std::optional<PeerId> peer;
  if (!event.any) {
    const auto found = other_side(event);
    if (!found.ok()) return refuse(found.error());
    peer = *found;
    if (machine_.view().find(*peer) && find_link(*peer) == nullptr)
      return refuse({Status::invalid_usage, "this peer has no link to " + name_of(*peer) +
                                                ": in groups of more than 128 members messages go along rows and "
                                                "columns only. Send it in two steps, or use groups that are smaller"});
  } else if (machine_.view().size() < 2) {
    return refuse({Status::too_few_peers, "this peer is alone in its group: nobody can send it a message"});
  }
  if (!event.receives && !messages_.may_send(*peer, event.tag))
    return refuse({Status::invalid_usage, "messages to " + name_of(*peer) + " have " +
                                              std::to_string(limits::kMessageTagsMax) +
                                              " tags, which are the most; use one of these again"});
  MessageExchange::Output output;
  const Instant until = now + event.bound;
  if (event.receives)
    messages_.receive(now, event.call, peer, event.tag, event.into, until, output);
  else
    messages_.send(now, event.call, *peer, event.tag, event.data, until, output);
  follow_messages(output, out);
}

CollectiveInfo PeerEngine::State::info_of(const MessageExchange::Ended& ended) const {
  CollectiveInfo info;
  info.key = {.epoch = machine_.view().epoch, .view = machine_.view().id, .tag = ended.info.tag};
  info.contributors = {ended.info.other};
  info.rank = machine_.view().rank_of(machine_.self()).value_or(0);
  info.plan = PlanKind::direct;
  info.plan_reason = "a message";
  info.bytes_sent = ended.receives ? 0 : ended.info.bytes;
  info.bytes_received = ended.receives ? ended.info.bytes : 0;
  info.transfer = ended.info.took;
  return info;
}

void PeerEngine::State::follow_messages(MessageExchange::Output& output, EngineActions& out) {
  for (const auto& [peer, key] : output.sent)
    if (Link* const link = find_link(peer)) drop_frames(peer, *link, key, out);
  for (const auto& [peer, key] : output.received) {
    Link* const link = find_link(peer);
    if (link == nullptr) continue;
    for (auto& [index, receiving] : link->receiving) {
      if (receiving.use != Receiving::Use::message_placed || receiving.header.key != key) continue;
      out.emplace_back(ReleaseReceive{{.peer = peer, .index = index}});
      receiving.use = Receiving::Use::discard;
    }
  }
  std::vector<PeerId> woken;
  for (const MessageExchange::Sending& one : output.sends) {
    Link* const link = find_link(one.to);
    if (link == nullptr) continue;
    if (one.frame.kind == FrameKind::chunk) {
      link->schedule.set_ready(one.frame.key, kNoLimit);
      if (one.first) link->schedule.set_first(one.frame.key);
    }
    link->schedule.enqueue(one.frame);
    if (std::find(woken.begin(), woken.end(), one.to) == woken.end()) woken.push_back(one.to);
  }
  for (const PeerId peer : woken) out.emplace_back(WakeLink{peer});
  for (MessageExchange::Ended& one : output.ended) {
    CallDone done{one.call, std::move(one.error), {}};
    if (done.error.status == Status::success) done.info = info_of(one);
    out.emplace_back(std::move(done));
  }
}

Landing PeerEngine::State::message_begins(Instant now, PeerId peer, Link& link, Receiving& receiving,
                                          std::uint32_t index, EngineActions& out) {
  const FrameHeader header = receiving.header;
  MessageExchange::Output output;
  const MessageExchange::Landing landing = messages_.chunk_begins(now, peer, is_member(peer), header, output);
  follow_messages(output, out);
  using Use = MessageExchange::Landing::Use;
  if (landing.use == Use::impossible) {
    drop_connection(now, {.peer = peer, .index = index}, "it sent a part of a message that is not its to send", out);
    return {};
  }
  if (landing.use == Use::discard) return {};
  // Two copies of one chunk may come in at once, after a break: only one of them goes straight to its place.
  const bool is_copy = std::any_of(link.receiving.begin(), link.receiving.end(), [&](const auto& entry) {
    return entry.first != index && entry.second.use == Receiving::Use::message_placed &&
           entry.second.header.key == header.key && entry.second.header.chunk == header.chunk;
  });
  if (landing.use == Use::place && !is_copy) {
    receiving.use = Receiving::Use::message_placed;
    return {.into = landing.into};
  }
  receiving.use = Receiving::Use::message_staged;
  receiving.staging = pool_.take();
  return {.into = receiving.staging.get()};
}

void PeerEngine::State::message_control(Instant now, LinkConnection connection, const FrameHeader& header,
                                        EngineActions& out) {
  MessageExchange::Output output;
  const auto heard = messages_.control_came(now, connection.peer, is_member(connection.peer), header, output);
  follow_messages(output, out);
  if (heard == MessageExchange::Heard::impossible)
    drop_connection(now, connection, "it announced a message that is not its to send", out);
}

void PeerEngine::State::message_chunk(Instant now, PeerId from, const FrameHeader& header, const std::byte* bytes,
                                      EngineActions& out) {
  MessageExchange::Output output;
  messages_.chunk_came(now, from, header, bytes, output);
  follow_messages(output, out);
}

void PeerEngine::State::message_arrived(Instant now, PeerId to, const FrameHeader& header, EngineActions& out) {
  MessageExchange::Output output;
  messages_.arrived(now, to, header, output);
  follow_messages(output, out);
}

void PeerEngine::State::tick_messages(Instant now, EngineActions& out) {
  MessageExchange::Output output;
  messages_.tick(now, output);
  follow_messages(output, out);
}

/// After a change of the view.
void PeerEngine::State::look_who_is_there(Instant now, EngineActions& out) {
  const View& view = machine_.view();
  if (!messages_.idle()) {
    MessageExchange::Output output;
    messages_.members(
        now, [&](PeerId peer) { return view.find(peer) != nullptr; }, view.size() < 2, output);
    follow_messages(output, out);
  }
  std::erase_if(former_names_, [&](const auto& entry) { return !messages_.remembers(entry.first); });
  for (const Member& member : view.members) former_names_[member.id] = member.name;
}

/// This peer is a member no more. Messages that come before it is one are of members that know already that it is.
void PeerEngine::State::end_messages(Instant now, const Error& why, EngineActions& out) {
  MessageExchange::Output output;
  messages_.end_all(now, why, output);
  follow_messages(output, out);
}

}  // namespace hawser
