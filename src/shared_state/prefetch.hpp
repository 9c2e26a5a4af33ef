#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "base/digest128.hpp"
#include "base/frame.hpp"
#include "base/ids.hpp"
#include "base/instant.hpp"
#include "base/result.hpp"
#include "shared_state/content.hpp"

/// Prefetching: a newcomer (guest) fetches the shared state from members (servers) that offer it, while they train
/// on and before it is admitted.
///
/// Frames of a prefetch have a key that no collective has: no epoch, no view, the offer's revision as tag, its
/// number at the server as sequence. The guest says ready (revision and number 0) to each server; a server says have,
/// with the number of catalog pieces and the catalog's mark as signature, whenever it has a new offer, and with
/// none when it has none any more. The guest then wants chunks: first the pieces of the catalog, from 0, then the
/// slices, numbered on from there through all tensors in order of their names. Offers with one revision and mark are
/// the same content, so a guest fetches from all their servers at once.
///
/// A catalog is u32 bytes of the manifest, the manifest (shared_state/manifest.hpp), then 16 bytes for the digest of
/// each slice, low half first; cut in pieces of 1 MiB. Its mark is the low half of digest_content(), seed 0, of the
/// shape digest and the content digest of its manifest (low half first) and the revision.
namespace hawser {

namespace limits {

/// More than a catalog of kTensorsMax tensors and kTensorBytesMax bytes needs.
inline constexpr std::uint64_t kCatalogPiecesMax = 96;

}  // namespace limits

inline OpKey prefetch_key(std::uint64_t revision, std::uint64_t number) {
  return {.epoch = {}, .view = {}, .tag = revision, .sequence = number};
}
inline bool is_prefetch(const OpKey& key) { return key.view == ViewId{} && key.epoch == Epoch{}; }

/// What a member offers. Its tensors are not written to while anybody holds this.
struct StateOffer {
  struct Tensor {
    const std::byte* data = nullptr;
    std::int32_t device = kOnHost;
    std::uint64_t bytes = 0;
    std::uint64_t first_slice = 0;
  };
  std::uint64_t revision = 0;
  std::uint64_t mark = 0;
  std::vector<std::byte> catalog;
  std::vector<Tensor> tensors;
  std::uint64_t slices = 0;

  std::uint64_t pieces() const;
  std::uint64_t chunks() const { return pieces() + slices; }
  /// Both for chunks below chunks().
  std::span<const std::byte> payload(std::uint64_t chunk) const;
  /// The device that it lies on.
  std::int32_t device_of(std::uint64_t chunk) const;

 private:
  /// Whose slice, of all of them, that is.
  const Tensor& tensor_of(std::uint64_t slice) const;
};
/// The content must have all digests.
std::shared_ptr<const StateOffer> make_offer(const StateContent& content, std::uint64_t revision);

struct Catalog {
  Manifest manifest;
  std::vector<Digest128> digests;  ///< Of the slices of all tensors.
};
std::uint64_t mark_of(const Manifest& manifest, std::uint64_t revision);
/// Of any bytes. Error: refused.
Result<Catalog> decode_catalog(std::span<const std::byte> bytes);

/// What a guest fetches into, and what came of it. The engine's until its connect call has ended, the counters
/// apart, which may be read at any time.
struct PrefetchTarget {
  StateContent* content = nullptr;  ///< With all digests.
  Duration bound = seconds(600);

  std::set<PeerId> sources;
  std::uint64_t revision = 0;  ///< Of what was being fetched last.
  bool complete = false;       ///< All of that revision is here.
  bool touched = false;        ///< Something was written.
  std::uint64_t bytes_fetched = 0;
  Duration lasted{};  ///< Until the master was told that it is over.
  std::atomic<std::uint64_t> bytes_total{0};
  std::atomic<std::uint64_t> bytes_here{0};
};

/// A frame for somebody.
struct PrefetchSend {
  PeerId to;
  FrameHeader frame;
};

}  // namespace hawser
