#include "shared_state/content.hpp"

#include <algorithm>
#include <functional>

#include "base/assert.hpp"
#include "kernels/content_digest.hpp"

namespace hawser {
namespace {

Error refuse(const std::string& name, const std::string& what) {
  return {Status::invalid_argument, "the tensor \"" + name + "\" " + what};
}

Result<void> check_memory(const std::vector<StateTensor>& tensors) {
  std::vector<const StateTensor*> in_order;
  for (const StateTensor& tensor : tensors) {
    if (tensor.count == 0) continue;
    if (tensor.data == nullptr) return refuse(tensor.name, "has no memory (null)");
    if (reinterpret_cast<std::uintptr_t>(tensor.data) % element_bytes(tensor.type) != 0)
      return refuse(tensor.name, "does not begin at a multiple of its element's size");
    in_order.push_back(&tensor);
  }
  const auto begins_before = [](const StateTensor* a, const StateTensor* b) {
    return std::less<const std::byte*>()(a->data, b->data);
  };
  std::sort(in_order.begin(), in_order.end(), begins_before);
  for (std::size_t i = 1; i < in_order.size(); ++i) {
    const StateTensor& before = *in_order[i - 1];
    if (std::less<const std::byte*>()(in_order[i]->data, before.data + before.bytes()))
      return refuse(in_order[i]->name, "shares memory with the tensor \"" + before.name + "\"");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<StateContent>> StateContent::create(std::vector<StateTensor> tensors) {
  Manifest manifest;
  for (const StateTensor& tensor : tensors)
    manifest.tensors.push_back({.name = tensor.name, .type = tensor.type, .count = tensor.count});
  if (const auto fine = make_manifest(std::move(manifest)); !fine.ok()) return fine.error();
  if (const auto fine = check_memory(tensors); !fine.ok()) return fine.error();
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return std::unique_ptr<StateContent>(new StateContent(std::move(tensors)));
}

StateContent::StateContent(std::vector<StateTensor> tensors) : tensors_(std::move(tensors)) {
  for (const StateTensor& tensor : tensors_) {
    Known& known = known_.emplace_back();
    known.slices.resize(static_cast<std::size_t>(slice_count(tensor.bytes())));
    known.stale.assign(known.slices.size(), 1);
  }
}

std::uint64_t StateContent::bytes() const {
  std::uint64_t all = 0;
  for (const StateTensor& tensor : tensors_) all += tensor.bytes();
  return all;
}

std::optional<std::size_t> StateContent::find(std::string_view name) const {
  const auto found =
      std::lower_bound(tensors_.begin(), tensors_.end(), name,
                       [](const StateTensor& tensor, std::string_view wanted) { return tensor.name < wanted; });
  if (found == tensors_.end() || found->name != name) return std::nullopt;
  return static_cast<std::size_t>(found - tensors_.begin());
}

void StateContent::mark_changed(std::size_t tensor) {
  Known& known = known_[tensor];
  std::fill(known.stale.begin(), known.stale.end(), std::uint8_t{1});
  known.root_stale = true;
}

void StateContent::mark_all_changed() {
  for (std::size_t tensor = 0; tensor < tensors_.size(); ++tensor) mark_changed(tensor);
}

void StateContent::mark_changed(std::size_t tensor, std::uint64_t slice) {
  known_[tensor].stale[static_cast<std::size_t>(slice)] = 1;
  known_[tensor].root_stale = true;
}

std::vector<StateContent::Slice> StateContent::stale() const {
  std::vector<Slice> slices;
  for (std::size_t tensor = 0; tensor < tensors_.size(); ++tensor)
    for (std::size_t slice = 0; slice < known_[tensor].stale.size(); ++slice)
      if (known_[tensor].stale[slice] != 0) slices.push_back({.tensor = tensor, .slice = slice});
  return slices;
}

bool StateContent::has_all_digests() const {
  return stale().empty() &&
         std::none_of(known_.begin(), known_.end(), [](const Known& known) { return known.root_stale; });
}

std::span<std::byte> StateContent::memory(Slice slice) const {
  const StateTensor& tensor = tensors_[slice.tensor];
  return {tensor.data + slice.slice * kDigestSliceBytes,
          static_cast<std::size_t>(hawser::slice_bytes(tensor.bytes(), slice.slice))};
}

void StateContent::digest(Slice slice) { digested(slice, digest_slice(memory(slice), kContentSeed)); }

void StateContent::digested(Slice slice, const Digest128& digest) {
  Known& known = known_[slice.tensor];
  known.slices[static_cast<std::size_t>(slice.slice)] = digest;
  known.stale[static_cast<std::size_t>(slice.slice)] = 0;
}

void StateContent::all_digested() {
  for (std::size_t tensor = 0; tensor < tensors_.size(); ++tensor) {
    Known& known = known_[tensor];
    if (!known.root_stale) continue;
    HAWSER_ASSERT(std::find(known.stale.begin(), known.stale.end(), 1) == known.stale.end());
    known.root = digest_of_slices(known.slices, tensors_[tensor].bytes(), kContentSeed);
    known.root_stale = false;
  }
}

void StateContent::came(Slice slice, const Digest128& digest) {
  digested(slice, digest);
  known_[slice.tensor].root_stale = true;
}

Manifest StateContent::manifest() const {
  Manifest manifest;
  for (std::size_t tensor = 0; tensor < tensors_.size(); ++tensor) {
    const StateTensor& one = tensors_[tensor];
    HAWSER_ASSERT(!known_[tensor].root_stale);
    manifest.tensors.push_back({.name = one.name,
                                .type = one.type,
                                .count = one.count,
                                .digest = known_[tensor].root,
                                .allow_content_inequality = one.allow_content_inequality});
  }
  return manifest;
}

}  // namespace hawser
