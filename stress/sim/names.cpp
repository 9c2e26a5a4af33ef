#include "sim/names.hpp"

#include "sim/overloaded.hpp"

namespace hawser::sim {
namespace {

std::vector<PeerId> ids_of(const std::vector<Member>& members) {
  std::vector<PeerId> ids;
  for (const Member& member : members) ids.push_back(member.id);
  return ids;
}

}  // namespace

std::string Names::of(PeerId id) const {
  const auto found = peers_.find(id);
  return found == peers_.end() ? "peer?" + std::to_string(id.value) : found->second;
}

std::string Names::of(ViewId id) const {
  return "v" + std::to_string(views_.try_emplace(id, views_.size() + 1).first->second);
}

std::string Names::of(const View& view) const {
  std::string text = of(view.id) + " epoch " + std::to_string(view.epoch.value) + " (";
  for (const Member& member : view.members) text += (text.back() == '(' ? "" : " ") + of(member.id);
  return text + ")";
}

std::string Names::of(const OpKey& key) const {
  return of(key.view) + " tag " + std::to_string(key.tag) + " #" + std::to_string(key.sequence);
}

std::string Names::of(const std::vector<PeerId>& ids) const {
  std::string text;
  for (const PeerId id : ids) text += (text.empty() ? "" : " ") + of(id);
  return text.empty() ? "nobody" : text;
}

std::string Names::of(const MemberChange& change) const {
  std::string text = change.whole ? "all: " : "came: ";
  text += of(ids_of(change.came));
  return change.gone.empty() ? text : text + ", gone: " + of(change.gone);
}

std::string Names::of(const Error& error) const {
  if (error.status == Status::success) return "success";
  return std::string(status_name(error.status)) + ": " + error.sentence;
}

const char* kind_of(const PeerMessage& message) {
  static constexpr const char* kKinds[] = {"hello",       "resume",   "begun", "report", "complaint",
                                           "update-call", "linked", "leave", "ping",   "prefetch-over",
                                           "measured",    "status-request", "view-presented", "outcomes-presented",
                                           "operator-command", "ways", "both-dial", "unreached",
                                           "view-taken", "give-up"};
  static_assert(std::size(kKinds) == std::variant_size_v<PeerMessage>);
  return kKinds[message.index()];
}

const char* kind_of(const MasterMessage& message) {
  static constexpr const char* kKinds[] = {"welcome",     "refused",    "present",  "start-view", "committed",
                                           "update-done", "world-news", "expelled", "pong",       "group-members",
                                           "visitors",    "measures",   "run-status", "straggling", "notice",
                                           "command-done", "attested-collective", "dial-each-other", "standby",
                                           "view-held", "relay-call"};
  static_assert(std::size(kKinds) == std::variant_size_v<MasterMessage>);
  return kKinds[message.index()];
}

std::string Names::of(const PeerMessage& message) const {
  const std::string rest = std::visit(
      Overloaded{[&](const Begun& m) { return " " + of(m.key) + ", " + describe(m.signature); },
                 [&](const Report& m) { return " " + of(m.key) + ", " + describe(m.signature); },
                 [&](const Complaint& m) {
                   std::string text = " " + of(m.key) + " stalled " + std::to_string(m.stalled_ms) + " ms, waits for " +
                                      of(m.waiting_for) + ", unresponsive: " + of(m.unresponsive);
                   for (const Flow& flow : m.flows)
                     text += ", " + std::to_string(flow.percent) + " % to " + of(flow.to);
                   return text;
                 },
                 [&](const GiveUp& m) {
                   return " " + of(m.key) + (m.cancelled ? " cancelled" : "") + " after " + std::to_string(m.after_ms) +
                          " ms";
                 },
                 [&](const Linked& m) {
                   return std::string(m.all ? " in all:" : "") + " up: " + of(m.up) + ", down: " + of(m.down) +
                          (m.refused.empty() ? std::string() : ", refused by " + of(m.refused));
                 },
                 [](const UpdateCall& m) {
                   return " round " + std::to_string(m.update_round) + (m.first ? ", its first call" : "") +
                          (m.was_over ? ", over before" : "") + (m.after_error ? ", after an error" : "") +
                          (m.waits ? "" : ", goes on");
                 },
                 [&](const Hello& m) { return " " + of(m.who.id) + (m.prefetches ? ", prefetches" : ""); },
                 [&](const Resume& m) {
                   return " " + of(m.who.id) + " in " + of(m.view.id) + (m.in_update ? ", in update" : "");
                 },
                 [&](const BothDial& m) { return " " + of(m.to) + (m.why.empty() ? "" : ": " + m.why); },
                 [&](const ViewPresented& m) { return " " + of(m.view); },
                 [&](const OutcomesPresented& m) {
                   std::string text;
                   for (const UndecidedOp& op : m.undecided)
                     text += " " + of(op.key) + (op.reported ? " reported," : " open,");
                   return text + " " + std::to_string(m.committed.size()) + " committed";
                 },
                 [](const auto&) { return std::string(); }},
      message);
  return kind_of(message) + rest;
}

std::string Names::of(const MasterMessage& message) const {
  const std::string rest = std::visit(
      Overloaded{[&](const Refused& m) { return " " + of(m.error); },
                 [](const Present& m) {
                   return std::string(m.view ? " the view" : "") + (m.outcomes ? " the outcomes" : "");
                 },
                 [&](const DialEachOther& m) { return " " + of(m.peer) + " seen at " + to_string(m.seen); },
                 [&](const RelayCall& m) { return " " + of(m.key) + ", " + describe(m.signature); },
                 [](const Notice& m) { return ": " + m.sentence; },
                 [&](const StartView& m) {
                   return " " + of(m.id) + " epoch " + std::to_string(m.epoch.value) + ", " +
                          (m.members.whole ? "" : "change of " + of(m.base) + ", ") + of(m.members) +
                          ", cause: " + of(m.cause);
                 },
                 [&](const Committed& m) {
                   return " " + of(m.key) + ", measures " + std::to_string(m.measures) + ", round " +
                          std::to_string(m.update_round);
                 },
                 [&](const Measures& m) { return " " + of(m.view) + " version " + std::to_string(m.version); },
                 [&](const UpdateDone& m) { return " round " + std::to_string(m.update_round) + " " + of(m.error); },
                 [&](const WorldNews& m) {
                   return " size " + std::to_string(m.world.size) + ", pending " + std::to_string(m.pending);
                 },
                 [&](const Expelled& m) { return " " + of(m.error); },
                 [&](const GroupMembers& m) { return ": " + of(m.members); },
                 [&](const Visitors& m) { return ": " + of(m.visitors); },
                 [](const auto&) { return std::string(); }},
      message);
  return kind_of(message) + rest;
}

std::string Names::of(const FrameHeader& header) const {
  switch (header.kind) {
    case FrameKind::chunk:
      return "chunk " + std::to_string(header.chunk) +
             (header.direction == Direction::up ? " up " : " down ") + of(header.key) + ", " +
             std::to_string(header.payload_bytes) + " bytes";
    case FrameKind::ready: return "ready " + of(header.key);
    case FrameKind::acknowledge: return "acknowledge " + std::to_string(header.count);
    case FrameKind::want: return "want chunk " + std::to_string(header.chunk) + " " + of(header.key);
    case FrameKind::wish: return "wish for chunk " + std::to_string(header.chunk) + " " + of(header.key);
    case FrameKind::unwant: return "unwant chunk " + std::to_string(header.chunk) + " " + of(header.key);
    case FrameKind::decline: return "decline chunk " + std::to_string(header.chunk) + " " + of(header.key);
    case FrameKind::have:
      return "have " + std::to_string(header.count) + " chunks from " + std::to_string(header.chunk) + " " +
             of(header.key);
    case FrameKind::connections: return "connections " + std::to_string(header.count);
    case FrameKind::invitation: return "invitation of " + of(PeerId{header.count});
  }
  return "frame";
}

}  // namespace hawser::sim
