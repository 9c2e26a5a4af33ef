#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/data_type.hpp"
#include "base/digest128.hpp"
#include "base/result.hpp"
#include "collective/work.hpp"
#include "shared_state/manifest.hpp"

namespace hawser {

/// All digests of shared states are made with it.
inline constexpr std::uint64_t kContentSeed = 0;

/// A named tensor in the caller's memory. On a device, nothing here touches it.
struct StateTensor {
  std::string name;
  DataType type = DataType::float32;
  std::uint64_t count = 0;
  std::byte* data = nullptr;  ///< Not null unless count is 0.
  bool allow_content_inequality = false;
  std::int32_t device = kOnHost;
  std::uint64_t bytes() const { return count * element_bytes(type); }
};

/// The tensors of one shared state, and what is known of their digests: slice by slice, so that only what
/// changed is read again. Pure; who drives it may spread digest() over threads.
class StateContent {
 public:
  /// Sorts the tensors by name. Errors: invalid_argument (names, limits, null or misaligned data, tensors that
  /// share memory), each naming the tensor.
  static Result<std::unique_ptr<StateContent>> create(std::vector<StateTensor> tensors);

  const std::vector<StateTensor>& tensors() const { return tensors_; }
  std::uint64_t bytes() const;
  std::optional<std::size_t> find(std::string_view name) const;

  /// The digest of a tensor, or of a slice, is not that of its bytes any more.
  void mark_changed(std::size_t tensor);
  void mark_all_changed();
  void mark_changed(std::size_t tensor, std::uint64_t slice);

  struct Slice {
    std::size_t tensor = 0;
    std::uint64_t slice = 0;
  };
  /// Slices to be digested.
  std::vector<Slice> stale() const;
  /// Where a slice lies.
  std::span<std::byte> memory(Slice slice) const;
  /// Reads one of them, on the host. Different slices may be digested by different threads at once.
  void digest(Slice slice);
  /// The same for whoever has read it: its digest.
  void digested(Slice slice, const Digest128& digest);
  /// After all of stale().
  void all_digested();
  /// A slice has come whose digest was checked.
  void came(Slice slice, const Digest128& digest);

  /// The digests of all slices and all tensors are those of the bytes, as far as anybody was told.
  bool has_all_digests() const;
  /// Of each slice of a tensor. These and manifest(): only while it has all digests.
  const std::vector<Digest128>& slice_digests(std::size_t tensor) const { return known_[tensor].slices; }
  /// Names, types, counts, flags and digests; the rest is the caller's to fill in.
  Manifest manifest() const;

 private:
  struct Known {
    std::vector<Digest128> slices;
    std::vector<std::uint8_t> stale;  ///< Beside slices; not bits, since threads write them.
    Digest128 root;
    bool root_stale = true;
  };

  explicit StateContent(std::vector<StateTensor> tensors);

  std::vector<StateTensor> tensors_;
  std::vector<Known> known_;
};

}  // namespace hawser
