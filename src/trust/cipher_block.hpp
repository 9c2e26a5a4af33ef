#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace hawser::trust {

inline constexpr std::size_t kRecordBytesMax = 16 << 10;  ///< Plaintext of one record.
inline constexpr std::size_t kRecordOverheadBytes = 22;   ///< Header, type and tag of TLS 1.3.
/// Four full records, and room for what TLS itself has to say.
inline constexpr std::size_t kCipherBlockBytes = 4 * (kRecordBytesMax + kRecordOverheadBytes) + (2 << 10);

/// Ciphertext that waits, in one piece of memory that is there only while something does. The thread keeps a few such
/// pieces for the next connection.
class CipherBlock {
 public:
  CipherBlock() = default;
  ~CipherBlock();
  CipherBlock(const CipherBlock&) = delete;
  CipherBlock& operator=(const CipherBlock&) = delete;

  std::span<const std::byte> waiting() const { return {memory_.get() + begin_, end_ - begin_}; }
  bool empty() const { return begin_ == end_; }
  std::size_t room_bytes() const { return kCipherBlockBytes - end_; }
  /// Free memory behind what waits. Throws bad_alloc.
  std::span<std::byte> room();
  /// So many bytes were put there.
  void add(std::size_t bytes) { end_ += bytes; }
  /// So many bytes wait no more.
  void take(std::size_t bytes);
  /// Lets the memory go if nothing waits.
  void settle() noexcept;

 private:
  using Memory = std::unique_ptr<std::byte[]>;
  struct Spare;
  static Spare& spare();

  Memory memory_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace hawser::trust
