#include "shared_state/manifest.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "kernels/content_digest.hpp"

namespace hawser {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kInequalityBit = 0x80;
constexpr unsigned kVarintBits = 7;
constexpr std::size_t kVarintBytesMax = 10;
/// Flags of a manifest and of a summary.
constexpr std::uint64_t kAgreedFlag = 1;
constexpr std::uint64_t kIncompleteFlag = 2;
constexpr std::uint64_t kUnsettledFlag = 2;
constexpr std::size_t kHeadBytesMost = 1 + 1 + 1 + 8 + 8 + 2 + limits::kSentenceBytesMax + 4;
/// Of a name that adds one byte to the one before, and of a count below 128.
constexpr std::size_t kTensorBytesMin = 1 + 1 + 1 + 1 + 1 + 16;
constexpr std::size_t kTensorBytesMost = 1 + 1 + limits::kTensorNameBytesMax + 1 + kVarintBytesMax + 16;
static_assert(kHeadBytesMost + limits::kTensorsMax * kTensorBytesMost <= limits::kManifestBytesMax);

Error refused(std::string why) { return {Status::refused, "a manifest of shared state " + std::move(why)}; }

std::string quoted(std::string_view name) { return "\"" + std::string(name) + "\""; }

/// Appends to a vector, so that the size need not be known before.
class ByteSink {
 public:
  void number(std::uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) bytes_.push_back(static_cast<std::byte>(value >> (8 * i)));
  }
  void varint(std::uint64_t value) {
    for (; value >= 1U << kVarintBits; value >>= kVarintBits) number((value & 0x7f) | 0x80, 1);
    number(value, 1);
  }
  void text(std::string_view text) {
    for (const char character : text) bytes_.push_back(static_cast<std::byte>(character));
  }
  void digest(const Digest128& digest) { append_digest(digest, bytes_); }
  std::vector<std::byte>& bytes() { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

/// Takes from bytes that may end anywhere: once something was missing, everything is.
class ByteSource {
 public:
  explicit ByteSource(std::span<const std::byte> bytes) : bytes_(bytes) {}

  bool good() const { return good_; }
  std::size_t left() const { return bytes_.size(); }
  std::uint64_t number(unsigned bytes) {
    std::uint64_t value = 0;
    const auto taken = take(bytes);
    for (std::size_t i = 0; i < taken.size(); ++i)
      value |= std::to_integer<std::uint64_t>(taken[i]) << (8 * i);
    return value;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < kVarintBytesMax; ++i) {
      const std::uint64_t byte = number(1);
      const std::uint64_t bits = byte & 0x7f;
      const bool overflows = i == kVarintBytesMax - 1 && bits > 1;
      const bool too_long = i > 0 && byte == 0;
      if (overflows || too_long) break;
      value |= bits << (kVarintBits * i);
      if ((byte & 0x80) == 0) return value;
    }
    good_ = false;
    return 0;
  }
  std::string text(std::size_t bytes) {
    std::string text;
    for (const std::byte byte : take(bytes)) text.push_back(static_cast<char>(byte));
    return text;
  }
  Digest128 digest() {
    const std::uint64_t low = number(8);
    return {.low = low, .high = number(8)};
  }

 private:
  std::span<const std::byte> take(std::size_t count) {
    good_ = good_ && count <= bytes_.size();
    if (!good_) return {};
    const auto taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }

  std::span<const std::byte> bytes_;
  bool good_ = true;
};

std::size_t shared_start(std::string_view a, std::string_view b) {
  const auto differs = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<std::size_t>(differs.first - a.begin());
}

std::uint8_t type_and_flag(const TensorEntry& entry) {
  const auto type = static_cast<std::uint8_t>(entry.type);
  return entry.allow_content_inequality ? type | kInequalityBit : type;
}

/// Of one entry by itself and after what came before it.
Result<void> check_entry(const TensorEntry& entry, const TensorEntry* before, std::uint64_t& total_bytes) {
  const auto refuse = [](std::string sentence) {
    return Error{Status::invalid_argument, std::move(sentence)};
  };
  if (const auto name = check_tensor_name(entry.name); !name.ok()) return name.error();
  if (before != nullptr && before->name == entry.name)
    return refuse("the tensor " + quoted(entry.name) + " is there twice");
  if (static_cast<std::size_t>(entry.type) >= kDataTypes.size())
    return refuse("the tensor " + quoted(entry.name) + " has the unknown data type " +
                  std::to_string(static_cast<unsigned>(entry.type)));
  if (entry.count > (limits::kTensorBytesMax - total_bytes) / element_bytes(entry.type))
    return refuse("with the tensor " + quoted(entry.name) + " of " + std::to_string(entry.count) + " " +
                  to_string(entry.type) + " the content exceeds " + std::to_string(limits::kTensorBytesMax) +
                  " bytes");
  total_bytes += content_bytes(entry);
  return {};
}

Result<TensorEntry> decode_tensor(ByteSource& source, const TensorEntry* before, std::size_t index) {
  const auto refuse = [&](const std::string& why) {
    return refused("is damaged: tensor " + std::to_string(index) + " " + why);
  };
  const std::string_view name_before =
      before == nullptr ? std::string_view{} : std::string_view{before->name};
  TensorEntry entry;
  const std::size_t shared = source.number(1);
  const std::size_t following = source.number(1);
  if (shared > name_before.size()) return refuse("shares more of a name than there is");
  entry.name = std::string(name_before.substr(0, shared)) + source.text(following);
  const std::uint64_t type = source.number(1);
  entry.type = static_cast<DataType>(type & ~std::uint64_t{kInequalityBit});
  entry.allow_content_inequality = (type & kInequalityBit) != 0;
  entry.count = source.varint();
  entry.digest = source.digest();
  if (!source.good()) return refuse("is cut off, or its count is no number");
  if (before != nullptr && entry.name < before->name) return refuse("is out of order");
  if (shared != shared_start(name_before, entry.name)) return refuse("shares less of a name than it could");
  return entry;
}

}  // namespace

const char* to_string(SyncStrategy strategy) {
  constexpr std::array names{"enforce_popular", "send_only", "receive_only"};
  return names.at(static_cast<std::size_t>(strategy));
}

Result<Manifest> make_manifest(Manifest manifest) {
  auto& tensors = manifest.tensors;
  if (manifest.trouble.size() > limits::kSentenceBytesMax) manifest.trouble.resize(limits::kSentenceBytesMax);
  if (tensors.size() > limits::kTensorsMax)
    return Error{Status::invalid_argument, "the shared state has " + std::to_string(tensors.size()) +
                                               " tensors; at most " + std::to_string(limits::kTensorsMax) +
                                               " are allowed"};
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  const TensorEntry* before = nullptr;
  std::uint64_t total_bytes = 0;
  for (const TensorEntry& entry : tensors) {
    if (const auto checked = check_entry(entry, before, total_bytes); !checked.ok()) return checked.error();
    before = &entry;
  }
  return manifest;
}

Digest128 shape_digest(const Manifest& manifest) {
  ByteSink sink;
  for (const TensorEntry& entry : manifest.tensors) {
    sink.number(entry.name.size(), 1);
    sink.text(entry.name);
    sink.number(type_and_flag(entry), 1);
    sink.number(entry.count, 8);
  }
  return digest_content(sink.bytes(), 0);
}

Digest128 content_digest(const Manifest& manifest) {
  ByteSink sink;
  for (const TensorEntry& entry : manifest.tensors)
    if (!entry.allow_content_inequality) sink.digest(entry.digest);
  return digest_content(sink.bytes(), 0);
}

ManifestSummary summarize(const Manifest& manifest) {
  return {.manifest_bytes = static_cast<std::uint32_t>(encode_manifest(manifest).size()),
          .revision = manifest.revision,
          .agreed_revision = manifest.agreed_revision,
          .strategy = manifest.strategy,
          .shape = shape_digest(manifest),
          .content = content_digest(manifest),
          .unsettled = manifest.incomplete || !manifest.trouble.empty()};
}

std::vector<std::byte> encode_summary(const ManifestSummary& summary) {
  ByteSink sink;
  sink.number(kVersion, 1);
  sink.number(static_cast<std::uint8_t>(summary.strategy), 1);
  sink.number((summary.agreed_revision ? kAgreedFlag : 0) | (summary.unsettled ? kUnsettledFlag : 0), 1);
  sink.number(0, 1);
  sink.number(summary.manifest_bytes, 4);
  sink.number(summary.revision, 8);
  sink.number(summary.agreed_revision.value_or(0), 8);
  sink.digest(summary.shape);
  sink.digest(summary.content);
  HAWSER_ASSERT(sink.bytes().size() == kSummaryBytes);
  return std::move(sink.bytes());
}

Result<ManifestSummary> decode_summary(std::span<const std::byte> bytes) {
  if (bytes.size() != kSummaryBytes) return refused("comes with a summary of another size");
  ByteSource source(bytes);
  if (source.number(1) != kVersion) return refused("comes with a summary of an unknown version");
  const std::uint64_t strategy = source.number(1);
  const std::uint64_t flags = source.number(1);
  const std::uint64_t zero = source.number(1);
  ManifestSummary summary;
  summary.manifest_bytes = static_cast<std::uint32_t>(source.number(4));
  summary.revision = source.number(8);
  const std::uint64_t agreed = source.number(8);
  summary.shape = source.digest();
  summary.content = source.digest();
  const bool damaged = strategy > kSyncStrategyMax || zero != 0 || (flags & ~(kAgreedFlag | kUnsettledFlag)) != 0 ||
                       ((flags & kAgreedFlag) == 0 && agreed != 0) ||
                       summary.manifest_bytes > limits::kManifestBytesMax;
  if (damaged) return refused("comes with a damaged summary");
  summary.strategy = static_cast<SyncStrategy>(strategy);
  if ((flags & kAgreedFlag) != 0) summary.agreed_revision = agreed;
  summary.unsettled = (flags & kUnsettledFlag) != 0;
  return summary;
}

std::vector<std::byte> encode_manifest(const Manifest& manifest) {
  ByteSink sink;
  sink.number(kVersion, 1);
  sink.number(static_cast<std::uint8_t>(manifest.strategy), 1);
  sink.number((manifest.agreed_revision ? kAgreedFlag : 0) | (manifest.incomplete ? kIncompleteFlag : 0), 1);
  sink.number(manifest.revision, 8);
  sink.number(manifest.agreed_revision.value_or(0), 8);
  sink.number(manifest.trouble.size(), 2);
  sink.text(manifest.trouble);
  sink.number(manifest.tensors.size(), 4);
  std::string_view before;
  for (const TensorEntry& entry : manifest.tensors) {
    const std::size_t shared = shared_start(before, entry.name);
    sink.number(shared, 1);
    sink.number(entry.name.size() - shared, 1);
    sink.text(std::string_view(entry.name).substr(shared));
    sink.number(type_and_flag(entry), 1);
    sink.varint(entry.count);
    sink.digest(entry.digest);
    before = entry.name;
  }
  HAWSER_ASSERT(sink.bytes().size() <= limits::kManifestBytesMax);
  return std::move(sink.bytes());
}

Result<Manifest> decode_manifest(std::span<const std::byte> bytes) {
  if (bytes.size() > limits::kManifestBytesMax)
    return refused("has " + std::to_string(bytes.size()) + " bytes; at most " +
                   std::to_string(limits::kManifestBytesMax) + " are allowed");
  ByteSource source(bytes);
  const std::uint64_t version = source.number(1);
  if (source.good() && version != kVersion)
    return refused("has the unknown version " + std::to_string(version) + "; this peer knows version " +
                   std::to_string(kVersion));
  const std::uint64_t strategy = source.number(1);
  const std::uint64_t flags = source.number(1);
  Manifest manifest;
  manifest.revision = source.number(8);
  const std::uint64_t agreed = source.number(8);
  const std::uint64_t trouble = source.number(2);
  if (trouble > limits::kSentenceBytesMax) return refused("tells of trouble at too great length");
  manifest.trouble = source.text(trouble);
  const std::uint64_t tensors = source.number(4);
  if (!source.good()) return refused("is cut off in its head");
  if (strategy > kSyncStrategyMax) return refused("has the unknown strategy " + std::to_string(strategy));
  if ((flags & ~(kAgreedFlag | kIncompleteFlag)) != 0 || ((flags & kAgreedFlag) == 0 && agreed != 0))
    return refused("is damaged: its agreed revision is neither there nor missing");
  manifest.strategy = static_cast<SyncStrategy>(strategy);
  if ((flags & kAgreedFlag) != 0) manifest.agreed_revision = agreed;
  manifest.incomplete = (flags & kIncompleteFlag) != 0;
  if (tensors > limits::kTensorsMax)
    return refused("announces " + std::to_string(tensors) + " tensors; at most " +
                   std::to_string(limits::kTensorsMax) + " are allowed");
  if (tensors > source.left() / kTensorBytesMin)
    return refused("announces " + std::to_string(tensors) + " tensors, more than its " +
                   std::to_string(bytes.size()) + " bytes can hold");
  manifest.tensors.reserve(tensors);
  std::uint64_t total_bytes = 0;
  for (std::size_t index = 0; index < tensors; ++index) {
    const TensorEntry* before = index == 0 ? nullptr : &manifest.tensors.back();
    auto entry = decode_tensor(source, before, index);
    if (!entry.ok()) return entry.error();
    if (const auto checked = check_entry(*entry, before, total_bytes); !checked.ok())
      return refused("is not allowed: " + checked.error().sentence);
    manifest.tensors.push_back(std::move(*entry));
  }
  if (source.left() != 0)
    return refused("is followed by " + std::to_string(source.left()) + " bytes that belong to nothing");
  return manifest;
}

}  // namespace hawser
