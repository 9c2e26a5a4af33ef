#include <algorithm>

#include "base/limits.hpp"
#include "wire/control.pb.h"
#include "wire/control_codec.hpp"
#include "base/loggable_text.hpp"

namespace hawser {
namespace {

void put(const Member& from, wire::MemberEntry& to) {
  to.set_id(from.id.value);
  to.set_name(from.name);
  to.set_host(from.address.host);
  to.set_port(from.address.port);
  to.set_machine(from.machine);
  if (from.key != KeyId{}) to.set_key(from.key.bytes.data(), from.key.bytes.size());
  if (from.is_relay) to.mutable_relay()->set_bytes_per_second(from.relay_bytes_per_second);
}

void put(const MemberChange& from, wire::MemberChangeEntry& to) {
  to.set_whole(from.whole);
  for (const Member& member : from.came) put(member, *to.add_came());
  for (const PeerId peer : from.gone) to.add_gone(peer.value);
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

void put(const Ways& from, wire::WaysEntry& to) {
  to.set_port(from.port);
  for (const std::string& host : from.hosts) to.add_hosts(host);
  to.set_from_port(from.is_from_port);
}

void put(const Signature& from, wire::SignatureEntry& to) {
  to.set_collective(static_cast<std::uint32_t>(from.collective));
  to.set_type(static_cast<std::uint32_t>(from.type));
  to.set_op(static_cast<std::uint32_t>(from.op));
  to.set_plan(static_cast<std::uint32_t>(from.plan));
  to.set_count(from.count);
  to.set_root(from.root);
  to.set_purpose(static_cast<std::uint32_t>(from.purpose));
  to.set_measures(from.measures);
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

void put(const Attestation& from, wire::AttestationEntry& to) {
  to.set_sha256(from.given.sha256.data(), from.given.sha256.size());
  to.set_bytes(from.given.bytes);
  to.set_not_finite(from.given.not_finite);
  to.set_largest(from.given.largest);
  to.set_norm(from.given.norm);
  to.set_public_key(from.public_key.data(), from.public_key.size());
  to.set_signature(from.signature.data(), from.signature.size());
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
  to.set_machine(from.machine);
  to.set_connection(from.connection);
  to.set_min_peers(from.min_peers);
  if (from.is_relay) to.mutable_relay()->set_bytes_per_second(from.relay_bytes_per_second);
  for (const Term& term : from.terms) {
    wire::TermEntry& entry = *to.add_terms();
    entry.set_name(term.name);
    entry.set_value(term.value);
  }
}

std::string bits_of(const std::vector<std::uint32_t>& ranks) {
  std::string bits;
  for (const std::uint32_t rank : ranks) {
    bits.resize(std::max<std::size_t>(bits.size(), rank / 8 + 1), '\0');
    bits[rank / 8] = static_cast<char>(bits[rank / 8] | (1 << rank % 8));
  }
  return bits;
}

template <class Body>
void put(const std::vector<Quorum>& from, Body& to) {
  for (const Quorum& quorum : from) {
    wire::QuorumEntry& entry = *to.add_quorums();
    entry.set_ranks(bits_of(quorum.ranks));
    entry.set_of(quorum.of);
  }
}

void put(const LinkRow& from, wire::LinkRowEntry& to) {
  to.mutable_bytes_per_second()->Add(from.bytes_per_second.begin(), from.bytes_per_second.end());
  to.mutable_delay_ns()->Add(from.delay_ns.begin(), from.delay_ns.end());
  to.set_uplink_bytes_per_second(from.uplink_bytes_per_second);
  to.set_downlink_bytes_per_second(from.downlink_bytes_per_second);
  to.set_probed(bits_of(from.probed));
  to.set_lower_bounds(bits_of(from.lower_bounds));
  to.set_together(bits_of(from.together));
  for (const LinkDetour& detour : from.detours) {
    to.add_detour_to(detour.to);
    to.add_detour_by(detour.by == LinkDetour::kByAnyone ? 0 : detour.by + 1);
  }
}

void put(const PeerStatus& from, wire::PeerStatusEntry& to) {
  put(from.member, *to.mutable_member());
  to.set_party(from.party.id.value);
  to.set_party_size(from.party.size);
  to.set_heard_ms(from.heard_ms);
  to.set_in_update(from.in_update);
  to.set_opens_links(from.opens_links);
  to.set_is_away(from.is_away);
}

void put(const CollectiveStatus& from, wire::CollectiveStatusEntry& to) {
  to.set_group(from.group);
  to.set_tag(from.tag);
  to.set_sequence(from.sequence);
  put(from.signature, *to.mutable_signature());
  to.set_alike(from.alike);
  to.set_since_ms(from.since_ms);
  to.set_group_size(from.group_size);
  to.set_called(bits_of(from.called));
  to.set_reported(bits_of(from.reported));
  to.set_waits_for(bits_of(from.waits_for));
  to.set_stragglers(bits_of(from.stragglers));
}

void put(const RunTotals& from, wire::RunTotalsEntry& to) {
  for (const std::uint64_t count : from.committed) to.add_committed(count);
  for (const std::uint64_t bytes : from.bytes) to.add_bytes(bytes);
  to.set_failed_by_loss(from.failed_by_loss);
  to.set_failed_by_mismatch(from.failed_by_mismatch);
  to.set_failed_by_timeout(from.failed_by_timeout);
  to.set_failed_otherwise(from.failed_otherwise);
  to.set_joined(from.joined);
  to.set_left(from.left);
  to.set_lost(from.lost);
}

void put(const RunStatus& from, wire::RunStatusBody& to) {
  to.set_run(from.run.value);
  to.set_protocol_version(from.protocol_version);
  to.set_version(from.version);
  to.set_up_ms(from.up_ms);
  put(from.world, *to.mutable_world());
  to.set_in_update(from.in_update);
  to.set_update_ms(from.update_ms);
  to.set_has_keys(from.has_keys);
  for (const UnreachedStatus& one : from.unreached) {
    wire::UnreachedStatusEntry& entry = *to.add_unreached();
    entry.set_from(one.from.value);
    entry.set_to(one.to.value);
    entry.set_by(one.by.value);
    entry.set_why(one.why);
  }
  to.set_stands_by(!from.serves);
  to.set_gathered(from.gathered);
  put(from.totals, *to.mutable_totals());
  to.set_term(from.term);
  to.set_waits(make_loggable(from.waits, limits::kSentenceBytesMax));
  for (const GroupStatus& group : from.groups) {
    wire::GroupStatusEntry& entry = *to.add_groups();
    entry.set_group(group.group);
    entry.set_epoch(group.epoch.value);
    entry.set_size(group.size);
    entry.set_view(group.view.value);
    entry.set_measures(group.measures);
    entry.set_measures_age_ms(group.measures_age_ms);
    entry.set_mismatches(group.mismatches);
    entry.set_last_mismatch(make_loggable(group.last_mismatch, limits::kSentenceBytesMax));
    entry.set_last_mismatch_age_ms(group.last_mismatch_age_ms);
    for (const PeerStatus& member : group.members) put(member, *entry.add_members());
  }
  for (const PendingStatus& pending : from.pending) {
    wire::PendingStatusEntry& entry = *to.add_pending();
    entry.set_group(pending.group);
    put(pending.peer, *entry.mutable_peer());
    entry.set_awaits(static_cast<std::uint32_t>(pending.awaits));
    entry.set_waits_ms(pending.waits_ms);
  }
  for (const CollectiveStatus& collective : from.collectives) put(collective, *to.add_collectives());
  to.set_peers_left_out(from.peers_left_out);
  to.set_collectives_left_out(from.collectives_left_out);
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
    wire::ViewMarkEntry& mark = *body.mutable_view();
    mark.set_epoch(from.view.epoch.value);
    mark.set_id(from.view.id.value);
    mark.set_size(from.view.size);
    mark.set_fingerprint(from.view.fingerprint);
    body.set_in_update(from.in_update);
    body.set_first(from.first);
    body.set_was_over(from.was_over);
    body.set_after_error(from.after_error);
    body.set_update_round(from.update_round);
    body.set_updates_made(from.updates_made);
    body.set_whole(from.whole);
    body.set_term(from.term);
    put(from.quorums, body);
  }
  void operator()(const ViewPresented& from) { put(from.view, *to.mutable_view_presented()); }
  void operator()(const OutcomesPresented& from) {
    wire::OutcomesBody& body = *to.mutable_outcomes_presented();
    for (const UndecidedOp& op : from.undecided) {
      wire::UndecidedEntry& entry = *body.add_undecided();
      put(op.key, *entry.mutable_key());
      put(op.signature, *entry.mutable_signature());
      entry.set_reported(op.reported);
    }
    for (const OpKey& key : from.committed) put(key, *body.add_committed());
    for (const ViewId view : from.views) body.add_views(view.value);
  }
  void operator()(const Begun& from) {
    op(from.key, from.signature, *to.mutable_begun());
    if (from.attestation) put(*from.attestation, *to.mutable_begun()->mutable_attestation());
    to.mutable_begun()->set_needs_relays(from.needs_relays);
  }
  void operator()(const Report& from) { op(from.key, from.signature, *to.mutable_report()); }
  void operator()(const Complaint& from) {
    wire::ComplaintBody& body = *to.mutable_complaint();
    put(from.key, *body.mutable_key());
    body.set_stalled_ms(from.stalled_ms);
    for (const PeerId peer : from.waiting_for) body.add_waiting_for(peer.value);
    for (const PeerId peer : from.unresponsive) body.add_unresponsive(peer.value);
    body.set_period_ms(from.period_ms);
    for (const Flow& flow : from.flows) {
      body.add_flow_to(flow.to.value);
      body.add_flow_percent(flow.percent);
    }
  }
  void operator()(const UpdateCall& from) {
    wire::UpdateCallBody& body = *to.mutable_update_call();
    body.set_first(from.first);
    body.set_update_round(from.update_round);
    body.set_was_over(from.was_over);
    body.set_goes_on(!from.waits);
    body.set_after_error(from.after_error);
  }
  void operator()(const Linked& from) {
    wire::LinkedBody& body = *to.mutable_linked();
    body.set_all(from.all);
    for (const PeerId peer : from.up) body.add_up(peer.value);
    for (const PeerId peer : from.down) body.add_down(peer.value);
    for (const PeerId peer : from.refused) body.add_refused(peer.value);
    for (const Linked::Detour& detour : from.detours) {
      body.add_detour_to(detour.to.value);
      body.add_detour_by(detour.by.value);
    }
    for (const std::uint32_t delay : from.delays_us) body.add_delay_us(delay);
  }
  void operator()(const Unreached& from) {
    to.mutable_unreached();
    for (const Unreached::Way& way : from.ways) {
      wire::UnreachedEntry& entry = *to.mutable_unreached()->add_ways();
      entry.set_to(way.to.value);
      entry.set_by(way.by.value);
      entry.set_why(way.why);
    }
  }
  void operator()(const GiveUp& from) {
    wire::GiveUpBody& body = *to.mutable_give_up();
    put(from.key, *body.mutable_key());
    body.set_after_ms(from.after_ms);
    body.set_cancelled(from.cancelled);
  }
  void operator()(const ViewTaken& from) { to.mutable_view_taken()->set_view(from.view.value); }
  void operator()(const Leave&) { to.mutable_leave(); }
  void operator()(const Ping&) { to.mutable_ping(); }
  void operator()(const PrefetchOver&) { to.mutable_prefetch_over(); }
  void operator()(const Measured& from) {
    to.mutable_measured()->set_view(from.view.value);
    put(from.row, *to.mutable_measured()->mutable_row());
  }

  void operator()(const StatusRequest& from) {
    to.mutable_status_request()->set_protocol_version(from.protocol_version);
    to.mutable_status_request()->set_matrix(from.matrix);
    to.mutable_status_request()->set_attested(from.attested);
  }

  void operator()(const OperatorCommand& from) {
    to.mutable_operator_command()->set_protocol_version(from.protocol_version);
    to.mutable_operator_command()->set_verb(static_cast<std::uint32_t>(from.verb));
    to.mutable_operator_command()->set_argument(from.argument);
  }

  void operator()(const Ways& from) { put(from, *to.mutable_ways()); }
  void operator()(const BothDial& from) {
    to.mutable_both_dial()->set_to(from.to.value);
    to.mutable_both_dial()->set_why(make_loggable(from.why, limits::kSentenceBytesMax));
  }

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
    to.mutable_welcome()->set_term(from.term);
    to.mutable_welcome()->set_wants_links(from.wants_links);
  }
  void operator()(const Refused& from) { farewell(from.error, from.term, *to.mutable_refused()); }
  void operator()(const Present& from) {
    to.mutable_present()->set_view(from.view);
    to.mutable_present()->set_outcomes(from.outcomes);
  }
  void operator()(const Notice& from) {
    to.mutable_notice()->set_sentence(make_loggable(from.sentence, limits::kSentenceBytesMax));
  }
  void operator()(const StartView& from) {
    wire::StartViewBody& body = *to.mutable_start_view();
    body.set_epoch(from.epoch.value);
    body.set_id(from.id.value);
    body.set_group(from.group);
    body.set_link_secret(from.link_secret);
    body.set_base(from.base.value);
    put(from.members, *body.mutable_members());
    put(from.world, *body.mutable_world());
    put(from.cause, *body.mutable_cause());
    body.set_update_round(from.update_round);
    body.set_fingerprint(from.fingerprint);
    body.set_measures(from.measures);
    put(from.quorums, body);
    body.set_calls_since(from.calls_since.value);
  }
  void operator()(const Committed& from) {
    put(from.key, *to.mutable_committed()->mutable_key());
    to.mutable_committed()->set_measures(from.measures);
    to.mutable_committed()->set_update_round(from.update_round);
    to.mutable_committed()->set_updates_made(from.updates_made);
  }
  void operator()(const Measures& from) {
    wire::MeasuresBody& body = *to.mutable_measures();
    body.set_view(from.view.value);
    body.set_version(from.version);
    for (const LinkRow& row : from.rows) put(row, *body.add_rows());
  }
  void operator()(const UpdateDone& from) {
    put(from.error, *to.mutable_update_done()->mutable_error());
    to.mutable_update_done()->set_update_round(from.update_round);
    to.mutable_update_done()->set_measures(from.measures);
    to.mutable_update_done()->set_was_over(from.was_over);
  }
  void operator()(const WorldNews& from) {
    put(from.world, *to.mutable_world_news()->mutable_world());
    to.mutable_world_news()->set_pending(from.pending);
  }
  void operator()(const Expelled& from) { farewell(from.error, from.term, *to.mutable_expelled()); }
  void operator()(const Standby& from) {
    to.mutable_standby()->set_sentence(make_loggable(from.sentence, limits::kSentenceBytesMax));
    to.mutable_standby()->set_gathers(from.gathers);
  }
  void operator()(const RelayCall& from) {
    put(from.key, *to.mutable_relay_call()->mutable_key());
    put(from.signature, *to.mutable_relay_call()->mutable_signature());
  }
  void operator()(const ViewHeld& from) { to.mutable_view_held()->set_view(from.view.value); }
  void operator()(const Pong&) { to.mutable_pong(); }
  void operator()(const RunStatus& from) { put(from, *to.mutable_run_status()); }
  void operator()(const Straggling& from) {
    wire::StragglingBody& body = *to.mutable_straggling();
    put(from.key, *body.mutable_key());
    body.set_peer(from.peer.value);
    body.set_percent(from.percent);
    body.set_sentence(make_loggable(from.sentence, limits::kSentenceBytesMax));
  }
  void operator()(const GroupMembers& from) {
    put(from.members, *to.mutable_group_members()->mutable_members());
    to.mutable_group_members()->set_link_secret(from.link_secret);
  }
  void operator()(const CommandDone& from) {
    to.mutable_command_done()->set_sentence(make_loggable(from.sentence, limits::kSentenceBytesMax));
  }
  void operator()(const DialEachOther& from) {
    wire::DialEachOtherBody& body = *to.mutable_dial_each_other();
    body.set_peer(from.peer.value);
    body.set_host(from.seen.host);
    body.set_port(from.seen.port);
    put(from.ways, *body.mutable_ways());
  }
  void operator()(const Visitors& from) { put(from.visitors, *to.mutable_visitors()); }
  void operator()(const AttestedCollective& from) {
    wire::AttestedCollectiveBody& body = *to.mutable_attested_collective();
    put(from.key, *body.mutable_key());
    put(from.signature, *body.mutable_signature());
    body.set_group(from.group);
    body.set_age_ms(from.age_ms);
    for (const AttestedCollective::Entry& one : from.members) {
      wire::AttestedMemberEntry& entry = *body.add_members();
      put(one.member, *entry.mutable_member());
      if (one.attestation) put(*one.attestation, *entry.mutable_attestation());
      entry.set_late(one.is_late);
    }
  }

  static void farewell(const Error& error, std::uint64_t term, wire::FarewellBody& body) {
    wire::ErrorEntry entry;
    put(error, entry);
    body.set_status(entry.status());
    body.set_sentence(entry.sentence());
    body.set_term(term);
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
