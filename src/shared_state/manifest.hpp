#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/data_type.hpp"
#include "base/digest128.hpp"
#include "base/result.hpp"
#include "base/tensor_name.hpp"

namespace hawser::limits {

/// One encoded manifest: kTensorsMax tensors whose names share nothing fit.
inline constexpr std::size_t kManifestBytesMax = 20 << 20;

}  // namespace hawser::limits

namespace hawser {

/// What a member's content counts for. The numbers travel.
enum class SyncStrategy : std::uint8_t {
  enforce_popular = 0,  ///< Offers its content, and takes the elected one.
  send_only = 1,        ///< Offers its content, and never takes another.
  receive_only = 2,     ///< Offers nothing, and takes the elected content.
};
inline constexpr int kSyncStrategyMax = 2;
/// "enforce_popular".
const char* to_string(SyncStrategy strategy);

/// One named tensor of the shared state, as one member has it.
struct TensorEntry {
  std::string name;
  DataType type = DataType::float32;
  std::uint64_t count = 0;
  Digest128 digest;  ///< digest_content() of its bytes.
  /// Members of one revision may hold different content of it.
  bool allow_content_inequality = false;
  friend bool operator==(const TensorEntry&, const TensorEntry&) = default;
};

/// Bytes of the content of a checked entry.
inline std::uint64_t content_bytes(const TensorEntry& entry) {
  return entry.count * element_bytes(entry.type);
}

/// What one member says of its shared state.
struct Manifest {
  std::uint64_t revision = 0;
  /// Of the last synchronisation that succeeded with this member in this run; none before the first.
  std::optional<std::uint64_t> agreed_revision;
  SyncStrategy strategy = SyncStrategy::enforce_popular;
  /// Some of its content is neither what it was nor what it shall be: a transfer broke off. Such a member
  /// offers nothing.
  bool incomplete = false;
  /// Why it cannot go on; empty if it can.
  std::string trouble;
  std::vector<TensorEntry> tensors;  ///< Sorted by name (bytes, unsigned), each name once.
  friend bool operator==(const Manifest&, const Manifest&) = default;
};

/// Sorts the tensors and checks the names, the limits and that no name comes twice.
/// Error: invalid_argument, saying which tensor and why.
Result<Manifest> make_manifest(Manifest manifest);

/// Of the names, types, counts and flags: members synchronise only if theirs are equal.
Digest128 shape_digest(const Manifest& manifest);
/// Of the digests of all tensors that do not allow inequality, in order of the names.
Digest128 content_digest(const Manifest& manifest);

/// The manifest in a few bytes: if all members' agree there is nothing to exchange or to elect
/// (settled_by_summaries() in election.hpp).
struct ManifestSummary {
  std::uint32_t manifest_bytes = 0;  ///< Of encode_manifest().
  std::uint64_t revision = 0;
  std::optional<std::uint64_t> agreed_revision;
  SyncStrategy strategy = SyncStrategy::enforce_popular;
  Digest128 shape;
  Digest128 content;
  bool unsettled = false;  ///< Incomplete, or in trouble: there is something to say beyond the digests.
  friend bool operator==(const ManifestSummary&, const ManifestSummary&) = default;
};
ManifestSummary summarize(const Manifest& manifest);

/// Always so many bytes, little-endian: u8 version = 1, u8 strategy, u8 flags (1 has agreed revision,
/// 2 unsettled), u8 zero, u32 manifest bytes, u64 revision, u64 agreed revision or 0, shape and content as low
/// and high half each.
inline constexpr std::size_t kSummaryBytes = 56;
std::vector<std::byte> encode_summary(const ManifestSummary& summary);
/// Of kSummaryBytes. Error: refused.
Result<ManifestSummary> decode_summary(std::span<const std::byte> bytes);

/// Bytes of a checked manifest. Numbers are little-endian; a varint has 7 bits a byte, the lowest first, the
/// top bit set in all but its last byte, and is as short as can be.
///
///     u8 version = 1, u8 strategy, u8 flags (1 has agreed revision, 2 incomplete), u64 revision,
///     u64 agreed revision or 0, u16 bytes of the trouble, and those, u32 number of tensors, then each tensor in
///     the order of the names:
///       u8 how many bytes the name shares with the start of the one before, as many as can be
///       u8 how many follow, and those
///       u8 type, plus 128 if inequality is allowed
///       varint count
///       u64 low, u64 high half of the digest
///
/// Every manifest has exactly one encoding.
std::vector<std::byte> encode_manifest(const Manifest& manifest);

/// Of any bytes: the manifest, checked as make_manifest() does, or refused with a sentence that says what is
/// wrong. Memory is taken in proportion to the bytes that came, and to no number in them.
Result<Manifest> decode_manifest(std::span<const std::byte> bytes);

}  // namespace hawser
