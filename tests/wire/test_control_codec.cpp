#include <string>
#include <vector>

#include "base/limits.hpp"
#include "base/random.hpp"
#include "catch.hpp"
#include "wire/bytes.hpp"
#include "wire/control_codec.hpp"
#include "base/loggable_text.hpp"
#include "wire/random_message.hpp"

namespace hawser {
namespace {

using testing::as_bytes;
using testing::bytes_field;
using testing::number_field;
using testing::repeated;

constexpr std::size_t kPeerKinds = std::variant_size_v<PeerMessage>;
constexpr std::size_t kMasterKinds = std::variant_size_v<MasterMessage>;

Result<PeerMessage> decode_peer(std::string_view bytes) { return decode_peer_message(as_bytes(bytes)); }
Result<MasterMessage> decode_master(std::string_view bytes) { return decode_master_message(as_bytes(bytes)); }

/// Whatever the bytes are: an answer that can be logged, or a message that survives a round trip.
void expect_sane(std::string_view bytes) {
  if (const auto message = decode_peer(bytes); message.ok()) {
    const auto again = decode_peer(encode(*message));
    REQUIRE(again.ok());
    REQUIRE(*again == *message);
  } else {
    REQUIRE(message.status() == Status::refused);
    REQUIRE_FALSE(first_unloggable(message.error().sentence));
  }
  if (const auto message = decode_master(bytes); message.ok()) {
    const auto again = decode_master(encode(*message));
    REQUIRE(again.ok());
    REQUIRE(*again == *message);
  } else {
    REQUIRE(message.status() == Status::refused);
    REQUIRE_FALSE(first_unloggable(message.error().sentence));
  }
}

void expect_refused(const PeerMessage& message, const std::string& because) {
  const auto decoded = decode_peer(encode(message));
  REQUIRE_FALSE(decoded.ok());
  CHECK(decoded.status() == Status::refused);
  INFO(decoded.error().sentence);
  CHECK(decoded.error().sentence.find(because) != std::string::npos);
}

void expect_refused(const MasterMessage& message, const std::string& because) {
  const auto decoded = decode_master(encode(message));
  REQUIRE_FALSE(decoded.ok());
  CHECK(decoded.status() == Status::refused);
  INFO(decoded.error().sentence);
  CHECK(decoded.error().sentence.find(because) != std::string::npos);
}

}  // namespace

TEST_CASE("every control message comes back as it was") {
  Random random(1);
  for (int i = 0; i < 3000; ++i) {
    INFO("message " << i);
    const PeerMessage to_master = testing::any_peer_message(random, static_cast<std::size_t>(i));
    const auto peer = decode_peer(encode(to_master));
    REQUIRE(peer.ok());
    REQUIRE(*peer == to_master);
    const MasterMessage to_peer = testing::any_master_message(random, static_cast<std::size_t>(i));
    const auto master = decode_master(encode(to_peer));
    REQUIRE(master.ok());
    REQUIRE(*master == to_peer);
  }
}

TEST_CASE("truncated and corrupted control messages are refused or decode to something valid") {
  Random random(2);
  for (std::size_t kind = 0; kind < std::max(kPeerKinds, kMasterKinds); ++kind)
    for (const std::string& whole : {encode(testing::any_peer_message(random, kind)),
                                     encode(testing::any_master_message(random, kind))}) {
      INFO("kind " << kind);
      for (std::size_t length = 0; length < whole.size(); ++length)
        expect_sane(std::string_view(whole).substr(0, length));
      for (std::size_t at = 0; at < whole.size(); ++at)
        for (const int flip : {0x01, 0x08, 0x40, 0x80, 0xff}) {
          std::string corrupted = whole;
          corrupted[at] = static_cast<char>(corrupted[at] ^ flip);
          expect_sane(corrupted);
        }
    }
}

TEST_CASE("noise is refused or decodes to something valid") {
  Random random(3);
  for (int i = 0; i < 20000; ++i) {
    std::string noise(random.below(80), '\0');
    for (char& c : noise) c = static_cast<char>(random.next());
    // Most noise is no protobuf at all: lead it into one of the messages.
    if (!noise.empty() && random.chance(3, 4))
      noise = bytes_field(static_cast<int>(1 + random.below(46)), noise);
    expect_sane(noise);
  }
}

TEST_CASE("the largest messages within the limits fit into a control message") {
  Random random(4);
  const PeerMessage outcomes = testing::largest_outcomes();
  CHECK(encode(outcomes).size() <= limits::kControlMessageBytesMax);
  const auto decoded = decode_peer(encode(outcomes));
  REQUIRE(decoded.ok());
  CHECK(*decoded == outcomes);

  const View view = testing::largest_view(random);
  const PeerMessage presented = ViewPresented{view};
  CHECK(encode(presented).size() <= limits::kPresentedViewBytesMax);
  CHECK(decode_peer(encode(presented)).ok());
  // Before it is known, a peer says this much at the most.
  for (const PeerMessage& first : {PeerMessage(Hello{.who = testing::largest_introduction(), .prefetches = true}),
                                   PeerMessage(Resume{.who = testing::largest_introduction(),
                                                      .run = RunId{~std::uint64_t{0}},
                                                      .view = {.epoch = {kResumedNumberMax},
                                                               .id = ViewId{~std::uint64_t{0}},
                                                               .size = ~std::uint32_t{0},
                                                               .fingerprint = ~std::uint64_t{0}},
                                                      .in_update = true,
                                                      .first = true,
                                                      .update_round = kResumedNumberMax})}) {
    CHECK(encode(first).size() <= limits::kFirstMessageBytesMax);
    CHECK(decode_peer(encode(first)).ok());
  }
  const std::vector<PeerId> peers(limits::kGroupSizeMax, PeerId{~std::uint64_t{0}});
  CHECK(encode(PeerMessage(Linked{.all = true, .up = peers, .down = {}, .refused = {}})).size() <=
        limits::kNewcomerMessageBytesMax);

  const MemberChange whole = whole_list(view.members);
  for (const MasterMessage& list :
       {MasterMessage(GroupMembers{.members = whole, .link_secret = view.link_secret}), MasterMessage(Visitors{whole}),
        MasterMessage(StartView{.members = whole, .cause = {Status::peer_lost, std::string(900, 'x')}})}) {
    CHECK(encode(list).size() <= limits::kControlMessageBytesMax);
    const auto decoded_list = decode_master(encode(list));
    REQUIRE(decoded_list.ok());
    CHECK(*decoded_list == list);
  }

  const MasterMessage status = testing::largest_run_status(random);
  CHECK(encode(status).size() <= limits::kControlMessageBytesMax);
  const auto decoded_status = decode_master(encode(status));
  REQUIRE(decoded_status.ok());
  CHECK(*decoded_status == status);
}

TEST_CASE("a message larger than the largest is refused whatever it holds") {
  const std::string padding = bytes_field(1000, std::string(limits::kControlMessageBytesMax, 'x'));
  const auto decoded = decode_peer(encode(PeerMessage(Ping{})) + padding);
  REQUIRE_FALSE(decoded.ok());
  CHECK(decoded.error().sentence.find("bytes") != std::string::npos);
}

TEST_CASE("lists over their limits are refused") {
  Random random(5);
  SECTION("members") {
    View view = testing::largest_view(random);
    for (Member& member : view.members) member.name = member.address.host = "";
    view.members.push_back({.id = PeerId{1}, .name = "one too many", .address = {}});
    expect_refused(PeerMessage(ViewPresented{view}), "members");
    expect_refused(MasterMessage(StartView{.members = whole_list(view.members)}), "members");
    expect_refused(MasterMessage(GroupMembers{.members = whole_list(view.members), .link_secret = 1}), "members");
    expect_refused(MasterMessage(Visitors{whole_list(view.members)}), "visitors");
  }
  SECTION("undecided") {
    OutcomesPresented outcomes = testing::any_outcomes(random);
    outcomes.undecided.resize(limits::kOutcomesRememberedMax + 1);
    expect_refused(PeerMessage(outcomes), "undecided");
  }
  SECTION("committed") {
    OutcomesPresented outcomes = testing::any_outcomes(random);
    outcomes.committed.resize(limits::kOutcomesRememberedMax + 1);
    expect_refused(PeerMessage(outcomes), "committed");
  }
  SECTION("terms") {
    Hello hello{.who = testing::largest_introduction(), .prefetches = false};
    hello.who.terms.push_back({.name = "~", .value = ""});
    expect_refused(PeerMessage(hello), "terms");
  }
  SECTION("peers") {
    const std::vector<PeerId> peers(limits::kGroupSizeMax + 1);
    expect_refused(PeerMessage(Complaint{.key = {}, .stalled_ms = 1, .waiting_for = peers}), "waits for");
    expect_refused(PeerMessage(Linked{.all = false, .up = peers, .down = {}, .refused = {}}), "established");
    expect_refused(MasterMessage(Visitors{{.whole = false, .came = {}, .gone = peers}}), "went");
  }
}

TEST_CASE("a list is counted before it is decoded, however it is spread or hidden") {
  // Two bytes each on the wire; a hundred times that when decoded.
  const std::string members = repeated(bytes_field(5, ""), 400000);
  for (const std::string& bomb :
       {bytes_field(13, members), bytes_field(14, repeated(bytes_field(1, ""), 400000)),
        bytes_field(14, repeated(bytes_field(2, ""), 400000)),
        // A field that comes again is merged with its first: no list is longer for it.
        repeated(bytes_field(13, repeated(bytes_field(5, ""), 1000)), 100)}) {
    const auto decoded = decode_peer(bomb);
    REQUIRE_FALSE(decoded.ok());
    CHECK(decoded.error().sentence.find("are the most") != std::string::npos);
  }
  const std::string came = repeated(bytes_field(2, ""), 400000);
  for (const std::string& list :
       {bytes_field(36, bytes_field(6, came)), bytes_field(42, bytes_field(1, came)), bytes_field(43, came)}) {
    const auto decoded = decode_master(list);
    REQUIRE_FALSE(decoded.ok());
    CHECK(decoded.error().sentence.find("are the most") != std::string::npos);
  }
  // Of a status: groups, members over all groups, pending peers, collectives.
  for (const std::string& body :
       {repeated(bytes_field(8, ""), 2049), repeated(bytes_field(8, repeated(bytes_field(4, ""), 100)), 21),
        repeated(bytes_field(9, ""), 2049), repeated(bytes_field(10, ""), 257)}) {
    const auto decoded = decode_master(bytes_field(45, body));
    REQUIRE_FALSE(decoded.ok());
    CHECK(decoded.error().sentence.find("are the most") != std::string::npos);
  }

  // A tag that is too wide: protobuf drops the bits above the 32nd.
  const std::string wide_tag = testing::varint((std::uint64_t{1} << 32) | (13 << 3) | 2);
  const std::string& body = members;
  CHECK_FALSE(decode_peer(wide_tag + testing::varint(body.size()) + body).ok());
}

TEST_CASE("a status beyond its limits is refused") {
  Random random(10);
  RunStatus status = testing::any_run_status(random);
  SECTION("members and pending peers together") {
    status.groups = {{.members = std::vector<PeerStatus>(limits::kStatusPeersMax)}};
    status.pending.clear();
    CHECK(decode_master(encode(MasterMessage(status))).ok());
    status.pending.emplace_back();
    expect_refused(MasterMessage(status), "peers");
  }
  SECTION("a rank beyond its group") {
    status.collectives = {{.group_size = 9, .called = {0, 8}}};
    CHECK(decode_master(encode(MasterMessage(status))).ok());
    status.collectives.front().waits_for = {9};
    expect_refused(MasterMessage(status), "rank");
  }
  SECTION("more ranks than a group has") {
    status.collectives = {{.group_size = limits::kGroupSizeMax, .called = {limits::kGroupSizeMax}}};
    expect_refused(MasterMessage(status), "bytes of ranks");
  }
  SECTION("a group that is too large") {
    status.collectives = {{.group_size = limits::kGroupSizeMax + 1}};
    expect_refused(MasterMessage(status), "members");
  }
  SECTION("an unknown reason to wait") {
    status.pending = {{.awaits = static_cast<Awaits>(kAwaitsMax + 1)}};
    expect_refused(MasterMessage(status), "reason to wait");
  }
  SECTION("a version that is no text, or too long") {
    status.version = "1\n2";
    expect_refused(MasterMessage(status), "version");
    status.version = std::string(limits::kVersionBytesMax + 1, '1');
    expect_refused(MasterMessage(status), "version");
  }
  SECTION("a party that is too large, a name that is no text") {
    status.pending = {{.peer = {.party = {.id = PartyId{1}, .size = limits::kPartySizeMax + 1}}}};
    expect_refused(MasterMessage(status), "party");
    status.pending = {{.peer = {.member = {.id = PeerId{1}, .name = "\x1b[2J", .address = {}}}}};
    expect_refused(MasterMessage(status), "name");
  }
}

TEST_CASE("measures must be square, and of a group that measures") {
  Random random(8);
  Measures measures{.view = ViewId{1}, .version = 1, .rows = {}};
  SECTION("a row of another size") {
    measures.rows = {testing::any_link_row(random, 2), testing::any_link_row(random, 3)};
    expect_refused(MasterMessage(measures), "square");
  }
  SECTION("too many rows") {
    measures.rows.resize(limits::kMeasuredGroupMax + 1);
    expect_refused(MasterMessage(measures), "measuring members");
  }
  SECTION("too many rates") {
    expect_refused(PeerMessage(Measured{.view = ViewId{1},
                                        .row = testing::any_link_row(random, limits::kMeasuredGroupMax + 1)}),
                   "measured rates");
  }
  SECTION("rates and delays of different members") {
    LinkRow row = testing::any_link_row(random, 3);
    row.delay_ns.pop_back();
    expect_refused(PeerMessage(Measured{.view = ViewId{1}, .row = row}), "different members");
  }
  SECTION("a detour by a rank that there is not, by its own end, or out of order") {
    LinkRow row = testing::any_link_row(random, 3);
    row.detours = {{.to = 1, .by = 2}, {.to = 2, .by = LinkDetour::kByAnyone}};
    CHECK(decode_peer(encode(PeerMessage(Measured{.view = ViewId{1}, .row = row}))).ok());
    row.detours = {{.to = 1, .by = 3}};
    expect_refused(PeerMessage(Measured{.view = ViewId{1}, .row = row}), "rank");
    row.detours = {{.to = 3, .by = 1}};
    expect_refused(PeerMessage(Measured{.view = ViewId{1}, .row = row}), "rank");
    row.detours = {{.to = 1, .by = 1}};
    expect_refused(PeerMessage(Measured{.view = ViewId{1}, .row = row}), "leads to");
    row.detours = {{.to = 2, .by = 1}, {.to = 1, .by = 2}};
    expect_refused(PeerMessage(Measured{.view = ViewId{1}, .row = row}), "order");
  }
  SECTION("the largest fits") {
    const std::uint64_t most = ~std::uint64_t{0};
    LinkRow row{.bytes_per_second = std::vector<std::uint64_t>(limits::kMeasuredGroupMax, most),
                .delay_ns = std::vector<std::uint64_t>(limits::kMeasuredGroupMax, most),
                .uplink_bytes_per_second = most,
                .downlink_bytes_per_second = most};
    for (std::uint32_t to = 0; to < limits::kMeasuredGroupMax; ++to) row.detours.push_back({.to = to});
    measures.rows.assign(limits::kMeasuredGroupMax, row);
    const auto back = decode_master(encode(MasterMessage(measures)));
    REQUIRE(back.ok());
    CHECK(std::get<Measures>(*back) == measures);
  }
}

TEST_CASE("texts must fit and be fit for a log line") {
  Random random(6);
  Hello hello{.who = testing::any_introduction(random), .prefetches = false};
  SECTION("a name that is too long") {
    hello.who.name = std::string(limits::kNameBytesMax + 1, 'n');
    expect_refused(PeerMessage(hello), "name");
  }
  SECTION("a party that is too large") {
    hello.who.party = {.id = PartyId{1}, .size = limits::kPartySizeMax + 1};
    expect_refused(PeerMessage(hello), "party");
  }
  SECTION("a name with a line break") {
    hello.who.name = "good\nERROR all is lost";
    expect_refused(PeerMessage(hello), "name");
  }
  SECTION("a name with a terminal's escape sequence") {
    hello.who.name = "\x1b[2J";
    expect_refused(PeerMessage(hello), "name");
  }
  SECTION("a name that is no UTF-8") {
    hello.who.name = "\xff";
    expect_refused(PeerMessage(hello), "name");
  }
  SECTION("a host that is too long") {
    hello.who.address.host = std::string(limits::kHostBytesMax + 1, 'h');
    expect_refused(PeerMessage(hello), "host");
  }
  SECTION("a host with a space") {
    hello.who.address.host = "a b";
    expect_refused(PeerMessage(hello), "host");
    expect_refused(MasterMessage(Welcome{.run = {}, .seen_host = "a b"}), "host");
  }
  SECTION("a member's name and host") {
    View view = testing::any_view(random);
    view.members.push_back({.id = PeerId{1}, .name = "\r", .address = {}});
    expect_refused(PeerMessage(ViewPresented{view}), "name");
    expect_refused(MasterMessage(GroupMembers{.members = whole_list(view.members), .link_secret = 1}), "name");
    view.members.back() = {.id = PeerId{1}, .name = "", .address = {.host = "\x7f", .port = 1}};
    expect_refused(MasterMessage(StartView{.members = whole_list(view.members)}), "host");
    expect_refused(MasterMessage(Visitors{whole_list(view.members)}), "host");
  }
  SECTION("terms out of order, twice, or no texts") {
    hello.who.terms = {{.name = "b", .value = ""}, {.name = "a", .value = ""}};
    expect_refused(PeerMessage(hello), "order");
    hello.who.terms = {{.name = "a", .value = "1"}, {.name = "a", .value = "2"}};
    expect_refused(PeerMessage(hello), "order");
    hello.who.terms = {{.name = "a", .value = "two\nlines"}};
    expect_refused(PeerMessage(hello), "value");
  }
  SECTION("a sentence, which only a foreign sender gets wrong") {
    const auto expelled = [](const std::string& sentence) {
      return decode_master(bytes_field(40, number_field(1, 9) + bytes_field(2, sentence)));
    };
    CHECK(expelled(std::string(limits::kSentenceBytesMax, 's')).ok());
    CHECK_FALSE(expelled(std::string(limits::kSentenceBytesMax + 1, 's')).ok());
    CHECK_FALSE(expelled("two\nlines").ok());
  }
}

TEST_CASE("own sentences are clipped between two characters and made fit for a log line") {
  std::string sentence = "line\nbreak ";
  while (sentence.size() < limits::kSentenceBytesMax - 1) sentence += 'x';
  sentence += "\xc3\xa9 and more";
  const auto decoded = decode_master(encode(MasterMessage(Expelled{{Status::expelled, sentence}})));
  REQUIRE(decoded.ok());
  const Error& error = std::get<Expelled>(*decoded).error;
  CHECK(error.sentence.size() == limits::kSentenceBytesMax - 1);
  CHECK(error.sentence.substr(0, 11) == "line?break ");
}

TEST_CASE("a view or list names each peer once") {
  Random random(7);
  View view = testing::any_view(random);
  view.members.push_back(testing::any_member(random));
  CHECK(decode_peer(encode(PeerMessage(ViewPresented{view}))).ok());
  view.members.push_back(view.members.front());
  view.members.back().name = "another";
  expect_refused(PeerMessage(ViewPresented{view}), "twice");
  const MemberChange twice = whole_list(view.members);
  expect_refused(MasterMessage(StartView{.members = twice}), "twice");
  expect_refused(MasterMessage(GroupMembers{.members = twice, .link_secret = 1}), "twice");
  expect_refused(MasterMessage(Visitors{twice}), "twice");
}

TEST_CASE("unknown values are refused") {
  OpKey key;
  Signature signature{.count = 1};
  SECTION("collective") {
    signature.collective = static_cast<Collective>(7);
    expect_refused(PeerMessage(Begun{.key = key, .signature = signature}), "collective");
  }
  SECTION("purpose") {
    signature.purpose = static_cast<Purpose>(2);
    expect_refused(PeerMessage(Begun{.key = key, .signature = signature}), "purpose");
  }
  SECTION("data type") {
    signature.type = static_cast<DataType>(12);
    expect_refused(PeerMessage(Report{.key = key, .signature = signature}), "data type");
  }
  SECTION("reduce op") {
    signature.op = static_cast<ReduceOp>(5);
    expect_refused(PeerMessage(Report{.key = key, .signature = signature}), "reduce op");
  }
  SECTION("quantisation") {
    signature.quantization.scheme = static_cast<QuantizationScheme>(5);
    expect_refused(PeerMessage(Report{.key = key, .signature = signature}), "quantisation");
  }
  SECTION("quantised type") {
    signature.quantization = {.scheme = QuantizationScheme::min_max, .type = static_cast<QuantizedType>(6)};
    expect_refused(PeerMessage(Report{.key = key, .signature = signature}), "quantised type");
  }
  SECTION("a quantisation that does not go with the type") {
    signature.type = DataType::int32;
    signature.quantization = {.scheme = QuantizationScheme::min_max};
    expect_refused(PeerMessage(Report{.key = key, .signature = signature}), "int32");
  }
  SECTION("plan") {
    signature.plan = static_cast<PlanKind>(4);
    expect_refused(PeerMessage(Report{.key = key, .signature = signature}), "plan");
  }
  SECTION("status") {
    expect_refused(
        MasterMessage(UpdateDone{.error = {static_cast<Status>(kStatusMax + 1), ""}, .update_round = 0}),
        "status");
  }
  SECTION("success as a reason") {
    expect_refused(MasterMessage(Expelled{{Status::success, ""}}), "success");
    expect_refused(MasterMessage(Refused{{Status::success, ""}}), "success");
    CHECK(decode_master(encode(MasterMessage(UpdateDone{.error = {Status::success, ""}, .update_round = 0})))
              .ok());
  }
  SECTION("an epoch at the end of the numbers") {
    Random random(9);
    Resume resume = testing::any_resume(random);
    resume.view.epoch.value = kResumedNumberMax;
    CHECK(decode_peer(encode(PeerMessage(resume))).ok());
    ++resume.view.epoch.value;
    expect_refused(PeerMessage(resume), "epoch");
    resume.view.epoch.value = 1;
    resume.update_round = kResumedNumberMax + 1;
    expect_refused(PeerMessage(resume), "round");
  }
  SECTION("port") {
    const auto hello = [](std::uint64_t port) {
      return decode_peer(bytes_field(1, bytes_field(1, number_field(7, port))));
    };
    CHECK(hello(65535).ok());
    CHECK_FALSE(hello(65536).ok());
  }
}

TEST_CASE("fields of a later version are skipped, messages of a later version are refused") {
  const auto hello = decode_peer(bytes_field(1, number_field(77, 5)) + bytes_field(78, "later"));
  REQUIRE(hello.ok());
  CHECK(std::holds_alternative<Hello>(*hello));
  // Nor does one of an earlier version prefetch.
  CHECK_FALSE(std::get<Hello>(*hello).prefetches);
  CHECK_FALSE(decode_peer(bytes_field(31, "")).ok());
  CHECK_FALSE(decode_peer("").ok());
  CHECK_FALSE(decode_master("").ok());
}

TEST_CASE("a message of the one side is none of the other's") {
  Random random(8);
  for (std::size_t kind = 0; kind < kPeerKinds; ++kind)
    CHECK_FALSE(decode_master(encode(testing::any_peer_message(random, kind))).ok());
  for (std::size_t kind = 0; kind < kMasterKinds; ++kind)
    CHECK_FALSE(decode_peer(encode(testing::any_master_message(random, kind))).ok());
}

}  // namespace hawser
