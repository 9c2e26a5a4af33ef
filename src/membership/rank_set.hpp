#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace hawser {

/// A set of ranks of one view: a bit for each.
class RankSet {
 public:
  /// False if it was in already.
  bool insert(std::uint32_t rank) {
    const std::size_t word = rank / 64;
    if (word >= words_.size()) words_.resize(word + 1);
    const std::uint64_t bit = std::uint64_t{1} << rank % 64;
    if ((words_[word] & bit) != 0) return false;
    words_[word] |= bit;
    ++size_;
    return true;
  }
  bool contains(std::uint32_t rank) const {
    return rank / 64 < words_.size() && (words_[rank / 64] >> rank % 64 & 1U) != 0;
  }
  /// The lowest that is not in it.
  std::uint32_t first_missing() const {
    for (std::size_t word = 0; word < words_.size(); ++word)
      if (~words_[word] != 0)
        return static_cast<std::uint32_t>(word * 64 + static_cast<std::size_t>(std::countr_one(words_[word])));
    return static_cast<std::uint32_t>(words_.size() * 64);
  }
  std::uint32_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  /// Calls `visit` with each, in order.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (std::size_t word = 0; word < words_.size(); ++word)
      for (std::uint64_t bits = words_[word]; bits != 0; bits &= bits - 1)
        visit(static_cast<std::uint32_t>(word * 64 + static_cast<std::size_t>(std::countr_zero(bits))));
  }

 private:
  std::vector<std::uint64_t> words_;
  std::uint32_t size_ = 0;
};

}  // namespace hawser
