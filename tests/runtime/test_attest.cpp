/// What members sign of their contributions, over sockets.
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <thread>

#include "keyed_run.hpp"
#include "runtime/contribution.hpp"
#include "runtime/status_query.hpp"
#include "trust/attest.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

constexpr Duration kAnswerBound = seconds(20);

struct AttestedRun {
  std::vector<AttestedCollective> attested(std::uint32_t wanted = 16) const {
    auto told = query_status(run.address(), kAnswerBound, {.attested = wanted}, {.secret_file = files.secret()});
    if (!told.ok()) FAIL(told.error().sentence);
    return std::move(told->attested);
  }

  KeyFiles files{};
  TestRun run{{.secret_file = files.secret()}};
};

/// All call it, each in a thread of its own.
template <class Value>
void reduce_values(const Peers& peers, std::vector<std::vector<Value>>& values, DataType type) {
  std::vector<std::string> wrong(peers.size());
  on_all(peers, [&](std::size_t i, Communicator& peer) {
    const auto bytes = std::as_writable_bytes(std::span(values[i]));
    const auto done = peer.run({.call = {.signature = {.type = type, .count = values[i].size()},
                                         .send = bytes.data(),
                                         .receive = bytes.data()}});
    if (!done.ok()) wrong[i] = done.error().sentence;
  });
  for (const std::string& one : wrong) CHECK(one.empty());
}

Contribution read_from(std::span<const float> values) {
  ContributionReader reader(DataType::float32);
  reader.add(std::as_bytes(values));
  return reader.finish();
}

const AttestedCollective::Entry& entry_of(const AttestedCollective& one, const std::string& name) {
  for (const auto& entry : one.members)
    if (entry.member.name == name) return entry;
  FAIL("no " << name);
  return one.members.front();
}

}  // namespace

TEST_CASE("the master shows who gave what, signed by each, and who has signed nothing") {
  AttestedRun attested;
  const char* const names[] = {"ada", "bob", "eve"};
  const Peers peers = attested.run.assemble(3, [&](std::size_t i, CommunicatorConfig& config) {
    config.engine.name = names[i];
    config.attest = i < 2;
  });
  std::vector<std::vector<float>> values(3, std::vector<float>(50'000, 0.5F));
  values[1][7] = std::numeric_limits<float>::quiet_NaN();
  values[1][9] = -40;
  const auto given = values;
  reduce_values(peers, values, DataType::float32);

  const auto kept = attested.attested();
  REQUIRE(kept.size() == 1);
  CHECK(kept[0].signature.count == 50'000);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto& entry = entry_of(kept[0], i == 0 ? "ada" : "bob");
    REQUIRE(entry.attestation);
    CHECK(entry.attestation->given == read_from(given[i]));
    CHECK(trust::is_genuine(*entry.attestation, entry.member.key, kept[0].key, kept[0].signature));
  }
  CHECK(entry_of(kept[0], "bob").attestation->given.not_finite == 1);
  CHECK(entry_of(kept[0], "bob").attestation->given.largest == 40);
  CHECK_FALSE(entry_of(kept[0], "eve").attestation);
}

TEST_CASE("what lies on a device is signed like the same on the host, after what is on its stream") {
  if (sim_devices() == nullptr) return;
  AttestedRun attested;
  const char* const names[] = {"ada", "bob"};
  const Peers peers = attested.run.assemble(2, [&](std::size_t i, CommunicatorConfig& config) {
    config.engine.name = names[i];
    config.attest = true;
  });
  constexpr std::uint64_t kCount = 1'500'001;
  std::array<bool, 2> is_right{};
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    const DeviceVector values(contribution_of(who, kCount), static_cast<int>(who));
    const auto done = peer.run(
        {.call = {.signature = {.count = kCount}, .send = values.bytes(), .receive = values.bytes()},
         .stream = values.stream()});
    is_right[who] = done.ok() && is_sum_of(values.values(), {0, 1});
  });
  CHECK((is_right[0] && is_right[1]));
  const auto kept = attested.attested();
  REQUIRE(kept.size() == 1);
  for (std::size_t who = 0; who < 2; ++who) {
    const auto& entry = entry_of(kept[0], names[who]);
    REQUIRE(entry.attestation);
    CHECK(entry.attestation->given == read_from(contribution_of(who, kCount)));
  }
}

TEST_CASE("who gives nothing to a broadcast signs that") {
  AttestedRun attested;
  const Peers peers =
      attested.run.assemble(2, [](std::size_t, CommunicatorConfig& config) { config.attest = true; });
  const std::uint32_t root = (*peers[0]->info())->view.rank_of((*peers[0]->info())->self).value();
  std::vector<std::vector<float>> values(2, std::vector<float>(1000, 3.0F));
  std::array<bool, 2> is_right{};
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    const auto bytes = std::as_writable_bytes(std::span(values[who]));
    is_right[who] = peer.run({.call = {.signature = {.collective = Collective::broadcast, .count = 1000, .root = root},
                                       .send = bytes.data(),
                                       .receive = bytes.data()}})
                        .ok();
  });
  CHECK((is_right[0] && is_right[1]));
  const auto kept = attested.attested();
  REQUIRE(kept.size() == 1);
  std::set<std::uint64_t> bytes;
  for (const auto& entry : kept[0].members) {
    REQUIRE(entry.attestation);
    CHECK_FALSE(entry.is_late);
    bytes.insert(entry.attestation->given.bytes);
  }
  CHECK(bytes == std::set<std::uint64_t>{0, 4000});
}

TEST_CASE("only observers, members and operators read it, and a peer without a key cannot sign") {
  AttestedRun attested;
  const std::string reader = attested.files.issue({.name = "copy", .role = Role::reader});
  CHECK(query_status(attested.run.address(), kAnswerBound, {.attested = 1}, {.secret_file = reader}).status() ==
        Status::refused);
  CommunicatorConfig config = attested.run.config();
  config.access = {};
  config.attest = true;
  const auto made = Communicator::create(config);
  REQUIRE(made.status() == Status::invalid_argument);
  CHECK(says(made.error(), "give a secret_file"));
}

TEST_CASE("what is in a contribution is the same in all floating types, whatever pieces it comes in") {
  std::vector<double> wide(70'001);
  for (std::size_t i = 0; i < wide.size(); ++i) wide[i] = static_cast<double>(i % 7) - 3;
  wide[5] = std::numeric_limits<double>::infinity();
  wide[70'000] = 12;
  std::vector<float> narrow(wide.begin(), wide.end());
  std::vector<std::uint16_t> brief;
  for (const float value : narrow)
    brief.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
  const auto of = [](DataType type, std::span<const std::byte> bytes) {
    ContributionReader reader(type);
    reader.add(bytes.first(8));
    reader.add(bytes.subspan(8));
    return reader.finish();
  };
  const Contribution expected = of(DataType::float64, std::as_bytes(std::span(wide)));
  CHECK(expected.not_finite == 1);
  CHECK(expected.largest == 12);
  double squares = 0;
  for (const double value : wide) squares += std::isfinite(value) ? value * value : 0;
  CHECK(expected.norm == std::sqrt(squares));
  const Contribution others[] = {of(DataType::float32, std::as_bytes(std::span(narrow))),
                                 of(DataType::bfloat16, std::as_bytes(std::span(brief)))};
  for (const Contribution& other : others) {
    CHECK(other.not_finite == expected.not_finite);
    CHECK(other.largest == expected.largest);
    CHECK(other.norm == expected.norm);
  }
  const Contribution whole_numbers = of(DataType::int32, std::as_bytes(std::span(narrow)));
  CHECK(whole_numbers.sha256 == others[0].sha256);
  CHECK(whole_numbers.norm == 0);
}
