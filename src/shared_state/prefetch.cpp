#include "shared_state/prefetch.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "kernels/content_digest.hpp"

namespace hawser {
namespace {

constexpr std::size_t kLengthBytes = 4;

void put(std::uint64_t value, unsigned bytes, std::vector<std::byte>& to) {
  for (unsigned i = 0; i < bytes; ++i) to.push_back(static_cast<std::byte>(value >> (8 * i)));
}

std::uint64_t get(std::span<const std::byte> from) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < from.size(); ++i) value |= std::to_integer<std::uint64_t>(from[i]) << (8 * i);
  return value;
}

Error bad_catalog(const std::string& why) { return {Status::refused, "the catalog of an offered shared state " + why}; }

}  // namespace

std::uint64_t StateOffer::pieces() const { return slice_count(catalog.size()); }

const StateOffer::Tensor& StateOffer::tensor_of(std::uint64_t slice) const {
  HAWSER_ASSERT(slice < slices);
  const auto next =
      std::upper_bound(tensors.begin(), tensors.end(), slice,
                       [](std::uint64_t wanted, const Tensor& tensor) { return wanted < tensor.first_slice; });
  return *std::prev(next);
}

std::int32_t StateOffer::device_of(std::uint64_t chunk) const {
  return chunk < pieces() ? kOnHost : tensor_of(chunk - pieces()).device;
}

std::span<const std::byte> StateOffer::payload(std::uint64_t chunk) const {
  if (chunk < pieces())
    return std::span(catalog).subspan(static_cast<std::size_t>(chunk * kDigestSliceBytes),
                                      static_cast<std::size_t>(slice_bytes(catalog.size(), chunk)));
  const std::uint64_t slice = chunk - pieces();
  const Tensor& tensor = tensor_of(slice);
  const std::uint64_t here = slice - tensor.first_slice;
  return {tensor.data + here * kDigestSliceBytes, static_cast<std::size_t>(slice_bytes(tensor.bytes, here))};
}

std::uint64_t mark_of(const Manifest& manifest, std::uint64_t revision) {
  std::vector<std::byte> bytes;
  append_digest(shape_digest(manifest), bytes);
  append_digest(content_digest(manifest), bytes);
  put(revision, 8, bytes);
  return digest_content(bytes, 0).low;
}

std::shared_ptr<const StateOffer> make_offer(const StateContent& content, std::uint64_t revision) {
  auto offer = std::make_shared<StateOffer>();
  offer->revision = revision;
  Manifest manifest = content.manifest();
  manifest.revision = revision;
  const std::vector<std::byte> encoded = encode_manifest(manifest);
  put(encoded.size(), kLengthBytes, offer->catalog);
  offer->catalog.insert(offer->catalog.end(), encoded.begin(), encoded.end());
  for (std::size_t tensor = 0; tensor < content.tensors().size(); ++tensor) {
    const StateTensor& one = content.tensors()[tensor];
    // One without slices would hide the one that begins at the same number.
    if (one.bytes() > 0)
      offer->tensors.push_back(
          {.data = one.data, .device = one.device, .bytes = one.bytes(), .first_slice = offer->slices});
    offer->slices += slice_count(one.bytes());
    for (const Digest128& digest : content.slice_digests(tensor)) append_digest(digest, offer->catalog);
  }
  offer->mark = mark_of(manifest, revision);
  return offer;
}

Result<Catalog> decode_catalog(std::span<const std::byte> bytes) {
  if (bytes.size() < kLengthBytes) return bad_catalog("is cut off");
  const std::uint64_t length = get(bytes.first(kLengthBytes));
  bytes = bytes.subspan(kLengthBytes);
  if (length > bytes.size()) return bad_catalog("is cut off in its manifest");
  auto manifest = decode_manifest(bytes.first(static_cast<std::size_t>(length)));
  if (!manifest.ok()) return manifest.error();
  bytes = bytes.subspan(static_cast<std::size_t>(length));
  Catalog catalog{.manifest = std::move(*manifest), .digests = {}};
  std::uint64_t slices = 0;
  for (const TensorEntry& tensor : catalog.manifest.tensors) slices += slice_count(content_bytes(tensor));
  if (bytes.size() != slices * kDigestBytes) return bad_catalog("has not the digests that its tensors need");
  for (std::uint64_t slice = 0; slice < slices; ++slice, bytes = bytes.subspan(kDigestBytes))
    catalog.digests.push_back(read_digest(bytes.first<kDigestBytes>()));
  std::size_t first = 0;
  for (const TensorEntry& tensor : catalog.manifest.tensors) {
    const auto mine = static_cast<std::size_t>(slice_count(content_bytes(tensor)));
    if (digest_of_slices(std::span(catalog.digests).subspan(first, mine), content_bytes(tensor), kContentSeed) !=
        tensor.digest)
      return bad_catalog("has digests that do not belong to the tensor \"" + tensor.name + "\"");
    first += mine;
  }
  return catalog;
}

}  // namespace hawser
