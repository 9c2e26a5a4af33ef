#include "shared_state/content.hpp"

#include <vector>

#include "catch.hpp"
#include "kernels/content_digest.hpp"
#include "shared_state/election.hpp"

namespace hawser {
namespace {

StateTensor floats(const std::string& name, std::vector<float>& values) {
  return {.name = name,
          .type = DataType::float32,
          .count = values.size(),
          .data = reinterpret_cast<std::byte*>(values.data())};
}

void digest_all(StateContent& content) {
  for (const StateContent::Slice slice : content.stale()) content.digest(slice);
  content.all_digested();
}

Digest128 fresh(const std::vector<float>& values) {
  return digest_content(std::as_bytes(std::span(values)), kContentSeed);
}

}  // namespace

TEST_CASE("a manifest is that of the bytes, and only what changed is read again") {
  std::vector<float> large(700000, 1.5f);
  std::vector<float> small(3, 2);
  std::vector<float> none;
  auto made = StateContent::create({floats("small", small), floats("large", large), floats("empty", none)});
  REQUIRE(made.ok());
  StateContent& content = **made;
  CHECK(content.bytes() == 4 * 700003);
  CHECK(content.stale().size() == 4);
  digest_all(content);
  CHECK(content.stale().empty());
  const Manifest manifest = content.manifest();
  REQUIRE(manifest.tensors.size() == 3);
  CHECK(manifest.tensors[0].name == "empty");
  CHECK(manifest.tensors[1].digest == fresh(large));
  CHECK(manifest.tensors[2].digest == fresh(small));

  large[600000] = 7;
  content.mark_changed(*content.find("large"), 600000 * 4 / kDigestSliceBytes);
  REQUIRE(content.stale().size() == 1);
  CHECK(content.stale().front().slice == 2);
  digest_all(content);
  CHECK(content.manifest().tensors[1].digest == fresh(large));

  content.mark_changed(*content.find("large"));
  CHECK(content.stale().size() == 3);
  content.mark_all_changed();
  CHECK(content.stale().size() == 4);
  CHECK_FALSE(content.find("other").has_value());
}

TEST_CASE("a slice that came counts with the digest that it was checked against") {
  std::vector<float> values(300000, 1);
  auto made = StateContent::create({floats("x", values)});
  REQUIRE(made.ok());
  digest_all(**made);
  std::vector<float> other = values;
  other[299999] = 3;
  values[299999] = 3;
  const auto bytes = std::as_bytes(std::span(other)).subspan(kDigestSliceBytes);
  (*made)->came({.tensor = 0, .slice = 1}, digest_slice(bytes, kContentSeed));
  (*made)->all_digested();
  CHECK((*made)->manifest().tensors[0].digest == fresh(other));
}

TEST_CASE("tensors that cannot be are refused with their name") {
  std::vector<float> values(10);
  const auto sentence = [&](std::vector<StateTensor> tensors) {
    const auto made = StateContent::create(std::move(tensors));
    REQUIRE(made.status() == Status::invalid_argument);
    return made.error().sentence;
  };
  CHECK(sentence({floats("a", values), floats("a", values)}).find("\"a\"") != std::string::npos);
  StateTensor tail = floats("tail", values);
  tail.data += 36;
  tail.count = 1;
  CHECK(sentence({floats("all", values), tail}).find("shares memory") != std::string::npos);
  StateTensor odd = floats("odd", values);
  odd.data += 1;
  odd.count = 2;
  CHECK(sentence({odd}).find("\"odd\"") != std::string::npos);
  StateTensor nowhere = floats("nowhere", values);
  nowhere.data = nullptr;
  CHECK(sentence({nowhere}).find("null") != std::string::npos);
  CHECK(sentence({floats("", values)}).size() > 0);
}

TEST_CASE("a summary survives its bytes, and nothing else passes for one") {
  ManifestSummary summary{.manifest_bytes = 77,
                          .revision = 5,
                          .agreed_revision = 4,
                          .strategy = SyncStrategy::receive_only,
                          .shape = {.low = 1, .high = 2},
                          .content = {.low = 3, .high = 4},
                          .unsettled = true};
  auto bytes = encode_summary(summary);
  REQUIRE(bytes.size() == kSummaryBytes);
  CHECK(*decode_summary(bytes) == summary);
  summary.agreed_revision.reset();
  summary.unsettled = false;
  CHECK(*decode_summary(encode_summary(summary)) == summary);
  for (const auto& [at, value] : {std::pair{0, 2}, {1, 3}, {2, 4}, {3, 1}, {7, 255}}) {
    auto damaged = bytes;
    damaged[static_cast<std::size_t>(at)] = static_cast<std::byte>(value);
    CHECK(decode_summary(damaged).status() == Status::refused);
  }
  bytes.pop_back();
  CHECK(decode_summary(bytes).status() == Status::refused);
}

TEST_CASE("an incomplete member offers nothing, and trouble is everybody's answer") {
  const auto member = [](const char* name, std::uint64_t digest) {
    Manifest manifest;
    manifest.tensors = {{.name = "w", .count = 1, .digest = {.low = digest, .high = 0}}};
    return SharedStateMember{.peer = name, .manifest = manifest};
  };
  std::vector<SharedStateMember> members{member("a", 1), member("b", 2)};
  CHECK(elect(members)->model == 0);
  members[0].manifest.incomplete = true;
  CHECK(elect(members)->model == 1);
  members[1].manifest.incomplete = true;
  CHECK(elect(members).error().sentence.find("complete") != std::string::npos);

  members[1].manifest.trouble = "the disk is on fire";
  const auto decoded = decode_manifest(encode_manifest(members[1].manifest));
  REQUIRE(decoded.ok());
  CHECK(*decoded == members[1].manifest);
  CHECK(elect(members).error().sentence == "peer b: the disk is on fire");
  CHECK(summarize(members[0].manifest).unsettled);
  const std::vector<ManifestSummary> alike(2, summarize(members[0].manifest));
  CHECK_FALSE(settled_by_summaries(alike));
}

}  // namespace hawser
