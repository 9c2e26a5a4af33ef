#include "shared_state/manifest.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"

namespace hawser {
namespace {

Manifest checked(Manifest manifest) {
  auto made = make_manifest(std::move(manifest));
  REQUIRE(made.ok());
  return *made;
}

Manifest small_manifest() {
  return checked({.revision = 7,
                  .agreed_revision = 6,
                  .strategy = SyncStrategy::send_only,
                  .tensors = {{"model.layer.1.weight", DataType::bfloat16, 300, {1, 2}, false},
                              {"model.layer.0.weight", DataType::float32, 5, {3, 4}, false},
                              {"model.layer.0", DataType::int64, 0, {5, 6}, true},
                              {"größe", DataType::uint8, std::uint64_t{1} << 40, {7, 8}, false}}});
}

std::string refusal(const std::vector<std::byte>& bytes) {
  const auto decoded = decode_manifest(bytes);
  if (decoded.ok()) return "";
  CHECK(decoded.status() == Status::refused);
  return decoded.error().sentence;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string random_name(Random& random) {
  static constexpr const char* kParts[] = {"a", "b", "layer.", "weight", "ö", "0", "1", "_"};
  std::string name;
  for (std::uint64_t i = 1 + random.below(12); i > 0; --i) name += kParts[random.below(std::size(kParts))];
  return name;
}

Manifest random_manifest(Random& random) {
  Manifest manifest{.revision = random.next() >> random.below(64),
                    .strategy = static_cast<SyncStrategy>(random.below(3))};
  if (random.chance(1, 2)) manifest.agreed_revision = random.next() >> random.below(64);
  std::vector<std::string> names;
  for (std::uint64_t i = random.below(30); i > 0; --i) names.push_back(random_name(random));
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  for (const std::string& name : names)
    manifest.tensors.push_back({name,
                                kDataTypes[random.below(kDataTypes.size())],
                                random.below(std::uint64_t{1} << random.below(34)),
                                {random.next(), random.next()},
                                random.chance(1, 4)});
  return checked(std::move(manifest));
}

}  // namespace

TEST_CASE("a manifest is sorted by name") {
  const Manifest manifest = small_manifest();
  REQUIRE(manifest.tensors.size() == 4);
  CHECK(manifest.tensors[0].name == "größe");
  CHECK(manifest.tensors[1].name == "model.layer.0");
  CHECK(manifest.tensors[2].name == "model.layer.0.weight");
  CHECK(manifest.tensors[3].name == "model.layer.1.weight");
}

TEST_CASE("what no manifest may have is refused with the tensor's name") {
  const auto error_of = [](std::vector<TensorEntry> tensors) {
    const auto made = make_manifest({.tensors = std::move(tensors)});
    REQUIRE_FALSE(made.ok());
    CHECK(made.status() == Status::invalid_argument);
    return made.error().sentence;
  };
  CHECK(contains(error_of({{.name = "twice"}, {.name = "other"}, {.name = "twice"}}), "\"twice\""));
  CHECK(contains(error_of({{.name = ""}}), "empty"));
  CHECK(contains(error_of({{.name = std::string(256, 'n')}}), "256"));
  CHECK(contains(error_of({{.name = "w\n"}}), "UTF-8"));
  CHECK(contains(error_of({{.name = "w", .type = static_cast<DataType>(12)}}), "data type"));
  CHECK(contains(error_of({{.name = "w", .type = DataType::float64, .count = (std::uint64_t{1} << 39) + 1}}),
                 "\"w\""));
  CHECK(contains(error_of({{.name = "w", .count = ~std::uint64_t{0}}}), "\"w\""));
  CHECK(contains(error_of({{.name = "a", .type = DataType::uint8, .count = std::uint64_t{4} << 40},
                           {.name = "b", .type = DataType::uint8, .count = 1}}),
                 "\"b\""));
  CHECK(contains(error_of(std::vector<TensorEntry>(limits::kTensorsMax + 1)), "65537"));
}

TEST_CASE("the limits themselves are allowed") {
  CHECK(make_manifest({.tensors = {{.name = "w", .type = DataType::uint8, .count = std::uint64_t{4} << 40}}})
            .ok());
  CHECK(make_manifest({}).ok());
  std::vector<TensorEntry> many(limits::kTensorsMax);
  for (std::size_t i = 0; i < many.size(); ++i) {
    many[i].name = std::to_string(i);
    // Nothing shared with the one before, and as long as can be.
    std::reverse(many[i].name.begin(), many[i].name.end());
    many[i].name += "-" + std::string(limits::kTensorNameBytesMax - many[i].name.size() - 1, 'x');
    many[i].count = i;
  }
  const Manifest manifest = checked({.tensors = std::move(many)});
  const auto bytes = encode_manifest(manifest);
  CHECK(bytes.size() <= limits::kManifestBytesMax);
  const auto decoded = decode_manifest(bytes);
  REQUIRE(decoded.ok());
  CHECK((*decoded == manifest));
}

TEST_CASE("a manifest comes back from its bytes") {
  const Manifest manifest = small_manifest();
  const auto decoded = decode_manifest(encode_manifest(manifest));
  REQUIRE(decoded.ok());
  CHECK((*decoded == manifest));
  const auto empty = decode_manifest(encode_manifest({.revision = 3}));
  REQUIRE(empty.ok());
  CHECK((*empty == Manifest{.revision = 3}));
}

TEST_CASE("names that share their start take few bytes") {
  Manifest manifest;
  for (int layer = 0; layer < 100; ++layer)
    manifest.tensors.push_back(
        {.name = "model.layers." + std::to_string(100 + layer) + ".self_attn.q_proj.weight",
         .type = DataType::bfloat16,
         .count = 4096 * 4096});
  CHECK(encode_manifest(checked(manifest)).size() < 100 * 52);
  for (TensorEntry& entry : manifest.tensors) entry.name = entry.name.substr(0, 16);
  CHECK(encode_manifest(checked(manifest)).size() < 100 * 26);
}

TEST_CASE("the layout of a manifest's bytes stays") {
  const Manifest manifest = checked(
      {.revision = 0x0102030405060708,
       .agreed_revision = 9,
       .strategy = SyncStrategy::receive_only,
       .tensors = {{"ab", DataType::float16, 300, {1, 2}, false}, {"ac", DataType::int8, 5, {3, 4}, true}}});
  const std::vector<int> expected{
      1, 2, 1,   8,    7, 6,    5, 4, 3, 2, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0,  // head
      0, 2, 'a', 'b',  2, 0xac, 2, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,  // ab
      1, 1, 'c', 0x84, 5, 3,    0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0};       // ac
  std::vector<int> bytes;
  for (const std::byte byte : encode_manifest(manifest)) bytes.push_back(std::to_integer<int>(byte));
  CHECK(bytes == expected);
}

TEST_CASE("a manifest that is cut anywhere is refused") {
  const auto bytes = encode_manifest(small_manifest());
  for (std::size_t length = 0; length < bytes.size(); ++length)
    CHECK_FALSE(refusal({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)}).empty());
  auto longer = bytes;
  longer.push_back(std::byte{0});
  CHECK(contains(refusal(longer), "belong to nothing"));
}

TEST_CASE("hostile manifests are refused with the reason") {
  const auto good = encode_manifest(small_manifest());
  const auto with = [&](std::size_t at, std::vector<int> values) {
    auto bytes = good;
    for (std::size_t i = 0; i < values.size(); ++i) bytes[at + i] = static_cast<std::byte>(values[i]);
    return refusal(bytes);
  };
  constexpr std::size_t kCount = 21;  // Offset of the number of tensors; the first one follows at 25.
  CHECK(contains(with(0, {2}), "version 2"));
  CHECK(contains(with(1, {3}), "strategy 3"));
  CHECK(contains(with(2, {4}), "agreed"));
  CHECK(contains(with(19, {0xff, 0xff}), "too great length"));
  CHECK(contains(with(2, {0}), "agreed"));
  CHECK(contains(with(kCount, {0xff, 0xff, 0xff, 0xff}), "4294967295 tensors"));
  CHECK(contains(with(kCount, {0, 0, 1, 0}), "65536 tensors, more than"));
  CHECK(contains(with(kCount, {5}), "tensor 4"));
  CHECK(contains(with(kCount, {3}), "belong to nothing"));
  CHECK(contains(with(25, {1}), "shares more"));
  CHECK(contains(with(26, {0}), "manifest"));
  CHECK(contains(with(26, {255}), "cut off"));
  CHECK(contains(with(27, {'\n'}), "UTF-8"));
  CHECK(contains(with(27, {'z'}), "out of order"));
  CHECK(contains(with(34, {12}), "data type"));
  CHECK(contains(with(35, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2}), "no number"));
  CHECK(contains(with(35, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}), "exceeds"));
  CHECK(contains(with(35, {0x80, 0}), "no number"));
  CHECK(contains(refusal(std::vector<std::byte>(limits::kManifestBytesMax + 1)), "at most"));
}

TEST_CASE("a name is written in one way only, and once") {
  const auto two = [](int shared, const std::string& rest) {
    auto bytes = encode_manifest(checked({.tensors = {{.name = "ab"}, {.name = "ac"}}}));
    bytes.resize(bytes.size() - 21);
    bytes.push_back(static_cast<std::byte>(shared));
    bytes.push_back(static_cast<std::byte>(rest.size()));
    for (const char character : rest) bytes.push_back(static_cast<std::byte>(character));
    bytes.resize(bytes.size() + 18);
    return bytes;
  };
  CHECK(refusal(two(1, "c")).empty());
  CHECK(refusal(two(2, "c")).empty());
  CHECK(contains(refusal(two(0, "ac")), "shares less"));
  CHECK(contains(refusal(two(1, "bc")), "shares less"));
  CHECK(contains(refusal(two(2, "")), "twice"));
  CHECK(contains(refusal(two(1, "a")), "out of order"));
  CHECK(contains(refusal(two(1, "")), "out of order"));
  CHECK(contains(refusal(two(3, "c")), "shares more"));
}

TEST_CASE("random manifests come back, and random damage is refused or another manifest with those bytes") {
  Random random(20261);
  for (int round = 0; round < 300; ++round) {
    const Manifest manifest = random_manifest(random);
    auto bytes = encode_manifest(manifest);
    const auto decoded = decode_manifest(bytes);
    REQUIRE(decoded.ok());
    REQUIRE((*decoded == manifest));
    for (int damage = 0; damage < 100; ++damage) {
      auto damaged = bytes;
      for (std::uint64_t i = 1 + random.below(3); i > 0; --i)
        damaged[random.below(damaged.size())] = static_cast<std::byte>(random.next());
      if (random.chance(1, 4)) damaged.resize(random.below(damaged.size() + 1));
      const auto other = decode_manifest(damaged);
      if (!other.ok()) continue;
      REQUIRE(encode_manifest(*other) == damaged);
      REQUIRE(make_manifest(*other).ok());
    }
  }
}

TEST_CASE("noise is no manifest") {
  Random random(5);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> bytes(random.below(80));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
    if (!bytes.empty() && random.chance(1, 2)) bytes[0] = std::byte{1};
    if (bytes.size() > 1 && random.chance(1, 2)) bytes[1] = std::byte{0};
    const auto decoded = decode_manifest(bytes);
    if (decoded.ok()) REQUIRE(encode_manifest(*decoded) == bytes);
  }
}

TEST_CASE("the shape digest tells names, types, counts and flags apart and nothing else") {
  const Manifest base = small_manifest();
  const Digest128 shape = shape_digest(base);
  Manifest other = base;
  SECTION("a name") { other.tensors[0].name = "groesse"; }
  SECTION("a type of the same size") { other.tensors[2].type = DataType::int32; }
  SECTION("a count") { ++other.tensors[3].count; }
  SECTION("a flag") { other.tensors[3].allow_content_inequality = true; }
  SECTION("one tensor fewer") { other.tensors.pop_back(); }
  SECTION("a byte that moves from one name to the next") {
    other.tensors = {{.name = "ab"}, {.name = "c"}};
    Manifest moved{.tensors = {{.name = "a"}, {.name = "bc"}}};
    CHECK(shape_digest(other) != shape_digest(moved));
  }
  CHECK(shape_digest(other) != shape);

  Manifest same = base;
  same.revision = 100;
  same.agreed_revision.reset();
  same.strategy = SyncStrategy::receive_only;
  for (TensorEntry& entry : same.tensors) entry.digest.low ^= 1;
  CHECK(shape_digest(same) == shape);
}

TEST_CASE("the content digest tells the digests apart that must be equal, and nothing else") {
  const Manifest base = small_manifest();
  const Digest128 content = content_digest(base);
  for (std::size_t i = 0; i < base.tensors.size(); ++i)
    for (const bool high : {false, true}) {
      Manifest other = base;
      (high ? other.tensors[i].digest.high : other.tensors[i].digest.low) ^= 1;
      CHECK((content_digest(other) != content) == !base.tensors[i].allow_content_inequality);
    }
  Manifest swapped = base;
  std::swap(swapped.tensors[2].digest, swapped.tensors[3].digest);
  CHECK(content_digest(swapped) != content);
  Manifest same = base;
  same.revision = 1;
  same.tensors[0].name = "other";
  CHECK(content_digest(same) == content);
}

TEST_CASE("a summary says what the manifest says") {
  const Manifest manifest = small_manifest();
  const ManifestSummary summary = summarize(manifest);
  CHECK(summary.revision == 7);
  CHECK(summary.agreed_revision == 6);
  CHECK(summary.strategy == SyncStrategy::send_only);
  CHECK(summary.shape == shape_digest(manifest));
  CHECK(summary.content == content_digest(manifest));
}

}  // namespace hawser
