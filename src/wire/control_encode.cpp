#include "base/limits.hpp"
#include "wire/control.pb.h"
#include "wire/control_codec.hpp"
#include "wire/loggable_text.hpp"

namespace hawser {
namespace {

void put(const Member& from, wire::MemberEntry& to) {
  to.set_id(from.id.value);
  to.set_name(from.name);
  to.set_host(from.address.host);
  to.set_port(from.address.port);
}

void put(const View& from, wire::ViewEntry& to) {
  to.set_epoch(from.epoch.value);
  to.set_id(from.id.value);
  to.set_group(from.group);
  to.set_link_secret(from.link_secret);
  for (const Member& member : from.members) put(member, *to.add_members());
}

void put(const World& from, wire::WorldEntry& to) {
  to.set_size(from.size);
  to.set_group_count(from.group_count);
  to.set_largest_group_size(from.largest_group_size);
}

void put(const Error& from, wire::ErrorEntry& to) {
  to.set_status(static_cast<std::uint32_t>(from.status));
  to.set_sentence(make_loggable(from.sentence, limits::kSentenceBytesMax));
}

void put(const Signature& from, wire::SignatureEntry& to) {
  to.set_collective(static_cast<std::uint32_t>(from.collective));
  to.set_type(static_cast<std::uint32_t>(from.type));
  to.set_op(static_cast<std::uint32_t>(from.op));
  to.set_plan(static_cast<std::uint32_t>(from.plan));
  to.set_count(from.count);
  to.set_root(from.root);
  to.set_purpose(static_cast<std::uint32_t>(from.purpose));
  if (!from.quantization) return;
  auto& quantization = *to.mutable_quantization();
  quantization.set_scheme(static_cast<std::uint32_t>(from.quantization.scheme));
  quantization.set_type(static_cast<std::uint32_t>(from.quantization.type));
  quantization.set_block(from.quantization.block);
  quantization.set_stochastic(from.quantization.stochastic);
}

void put(const OpKey& from, wire::OpKeyEntry& to) {
  to.set_epoch(from.epoch.value);
  to.set_view(from.view.value);
  to.set_tag(from.tag);
  to.set_sequence(from.sequence);
}

void put(const Introduction& from, wire::IntroductionEntry& to) {
  to.set_protocol_version(from.protocol_version);
  to.set_id(from.id.value);
  to.set_token(from.token);
  to.set_group(from.group);
  to.set_name(from.name);
  to.set_host(from.address.host);
  to.set_port(from.address.port);
  to.set_party(from.party.id.value);
  to.set_party_size(from.party.size);
}

/// One overload for each message: writes it into the envelope's field of its kind.
struct PeerMessageWriter {
  wire::PeerEnvelope& to;

  void operator()(const Hello& from) {
    put(from.who, *to.mutable_hello()->mutable_who());
    to.mutable_hello()->set_prefetches(from.prefetches);
  }
  void operator()(const Resume& from) {
    wire::ResumeBody& body = *to.mutable_resume();
    put(from.who, *body.mutable_who());
    body.set_run(from.run.value);
    put(from.view, *body.mutable_view());
    for (const UndecidedOp& op : from.undecided) {
      wire::UndecidedEntry& entry = *body.add_undecided();
      put(op.key, *entry.mutable_key());
      put(op.signature, *entry.mutable_signature());
      entry.set_reported(op.reported);
    }
    for (const OpKey& key : from.committed) put(key, *body.add_committed());
    body.set_in_update(from.in_update);
    body.set_update_round(from.update_round);
  }
  void operator()(const Begun& from) { op(from.key, from.signature, *to.mutable_begun()); }
  void operator()(const Report& from) { op(from.key, from.signature, *to.mutable_report()); }
  void operator()(const Complaint& from) {
    wire::ComplaintBody& body = *to.mutable_complaint();
    put(from.key, *body.mutable_key());
    body.set_stalled_ms(from.stalled_ms);
    for (const PeerId peer : from.waiting_for) body.add_waiting_for(peer.value);
    for (const PeerId peer : from.unresponsive) body.add_unresponsive(peer.value);
  }
  void operator()(const UpdateCall&) { to.mutable_update_call(); }
  void operator()(const Prepared& from) {
    wire::PreparedBody& body = *to.mutable_prepared();
    body.set_view(from.view.value);
    for (const PeerId peer : from.unreachable) body.add_unreachable(peer.value);
  }
  void operator()(const Leave&) { to.mutable_leave(); }
  void operator()(const Ping&) { to.mutable_ping(); }
  void operator()(const PrefetchOver&) { to.mutable_prefetch_over(); }

  static void op(const OpKey& key, const Signature& signature, wire::OpBody& body) {
    put(key, *body.mutable_key());
    put(signature, *body.mutable_signature());
  }
};

struct MasterMessageWriter {
  wire::MasterEnvelope& to;

  void operator()(const Welcome& from) {
    to.mutable_welcome()->set_run(from.run.value);
    to.mutable_welcome()->set_seen_host(from.seen_host);
  }
  void operator()(const Refused& from) { put(from.error, *to.mutable_refused()); }
  void operator()(const Prepare& from) { put(from.view, *to.mutable_prepare()->mutable_view()); }
  void operator()(const StartView& from) {
    wire::StartViewBody& body = *to.mutable_start_view();
    put(from.view, *body.mutable_view());
    put(from.world, *body.mutable_world());
    put(from.cause, *body.mutable_cause());
    body.set_update_round(from.update_round);
  }
  void operator()(const Committed& from) { put(from.key, *to.mutable_committed()); }
  void operator()(const UpdateDone& from) {
    put(from.error, *to.mutable_update_done()->mutable_error());
    to.mutable_update_done()->set_update_round(from.update_round);
  }
  void operator()(const WorldNews& from) {
    put(from.world, *to.mutable_world_news()->mutable_world());
    to.mutable_world_news()->set_pending(from.pending);
  }
  void operator()(const Expelled& from) { put(from.error, *to.mutable_expelled()); }
  void operator()(const Pong&) { to.mutable_pong(); }
  void operator()(const Hosts& from) {
    wire::HostsBody& body = *to.mutable_hosts();
    for (const Member& member : from.members) put(member, *body.add_members());
    body.set_link_secret(from.link_secret);
  }
  void operator()(const Guests& from) {
    wire::GuestsBody& body = *to.mutable_guests();
    for (const Member& guest : from.guests) put(guest, *body.add_guests());
  }
};

}  // namespace

std::string encode(const PeerMessage& message) {
  wire::PeerEnvelope envelope;
  std::visit(PeerMessageWriter{envelope}, message);
  return envelope.SerializeAsString();
}

std::string encode(const MasterMessage& message) {
  wire::MasterEnvelope envelope;
  std::visit(MasterMessageWriter{envelope}, message);
  return envelope.SerializeAsString();
}

}  // namespace hawser
