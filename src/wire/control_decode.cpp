#include <algorithm>
#include <array>
#include <initializer_list>
#include <limits>
#include <string_view>

#include "base/limits.hpp"
#include "wire/control.pb.h"
#include "wire/control_codec.hpp"
#include "base/loggable_text.hpp"
#include "wire/repeated_fields.hpp"

namespace hawser {
namespace {

constexpr std::uint32_t kCollectiveMax = static_cast<std::uint32_t>(Collective::optimize);
constexpr std::uint32_t kPurposeMax = static_cast<std::uint32_t>(Purpose::shared_state);
constexpr std::uint32_t kDataTypeMax = static_cast<std::uint32_t>(kDataTypes.back());
constexpr std::uint32_t kReduceOpMax = static_cast<std::uint32_t>(kReduceOps.back());
constexpr std::uint32_t kSchemeMax = static_cast<std::uint32_t>(QuantizationScheme::cast);
constexpr std::uint32_t kQuantizedTypeMax = static_cast<std::uint32_t>(QuantizedType::float16);
constexpr std::uint32_t kPlanKindMax = static_cast<std::uint32_t>(PlanKind::hierarchical);
constexpr std::size_t kUndecidedMax = std::max(limits::kOutcomesRememberedMax, limits::kOpsInFlightMax);

std::string_view as_text(std::span<const std::byte> bytes) {
  // char may look at any bytes; the library takes its input as such.
  return {static_cast<const char*>(static_cast<const void*>(bytes.data())), bytes.size()};
}

/// Where a list stands in an envelope, and how long it may be.
struct ListLimit {
  const char* what;
  std::initializer_list<int> path;
  std::size_t count_max;
};

/// Turns protobuf's structs into ours and keeps the first thing that is wrong; what it returns after that is
/// of no use.
class Judge {
 public:
  explicit Judge(const char* whose) : whose_(whose) {}

  const std::optional<Error>& error() const { return error_; }
  void refuse(const std::string& why) {
    if (!error_) error_ = Error{Status::refused, std::string(whose_) + " message was refused: " + why};
  }

  /// False where a list is too long or the bytes are no protobuf at all.
  bool lists_fit(std::string_view message, std::initializer_list<ListLimit> lists) {
    for (const ListLimit& list : lists) {
      const auto count = count_occurrences(message, std::span(list.path.begin(), list.path.size()));
      if (!count) {
        refuse("its bytes are not a whole protobuf message");
        return false;
      }
      if (!fits(*count, list.count_max, list.what)) return false;
    }
    return true;
  }

  Member member(const wire::MemberEntry& from) {
    return {.id = PeerId{from.id()},
            .name = name(from.name()),
            .address = address(from.host(), from.port()),
            .machine = from.machine(),
            .key = key_id(from.key()),
            .is_relay = from.has_relay(),
            .relay_bytes_per_second = from.relay().bytes_per_second()};
  }

  KeyId key_id(const std::string& from) {
    KeyId key;
    if (!from.empty()) exactly(from, key.bytes, "key");
    return key;
  }

  Attestation attestation(const wire::AttestationEntry& from) {
    Attestation made{.given = {.bytes = from.bytes(),
                               .not_finite = from.not_finite(),
                               .largest = from.largest(),
                               .norm = from.norm()}};
    for (const double value : {from.largest(), from.norm()})
      if (!(value >= 0 && value <= std::numeric_limits<double>::max())) refuse("it has a magnitude that is none");
    exactly(from.sha256(), made.given.sha256, "digest");
    exactly(from.public_key(), made.public_key, "public key");
    exactly(from.signature(), made.signature, "signature");
    return made;
  }

  AttestedCollective attested(const wire::AttestedCollectiveBody& from) {
    AttestedCollective made{.key = key(from.key()),
                            .signature = signature(from.signature()),
                            .group = from.group(),
                            .age_ms = from.age_ms()};
    for (const auto& entry : from.members())
      made.members.push_back({.member = member(entry.member()),
                              .attestation = entry.has_attestation()
                                                 ? std::optional(attestation(entry.attestation()))
                                                 : std::nullopt,
                              .is_late = entry.late()});
    return made;
  }

  MemberChange change(const wire::MemberChangeEntry& from, const char* twice) {
    MemberChange change{.whole = from.whole(), .came = members(from.came(), twice), .gone = {}};
    change.gone = peers(from.gone(), "peers that went");
    return change;
  }

  std::vector<Member> members(const google::protobuf::RepeatedPtrField<wire::MemberEntry>& from,
                              const char* twice) {
    std::vector<Member> members;
    std::vector<PeerId> ids;
    for (const auto& entry : from) {
      members.push_back(member(entry));
      ids.push_back(members.back().id);
    }
    std::sort(ids.begin(), ids.end());
    if (std::adjacent_find(ids.begin(), ids.end()) != ids.end()) refuse(twice);
    return members;
  }

  View view(const wire::ViewEntry& from) {
    View view{.epoch = Epoch{from.epoch()},
              .id = ViewId{from.id()},
              .group = from.group(),
              .link_secret = from.link_secret(),
              .members = members(from.members(), "a view names a member twice")};
    if (!relays_come_last(view.members)) refuse("a view has members behind its relays");
    return view;
  }

  static World world(const wire::WorldEntry& from) {
    return {.size = from.size(),
            .group_count = from.group_count(),
            .largest_group_size = from.largest_group_size()};
  }

  Error error_of(const wire::ErrorEntry& from) {
    if (from.status() > static_cast<std::uint32_t>(kStatusMax))
      refuse("it has the unknown status " + std::to_string(from.status()));
    return {.status = static_cast<Status>(from.status()),
            .sentence = text(from.sentence(), limits::kSentenceBytesMax, "sentence")};
  }

  Error failure(const wire::ErrorEntry& from) {
    if (from.status() == static_cast<std::uint32_t>(Status::success))
      refuse("it gives success as its reason");
    return error_of(from);
  }

  /// Of Refused and Expelled.
  template <class Message>
  Message farewell(const wire::FarewellBody& from) {
    wire::ErrorEntry entry;
    entry.set_status(from.status());
    entry.set_sentence(from.sentence());
    return {.error = failure(entry), .term = term(from.term())};
  }

  std::uint64_t term(std::uint64_t from) {
    if (from > limits::kTermMax) refuse("it claims a term that no master reaches");
    return from;
  }

  /// Of a view of so many members, where that is known.
  std::vector<Quorum> quorums(const google::protobuf::RepeatedPtrField<wire::QuorumEntry>& from,
                              std::uint32_t group_size = limits::kGroupSizeMax) {
    std::vector<Quorum> quorums;
    if (!fits(static_cast<std::size_t>(from.size()), limits::kQuorumsMax, "quorums")) return quorums;
    for (const auto& entry : from) {
      fits(entry.of(), limits::kGroupSizeMax, "members of a former view");
      quorums.push_back({.ranks = ranks(entry.ranks(), group_size), .of = entry.of()});
    }
    return quorums;
  }

  Quantization quantization(const wire::QuantizationEntry& from, DataType type) {
    if (from.block() > kQuantizationBlockMax) refuse("it has a quantisation block that is too long");
    Quantization made{.scheme = enumerator<QuantizationScheme>(from.scheme(), kSchemeMax, "quantisation"),
                      .type = enumerator<QuantizedType>(from.type(), kQuantizedTypeMax, "quantised type"),
                      .block = static_cast<std::uint16_t>(from.block()),
                      .stochastic = from.stochastic()};
    if (!error_)
      if (const auto fine = check(made, type); !fine.ok()) refuse(fine.error().sentence);
    return made;
  }

  Signature signature(const wire::SignatureEntry& from) {
    Signature made{.collective = enumerator<Collective>(from.collective(), kCollectiveMax, "collective"),
            .type = enumerator<DataType>(from.type(), kDataTypeMax, "data type"),
            .op = enumerator<ReduceOp>(from.op(), kReduceOpMax, "reduce op"),
            .plan = enumerator<PlanKind>(from.plan(), kPlanKindMax, "plan"),
            .count = from.count(),
            .root = from.root(),
            .quantization = {},
            .purpose = enumerator<Purpose>(from.purpose(), kPurposeMax, "purpose"),
            .measures = from.measures()};
    if (from.has_quantization()) made.quantization = quantization(from.quantization(), made.type);
    return made;
  }

  static OpKey key(const wire::OpKeyEntry& from) {
    return {.epoch = Epoch{from.epoch()},
            .view = ViewId{from.view()},
            .tag = from.tag(),
            .sequence = from.sequence()};
  }

  Introduction introduction(const wire::IntroductionEntry& from) {
    return {.protocol_version = from.protocol_version(),
            .id = PeerId{from.id()},
            .token = from.token(),
            .connection = from.connection(),
            .group = from.group(),
            .name = name(from.name()),
            .address = address(from.host(), from.port()),
            .party = party(from.party(), from.party_size()),
            .machine = from.machine(),
            .terms = terms(from.terms()),
            .min_peers = group_size(from.min_peers()),
            .is_relay = from.has_relay(),
            .relay_bytes_per_second = from.relay().bytes_per_second()};
  }

  std::uint32_t group_size(std::uint32_t size) {
    fits(size, limits::kGroupSizeMax, "group");
    return size;
  }

  std::vector<Term> terms(const google::protobuf::RepeatedPtrField<wire::TermEntry>& from) {
    std::vector<Term> terms;
    if (!fits(static_cast<std::size_t>(from.size()), limits::kTermsMax, "terms")) return terms;
    for (const auto& entry : from) {
      terms.push_back({.name = text(entry.name(), limits::kTermNameBytesMax, "term's name"),
                       .value = text(entry.value(), limits::kTermValueBytesMax, "term's value")});
      if (terms.size() > 1 && !(terms[terms.size() - 2].name < terms.back().name))
        refuse("its terms are not in the order of their names");
    }
    return terms;
  }

  Party party(std::uint64_t id, std::uint32_t size) {
    fits(size, limits::kPartySizeMax, "party");
    return {.id = PartyId{id}, .size = size};
  }

  std::vector<std::uint64_t> numbers(const google::protobuf::RepeatedField<std::uint64_t>& from, const char* what) {
    if (!fits(static_cast<std::size_t>(from.size()), limits::kMeasuredGroupMax, what)) return {};
    return {from.begin(), from.end()};
  }

  std::vector<LinkDetour> detours(const wire::LinkRowEntry& from) {
    std::vector<LinkDetour> detours;
    const auto members = static_cast<std::uint32_t>(from.delay_ns_size());
    if (from.detour_to_size() != from.detour_by_size()) refuse("it has detours that lead nowhere");
    for (int i = 0; !error_ && i < from.detour_to_size(); ++i) {
      const std::uint32_t to = from.detour_to(i);
      const std::uint32_t by = from.detour_by(i);
      if (to >= members || by > members) refuse("it names a rank that its group does not have");
      if (by == to + 1) refuse("it has a detour by the one that it leads to");
      if (!detours.empty() && detours.back().to >= to) refuse("its detours are not in the order of ranks");
      detours.push_back({.to = to, .by = by == 0 ? LinkDetour::kByAnyone : by - 1});
    }
    return detours;
  }

  LinkRow row(const wire::LinkRowEntry& from) {
    LinkRow row{.bytes_per_second = numbers(from.bytes_per_second(), "measured rates"),
                .delay_ns = numbers(from.delay_ns(), "measured delays"),
                .uplink_bytes_per_second = from.uplink_bytes_per_second(),
                .downlink_bytes_per_second = from.downlink_bytes_per_second(),
                .probed = ranks(from.probed(), static_cast<std::uint32_t>(from.delay_ns_size())),
                .lower_bounds = ranks(from.lower_bounds(), static_cast<std::uint32_t>(from.delay_ns_size())),
                .together = ranks(from.together(), static_cast<std::uint32_t>(from.delay_ns_size())),
                .detours = detours(from)};
    if (!std::includes(row.probed.begin(), row.probed.end(), row.lower_bounds.begin(), row.lower_bounds.end()))
      refuse("it has a lower bound of a link that was not probed");
    if (row.bytes_per_second.size() != row.delay_ns.size()) refuse("it measures rates and delays of different members");
    return row;
  }

  Measures measures(const wire::MeasuresBody& from) {
    Measures measures{.view = ViewId{from.view()}, .version = from.version(), .rows = {}};
    if (!fits(static_cast<std::size_t>(from.rows_size()), limits::kMeasuredGroupMax, "measuring members"))
      return measures;
    for (const auto& one : from.rows()) {
      measures.rows.push_back(row(one));
      const std::size_t told = measures.rows.back().delay_ns.size();
      if (told != 0 && told != static_cast<std::size_t>(from.rows_size())) refuse("its measures are not square");
    }
    return measures;
  }

  std::vector<ViewId> started_views(const google::protobuf::RepeatedField<std::uint64_t>& from) {
    std::vector<ViewId> views;
    if (fits(static_cast<std::size_t>(from.size()), limits::kViewsRememberedMax, "started views"))
      for (const std::uint64_t view : from) views.push_back(ViewId{view});
    return views;
  }

  std::vector<PeerId> peers(const google::protobuf::RepeatedField<std::uint64_t>& from, const char* what) {
    std::vector<PeerId> peers;
    if (!fits(static_cast<std::size_t>(from.size()), limits::kGroupSizeMax, what)) return peers;
    for (const std::uint64_t id : from) peers.push_back(PeerId{id});
    return peers;
  }

  std::vector<Flow> flows(const wire::ComplaintBody& from) {
    std::vector<Flow> flows;
    for (const PeerId to : peers(from.flow_to(), "links that it reports")) flows.push_back({.to = to});
    if (flows.size() != static_cast<std::size_t>(from.flow_percent_size())) {
      refuse("it has another number of percentages than of links");
      return {};
    }
    for (std::size_t i = 0; i < flows.size(); ++i) flows[i].percent = from.flow_percent(static_cast<int>(i));
    return flows;
  }

  Straggling straggling(const wire::StragglingBody& from) {
    return {.key = key(from.key()),
            .peer = PeerId{from.peer()},
            .percent = from.percent(),
            .sentence = text(from.sentence(), limits::kSentenceBytesMax, "sentence")};
  }

  PeerStatus peer_status(const wire::PeerStatusEntry& from) {
    return {.member = member(from.member()),
            .party = party(from.party(), from.party_size()),
            .heard_ms = from.heard_ms(),
            .in_update = from.in_update(),
            .opens_links = from.opens_links(),
            .is_away = from.is_away()};
  }

  CollectiveStatus collective_status(const wire::CollectiveStatusEntry& from) {
    fits(from.group_size(), limits::kGroupSizeMax, "members of a group");
    return {.group = from.group(),
            .tag = from.tag(),
            .sequence = from.sequence(),
            .signature = signature(from.signature()),
            .alike = from.alike(),
            .since_ms = from.since_ms(),
            .group_size = from.group_size(),
            .called = ranks(from.called(), from.group_size()),
            .reported = ranks(from.reported(), from.group_size()),
            .waits_for = ranks(from.waits_for(), from.group_size()),
            .stragglers = ranks(from.stragglers(), from.group_size())};
  }

  GroupStatus group_status(const wire::GroupStatusEntry& from) {
    GroupStatus group{.group = from.group(),
                      .epoch = Epoch{from.epoch()},
                      .size = from.size(),
                      .members = {},
                      .view = ViewId{from.view()},
                      .measures = from.measures(),
                      .measures_age_ms = from.measures_age_ms(),
                      .mismatches = from.mismatches(),
                      .last_mismatch = text(from.last_mismatch(), limits::kSentenceBytesMax, "sentence"),
                      .last_mismatch_age_ms = from.last_mismatch_age_ms()};
    for (const auto& entry : from.members()) group.members.push_back(peer_status(entry));
    return group;
  }

  /// Of kinds that this version does not know nothing is kept.
  static RunTotals totals(const wire::RunTotalsEntry& from) {
    RunTotals totals{.failed_by_loss = from.failed_by_loss(),
                     .failed_by_mismatch = from.failed_by_mismatch(),
                     .failed_by_timeout = from.failed_by_timeout(),
                     .failed_otherwise = from.failed_otherwise(),
                     .joined = from.joined(),
                     .left = from.left(),
                     .lost = from.lost()};
    const auto copy = [](const auto& counts, auto& to) {
      for (int kind = 0; kind < std::min<int>(counts.size(), static_cast<int>(to.size())); ++kind)
        to[static_cast<std::size_t>(kind)] = counts[kind];
    };
    copy(from.committed(), totals.committed);
    copy(from.bytes(), totals.bytes);
    return totals;
  }

  RunStatus run_status(const wire::RunStatusBody& from) {
    RunStatus status{.run = RunId{from.run()},
                     .protocol_version = from.protocol_version(),
                     .version = text(from.version(), limits::kVersionBytesMax, "version"),
                     .up_ms = from.up_ms(),
                     .world = world(from.world()),
                     .in_update = from.in_update(),
                     .update_ms = from.update_ms(),
                     .groups = {},
                     .pending = {},
                     .collectives = {},
                     .peers_left_out = from.peers_left_out(),
                     .collectives_left_out = from.collectives_left_out(),
                     .has_keys = from.has_keys(),
                     .serves = !from.stands_by(),
                     .gathered = from.gathered(),
                     .term = term(from.term()),
                     .totals = totals(from.totals()),
                     .waits = sentence(from.waits())};
    std::size_t peers = static_cast<std::size_t>(from.pending_size());
    for (const auto& entry : from.groups()) {
      status.groups.push_back(group_status(entry));
      peers += status.groups.back().members.size();
    }
    fits(peers, limits::kStatusPeersMax, "peers");
    for (const auto& entry : from.pending())
      status.pending.push_back({.group = entry.group(),
                                .peer = peer_status(entry.peer()),
                                .awaits = enumerator<Awaits>(entry.awaits(), kAwaitsMax, "reason to wait"),
                                .waits_ms = entry.waits_ms()});
    for (const auto& entry : from.collectives()) status.collectives.push_back(collective_status(entry));
    for (const auto& entry : from.unreached())
      status.unreached.push_back({.from = PeerId{entry.from()},
                                  .to = PeerId{entry.to()},
                                  .by = PeerId{entry.by()},
                                  .why = text(entry.why(), limits::kUnreachedReasonBytesMax, "reason")});
    return status;
  }

  Linked linked(const wire::LinkedBody& from) {
    Linked linked{.all = from.all(),
                  .up = peers(from.up(), "established links"),
                  .down = peers(from.down(), "links that broke"),
                  .refused = peers(from.refused(), "peers that refused it"),
                  .detours = {}};
    const auto to = peers(from.detour_to(), "links by a go-between");
    const auto by = peers(from.detour_by(), "go-betweens");
    if (to.size() != by.size()) refuse("it has detours that lead nowhere");
    for (std::size_t i = 0; !error_ && i < to.size(); ++i) linked.detours.push_back({.to = to[i], .by = by[i]});
    if (!from.delay_us().empty() && from.delay_us_size() != from.up_size()) refuse("not each of its links has a delay");
    if (!error_) linked.delays_us.assign(from.delay_us().begin(), from.delay_us().end());
    return linked;
  }

  Ways ways(const wire::WaysEntry& from) {
    Ways ways{.port = port(from.port()), .hosts = {}, .is_from_port = from.from_port()};
    if (fits(static_cast<std::size_t>(from.hosts_size()), limits::kWaysMax, "addresses"))
      for (const std::string& one : from.hosts()) ways.hosts.push_back(host(one));
    return ways;
  }

  DialEachOther dial_each_other(const wire::DialEachOtherBody& from) {
    return {.peer = PeerId{from.peer()}, .seen = address(from.host(), from.port()), .ways = ways(from.ways())};
  }

  Unreached unreached(const wire::UnreachedBody& from) {
    Unreached made;
    for (const auto& entry : from.ways())
      made.ways.push_back({.to = PeerId{entry.to()},
                           .by = PeerId{entry.by()},
                           .why = text(entry.why(), limits::kUnreachedReasonBytesMax, "reason")});
    return made;
  }

  OperatorVerb verb(std::uint32_t from) {
    return enumerator<OperatorVerb>(from, static_cast<std::uint32_t>(OperatorVerb::end_drain), "command");
  }
  std::string argument(const std::string& from) { return text(from, limits::kOperatorArgumentBytesMax, "argument"); }
  std::string sentence(const std::string& from) { return text(from, limits::kSentenceBytesMax, "sentence"); }

  /// A host as in an Address: visible ASCII without a space, so it stands in a log line as one word.
  std::string host(const std::string& from) {
    const auto visible = [](char c) { return c > ' ' && c <= '~'; };
    if (!std::all_of(from.begin(), from.end(), visible))
      refuse("a host has a character that host names do not have");
    return text(from, limits::kHostBytesMax, "host");
  }

 private:
  template <std::size_t kBytes>
  void exactly(const std::string& from, std::array<std::uint8_t, kBytes>& to, const char* what) {
    if (from.size() == kBytes)
      std::copy(from.begin(), from.end(), to.begin());
    else
      refuse("it has a " + std::string(what) + " of " + std::to_string(from.size()) + " bytes");
  }

  bool fits(std::size_t count, std::size_t count_max, const char* what) {
    if (count <= count_max) return true;
    refuse("it has " + std::to_string(count) + " " + what + "; " + std::to_string(count_max) +
           " are the most");
    return false;
  }

  template <class Enum>
  Enum enumerator(std::uint32_t value, std::uint32_t value_max, const char* what) {
    if (value <= value_max) return static_cast<Enum>(value);
    refuse("it has the unknown " + std::string(what) + " " + std::to_string(value));
    return Enum{};
  }

  std::string text(const std::string& from, std::size_t bytes_max, const char* what) {
    if (from.size() > bytes_max) {
      refuse("a " + std::string(what) + " has " + std::to_string(from.size()) + " bytes; " +
             std::to_string(bytes_max) + " are the most");
      return {};
    }
    if (const auto at = first_unloggable(from))
      refuse("a " + std::string(what) + " has a control character or invalid UTF-8 at byte " +
             std::to_string(*at));
    return from;
  }

  std::vector<std::uint32_t> ranks(const std::string& bits, std::uint32_t group_size) {
    std::vector<std::uint32_t> ranks;
    if (!fits(bits.size(), limits::kGroupSizeMax / 8, "bytes of ranks")) return ranks;
    for (std::uint32_t rank = 0; rank < 8 * bits.size(); ++rank)
      if ((static_cast<unsigned char>(bits[rank / 8]) >> rank % 8 & 1U) != 0) ranks.push_back(rank);
    if (!ranks.empty() && ranks.back() >= group_size) refuse("it names a rank that its group does not have");
    return ranks;
  }

  std::string name(const std::string& from) { return text(from, limits::kNameBytesMax, "name"); }

  std::uint16_t port(std::uint32_t from) {
    if (from > 0xffff) refuse("port " + std::to_string(from) + " does not exist");
    return static_cast<std::uint16_t>(from);
  }

  Address address(const std::string& from_host, std::uint32_t port) {
    return {.host = host(from_host), .port = this->port(port)};
  }

  const char* whose_;
  std::optional<Error> error_;
};

Resume resume_of(const wire::ResumeBody& body, Judge& judge) {
  Resume resume{.who = judge.introduction(body.who()),
                .run = RunId{body.run()},
                .view = {.epoch = Epoch{body.view().epoch()},
                         .id = ViewId{body.view().id()},
                         .size = body.view().size(),
                         .fingerprint = body.view().fingerprint()},
                .in_update = body.in_update(),
                .first = body.first(),
                .was_over = body.was_over(),
                .after_error = body.after_error(),
                .update_round = body.update_round(),
                .updates_made = body.updates_made(),
                .whole = body.whole(),
                .term = judge.term(body.term()),
                .quorums = judge.quorums(body.quorums(), body.view().size())};
  if (resume.view.epoch.value > kResumedNumberMax) judge.refuse("it claims an epoch that no run reaches");
  if (resume.update_round > kResumedNumberMax) judge.refuse("it claims an update round that no run reaches");
  return resume;
}

OutcomesPresented outcomes_of(const wire::OutcomesBody& body, Judge& judge) {
  OutcomesPresented outcomes;
  for (const auto& op : body.undecided())
    outcomes.undecided.push_back({.key = Judge::key(op.key()),
                                  .signature = judge.signature(op.signature()),
                                  .reported = op.reported()});
  for (const auto& key : body.committed()) outcomes.committed.push_back(Judge::key(key));
  outcomes.views = judge.started_views(body.views());
  return outcomes;
}

StartView start_view_of(const wire::StartViewBody& body, Judge& judge) {
  return {.epoch = Epoch{body.epoch()},
          .id = ViewId{body.id()},
          .group = body.group(),
          .link_secret = body.link_secret(),
          .base = ViewId{body.base()},
          .members = judge.change(body.members(), "a view names a member twice"),
          .world = Judge::world(body.world()),
          .cause = judge.error_of(body.cause()),
          .update_round = body.update_round(),
          .fingerprint = body.fingerprint(),
          .measures = body.measures(),
          .quorums = judge.quorums(body.quorums()),
          .calls_since = Epoch{body.calls_since()}};
}

PeerMessage peer_message_of(const wire::PeerEnvelope& from, Judge& judge) {
  using Case = wire::PeerEnvelope::MessageCase;
  switch (from.message_case()) {
    case Case::kHello:
      return Hello{.who = judge.introduction(from.hello().who()), .prefetches = from.hello().prefetches()};
    case Case::kResume: return resume_of(from.resume(), judge);
    case Case::kBegun:
      return Begun{.key = Judge::key(from.begun().key()),
                   .signature = judge.signature(from.begun().signature()),
                   .attestation = from.begun().has_attestation()
                                      ? std::optional(judge.attestation(from.begun().attestation()))
                                      : std::nullopt,
                   .needs_relays = from.begun().needs_relays()};
    case Case::kReport:
      return Report{.key = Judge::key(from.report().key()),
                    .signature = judge.signature(from.report().signature())};
    case Case::kComplaint:
      return Complaint{.key = Judge::key(from.complaint().key()),
                       .stalled_ms = from.complaint().stalled_ms(),
                       .waiting_for = judge.peers(from.complaint().waiting_for(), "peers that it waits for"),
                       .unresponsive = judge.peers(from.complaint().unresponsive(), "peers that do not answer it"),
                       .period_ms = from.complaint().period_ms(),
                       .flows = judge.flows(from.complaint())};
    case Case::kGiveUp:
      return GiveUp{.key = Judge::key(from.give_up().key()),
                    .after_ms = from.give_up().after_ms(),
                    .cancelled = from.give_up().cancelled()};
    case Case::kUpdateCall:
      return UpdateCall{.first = from.update_call().first(),
                        .update_round = from.update_call().update_round(),
                        .was_over = from.update_call().was_over(),
                        .waits = !from.update_call().goes_on(),
                        .after_error = from.update_call().after_error()};
    case Case::kLinked: return judge.linked(from.linked());
    case Case::kWays: return judge.ways(from.ways());
    case Case::kBothDial:
      return BothDial{.to = PeerId{from.both_dial().to()}, .why = judge.sentence(from.both_dial().why())};
    case Case::kUnreached: return judge.unreached(from.unreached());
    case Case::kViewPresented: return ViewPresented{judge.view(from.view_presented())};
    case Case::kOutcomesPresented: return outcomes_of(from.outcomes_presented(), judge);
    case Case::kViewTaken: return ViewTaken{ViewId{from.view_taken().view()}};
    case Case::kLeave: return Leave{};
    case Case::kPing: return Ping{};
    case Case::kPrefetchOver: return PrefetchOver{};
    case Case::kMeasured:
      return Measured{.view = ViewId{from.measured().view()}, .row = judge.row(from.measured().row())};
    case Case::kStatusRequest:
      return StatusRequest{.protocol_version = from.status_request().protocol_version(),
                           .matrix = from.status_request().matrix(),
                           .attested = from.status_request().attested()};
    case Case::kOperatorCommand:
      return OperatorCommand{.protocol_version = from.operator_command().protocol_version(),
                             .verb = judge.verb(from.operator_command().verb()),
                             .argument = judge.argument(from.operator_command().argument())};
    case Case::MESSAGE_NOT_SET: break;
  }
  judge.refuse("its kind is unknown to this version");
  return Ping{};
}

MasterMessage master_message_of(const wire::MasterEnvelope& from, Judge& judge) {
  using Case = wire::MasterEnvelope::MessageCase;
  switch (from.message_case()) {
    case Case::kWelcome:
      return Welcome{.run = RunId{from.welcome().run()},
                     .seen_host = judge.host(from.welcome().seen_host()),
                     .term = judge.term(from.welcome().term()),
                     .wants_links = from.welcome().wants_links()};
    case Case::kRefused: return judge.farewell<Refused>(from.refused());
    case Case::kStandby:
      return Standby{.sentence = judge.sentence(from.standby().sentence()), .gathers = from.standby().gathers()};
    case Case::kViewHeld: return ViewHeld{ViewId{from.view_held().view()}};
    case Case::kRelayCall:
      return RelayCall{.key = Judge::key(from.relay_call().key()),
                       .signature = judge.signature(from.relay_call().signature())};
    case Case::kPresent:
      return Present{.view = from.present().view(), .outcomes = from.present().outcomes()};
    case Case::kNotice: return Notice{judge.sentence(from.notice().sentence())};
    case Case::kCommandDone: return CommandDone{judge.sentence(from.command_done().sentence())};
    case Case::kStartView: return start_view_of(from.start_view(), judge);
    case Case::kCommitted:
      return Committed{.key = Judge::key(from.committed().key()),
                       .measures = from.committed().measures(),
                       .update_round = from.committed().update_round(),
                       .updates_made = from.committed().updates_made()};
    case Case::kMeasures: return judge.measures(from.measures());
    case Case::kUpdateDone:
      return UpdateDone{.error = judge.error_of(from.update_done().error()),
                        .update_round = from.update_done().update_round(),
                        .measures = from.update_done().measures(),
                        .was_over = from.update_done().was_over()};
    case Case::kWorldNews:
      return WorldNews{.world = Judge::world(from.world_news().world()),
                       .pending = from.world_news().pending()};
    case Case::kExpelled: return judge.farewell<Expelled>(from.expelled());
    case Case::kPong: return Pong{};
    case Case::kGroupMembers:
      return GroupMembers{
          .members = judge.change(from.group_members().members(), "a list of group members names a member twice"),
          .link_secret = from.group_members().link_secret()};
    case Case::kVisitors:
      return Visitors{judge.change(from.visitors(), "a list of visitors names a peer twice")};
    case Case::kRunStatus: return judge.run_status(from.run_status());
    case Case::kStraggling: return judge.straggling(from.straggling());
    case Case::kDialEachOther: return judge.dial_each_other(from.dial_each_other());
    case Case::kAttestedCollective: return judge.attested(from.attested_collective());
    case Case::MESSAGE_NOT_SET: break;
  }
  judge.refuse("its kind is unknown to this version");
  return Pong{};
}

/// What both decoders do: sizes, protobuf, meaning.
template <class Message, class Envelope>
Result<Message> decode(std::span<const std::byte> bytes, Judge judge, std::initializer_list<ListLimit> lists,
                       Message (*convert)(const Envelope&, Judge&)) {
  if (bytes.size() > limits::kControlMessageBytesMax) {
    judge.refuse("it has " + std::to_string(bytes.size()) + " bytes; " +
                 std::to_string(limits::kControlMessageBytesMax) + " are the most");
    return *judge.error();
  }
  if (!judge.lists_fit(as_text(bytes), lists)) return *judge.error();
  Envelope envelope;
  if (!envelope.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    judge.refuse("its bytes are not a whole protobuf message");
    return *judge.error();
  }
  Message message = convert(envelope, judge);
  if (judge.error()) return *judge.error();
  return message;
}

}  // namespace

Result<PeerMessage> decode_peer_message(std::span<const std::byte> bytes) {
  using Envelope = wire::PeerEnvelope;
  using Outcomes = wire::OutcomesBody;
  constexpr int kOutcomes = Envelope::kOutcomesPresentedFieldNumber;
  return decode<PeerMessage, Envelope>(
      bytes, Judge("a peer's"),
      {{"members",
        {Envelope::kViewPresentedFieldNumber, wire::ViewEntry::kMembersFieldNumber},
        limits::kGroupSizeMax},
       {"addresses", {Envelope::kWaysFieldNumber, wire::WaysEntry::kHostsFieldNumber}, limits::kWaysMax},
       {"peers without a straight way",
        {Envelope::kUnreachedFieldNumber, wire::UnreachedBody::kWaysFieldNumber},
        limits::kUnreachedToldMax},
       {"quorums", {Envelope::kResumeFieldNumber, wire::ResumeBody::kQuorumsFieldNumber}, limits::kQuorumsMax},
       {"undecided collectives", {kOutcomes, Outcomes::kUndecidedFieldNumber}, kUndecidedMax},
       {"committed collectives", {kOutcomes, Outcomes::kCommittedFieldNumber}, limits::kOutcomesRememberedMax}},
      peer_message_of);
}

Result<MasterMessage> decode_master_message(std::span<const std::byte> bytes) {
  using Envelope = wire::MasterEnvelope;
  using RunStatusBody = wire::RunStatusBody;
  constexpr int kStatus = Envelope::kRunStatusFieldNumber;
  constexpr int kCame = wire::MemberChangeEntry::kCameFieldNumber;
  return decode<MasterMessage, Envelope>(
      bytes, Judge("a master's"),
      {{"members",
        {Envelope::kStartViewFieldNumber, wire::StartViewBody::kMembersFieldNumber, kCame},
        limits::kGroupSizeMax},
       {"members",
        {Envelope::kGroupMembersFieldNumber, wire::GroupMembersBody::kMembersFieldNumber, kCame},
        limits::kGroupSizeMax},
       {"quorums", {Envelope::kStartViewFieldNumber, wire::StartViewBody::kQuorumsFieldNumber}, limits::kQuorumsMax},
       {"visitors", {Envelope::kVisitorsFieldNumber, kCame}, limits::kGroupSizeMax},
       {"measuring members",
        {Envelope::kMeasuresFieldNumber, wire::MeasuresBody::kRowsFieldNumber},
        limits::kMeasuredGroupMax},
       {"members of a collective",
        {Envelope::kAttestedCollectiveFieldNumber, wire::AttestedCollectiveBody::kMembersFieldNumber},
        limits::kGroupSizeMax},
       {"addresses",
        {Envelope::kDialEachOtherFieldNumber, wire::DialEachOtherBody::kWaysFieldNumber,
         wire::WaysEntry::kHostsFieldNumber},
        limits::kWaysMax},
       {"groups", {kStatus, RunStatusBody::kGroupsFieldNumber}, limits::kStatusPeersMax},
       {"members",
        {kStatus, RunStatusBody::kGroupsFieldNumber, wire::GroupStatusEntry::kMembersFieldNumber},
        limits::kStatusPeersMax},
       {"pending peers", {kStatus, RunStatusBody::kPendingFieldNumber}, limits::kStatusPeersMax},
       {"collectives", {kStatus, RunStatusBody::kCollectivesFieldNumber}, limits::kStatusCollectivesMax},
       {"pairs without a straight way",
        {kStatus, RunStatusBody::kUnreachedFieldNumber},
        limits::kStatusUnreachedMax}},
      master_message_of);
}

}  // namespace hawser
