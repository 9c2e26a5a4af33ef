#include "trust/cipher_block.hpp"

#include <array>
#include <utility>

namespace hawser::trust {

/// Of one thread.
struct CipherBlock::Spare {
  std::array<Memory, 4> blocks;
  std::size_t count = 0;
};

CipherBlock::Spare& CipherBlock::spare() {
  thread_local Spare spare;
  return spare;
}

CipherBlock::~CipherBlock() = default;

std::span<std::byte> CipherBlock::room() {
  if (!memory_) {
    Spare& kept = spare();
    memory_ = kept.count > 0 ? std::move(kept.blocks[--kept.count])
                             : std::make_unique_for_overwrite<std::byte[]>(kCipherBlockBytes);
  }
  return {memory_.get() + end_, kCipherBlockBytes - end_};
}

void CipherBlock::take(std::size_t bytes) {
  begin_ += bytes;
  if (begin_ == end_) begin_ = end_ = 0;
}

void CipherBlock::settle() noexcept {
  if (!memory_ || !empty()) return;
  Spare& kept = spare();
  if (kept.count < kept.blocks.size())
    kept.blocks[kept.count++] = std::move(memory_);
  else
    memory_.reset();
}

}  // namespace hawser::trust
