#include "engine/peer_engine_state.hpp"

/// Optimize-topology: links that no traffic has shown are probed.
namespace hawser {

std::shared_ptr<LinkProbing> PeerEngine::State::make_probing(Instant now, const CollectiveStart& call) {
  const View& view = machine_.view();
  const ProbeWishes& wishes = call.probing->wishes;
  LinkProbing::Setting setting{
      .rank = *view.rank_of(machine_.self()), .world_size = view.size(), .links = {}, .began = now};
  // Relays are not probed: they tell what they offer, or show it.
  for (std::uint32_t rank = 0; rank < view.size(); ++rank) {
    const Member& member = view.members[rank];
    ProbeLink& known = setting.links.emplace_back();
    const Link* const link = find_link(member.id);
    // Links on one host are not measured.
    if (link == nullptr || !link->metered) continue;
    const LinkMeter& meter = link->meter;
    known.round_trip = meter.round_trip();
    known.connections = static_cast<std::uint32_t>(link->schedule.connections());
    known.widens = config_.widens_links && machine_.self() < member.id;
    known.wanted = wishes.all_pairs || meter.bytes_per_second() == 0 ||
                   meter.source() == RateSource::probe_lower_bound ||
                   (wishes.age_max && now - meter.measured_at() > *wishes.age_max);
  }
  return std::make_shared<LinkProbing>(call.probing, std::move(setting));
}

/// Bursts that have ended, and links that are to be probed next.
void PeerEngine::State::take_probes(Instant now, const OpKey& key, Op& op, EngineActions& out) {
  const auto& members = machine_.view().members;
  for (const LinkProbing::Ended& ended : op.probing->take_ended()) {
    const Member& member = members[ended.to];
    Link& link = *find_link(member.id);
    // A burst that was cut short leaves nothing for the next pair's way.
    link.schedule.cancel_all(key);
    if (ended.bytes_per_second != 0)
      link.meter.probed(now, ended.bytes_per_second, ended.is_lower_bound);
    else
      link.meter.interrupted();
    const std::string rate = std::to_string(ended.bytes_per_second / 125'000) + " Mbit/s";
    out.emplace_back(LogEvent{LogLevel::debug, "link-probed",
                              "the link to " + member.name +
                                  (ended.bytes_per_second == 0 ? " let nothing through in time"
                                   : ended.is_lower_bound      ? " carries at least " + rate
                                                               : " carries " + rate)});
  }
  for (const LinkProbing::Width& width : op.probing->take_widths())
    out.emplace_back(WidenLink{members[width.with].id, width.connections});
}

/// A frame that carries nothing has come in. One of another call was not judged.
void PeerEngine::State::count_probe(PeerId from, const FrameHeader& header, Op& op) {
  if (header.signature != op.fingerprint || judge(op, from, header) != Execution::Verdict::discarded) return;
  op.probing->came(*machine_.view().rank_of(from), header.payload_bytes);
}

void PeerEngine::State::link_is_wider(Instant now, PeerId peer, EngineActions& out) {
  const auto rank = machine_.view().rank_of(peer);
  for (auto& [key, op] : ops_) {
    if (!op.probing || !rank || *rank >= machine_.view().size()) continue;
    Execution::Output output;
    op.probing->link_established(now, *rank, static_cast<std::uint32_t>(find_link(peer)->schedule.connections()),
                                 output);
    perform(key, op, output, out);
    take_probes(now, key, op, out);
    if (op.execution->complete() && !op.whole) result_whole(now, key, op, out);
  }
}

void PeerEngine::State::end_probing(const Op& op, EngineActions& out) {
  if (!op.probing) return;
  for (const Member& member : machine_.view().members)
    if (config_.widens_links && machine_.self() < member.id) out.emplace_back(WidenLink{member.id, 0});
}

}  // namespace hawser
