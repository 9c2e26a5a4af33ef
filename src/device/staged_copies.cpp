#include "device/staged_copies.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "device/keep_for_ever.hpp"
#include "device/patient_stream.hpp"

namespace hawser::device {

void StagedCopies::lose() noexcept {
  hangs_ = true;
  keep_for_ever(std::move(memory_));
}

Result<void> StagedCopies::make_ready() {
  if (memory_) return {};
  auto made = devices_.allocate_pinned(pieces_.size() * kPieceBytes);
  if (!made.ok()) return made.error();
  memory_ = std::move(*made);
  for (std::size_t i = 0; i < pieces_.size(); ++i) pieces_[i].at = memory_->bytes() + i * kPieceBytes;
  return {};
}

Result<void> StagedCopies::settle(Piece& piece) {
  const auto busy = std::exchange(piece.busy, nullptr);
  if (!busy) return {};
  const auto come = busy->wait(patience_);
  if (!come.ok()) return come.error();
  if (!*come) {
    hangs_ = true;
    return device::hangs(device_, patience_);
  }
  if (piece.to != nullptr) std::memcpy(piece.to, piece.at, piece.bytes);
  return {};
}

Result<void> StagedCopies::copy(Stream& stream, std::byte* to, const std::byte* from, std::size_t bytes) {
  const bool goes_down = devices_.is_pageable(to);
  if (bytes == 0 || (!goes_down && !devices_.is_pageable(from))) return stream.copy(to, from, bytes);
  if (hangs_) return device::hangs(device_, patience_);
  if (const auto ready = make_ready(); !ready.ok()) return ready;
  for (std::size_t done = 0; done < bytes;) {
    Piece& piece = pieces_[next_];
    next_ = 1 - next_;
    if (const auto free = settle(piece); !free.ok()) return free;
    piece.bytes = std::min(bytes - done, kPieceBytes);
    piece.to = goes_down ? to + done : nullptr;
    if (!goes_down) std::memcpy(piece.at, from + done, piece.bytes);
    const auto put = goes_down ? stream.copy(piece.at, from + done, piece.bytes)
                               : stream.copy(to + done, piece.at, piece.bytes);
    if (!put.ok()) return put;
    auto event = stream.record();
    if (!event.ok()) return event.error();
    piece.busy = std::move(*event);
    done += piece.bytes;
  }
  if (!goes_down) return {};
  for (std::size_t i = 0; i < pieces_.size(); ++i)
    if (const auto here = settle(pieces_[(next_ + i) % pieces_.size()]); !here.ok()) return here;
  return {};
}

}  // namespace hawser::device
