#include "wire/control_frame.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/limits.hpp"
#include "wire/byte_order.hpp"
#include "wire/checksum.hpp"
#include "wire/magic.hpp"
#include "wire/refused.hpp"

namespace hawser {
namespace {

/// A buffer that one large message stretched is not kept for the small ones after it.
constexpr std::size_t kBufferBytesKept = 64 << 10;

}  // namespace

std::string frame_control(std::string_view message) {
  HAWSER_ASSERT(message.size() <= limits::kControlMessageBytesMax);
  std::array<std::byte, kControlFrameHeaderBytes> header;
  FieldWriter writer(header);
  writer.bytes(kControlMagic);
  writer.u32(static_cast<std::uint32_t>(message.size()));
  writer.u64(checksum(std::as_bytes(std::span(message))));
  std::string framed(header.size() + message.size(), '\0');
  std::memcpy(framed.data(), header.data(), header.size());
  std::copy(message.begin(), message.end(), framed.begin() + header.size());
  return framed;
}

void ControlFrameReader::feed(std::span<const std::byte> bytes) {
  if (error_ || bytes.empty()) return;
  if (start_ == buffer_.size()) {
    buffer_.clear();
    start_ = 0;
    if (buffer_.capacity() > kBufferBytesKept) buffer_.shrink_to_fit();
  } else if (start_ > buffer_.size() / 2) {
    buffer_.erase(0, start_);
    start_ = 0;
  }
  const std::size_t old_size = buffer_.size();
  buffer_.resize(old_size + bytes.size());
  std::memcpy(buffer_.data() + old_size, bytes.data(), bytes.size());
}

Result<std::optional<std::string>> ControlFrameReader::next() {
  const auto lose = [&](Error error) {
    error_ = std::move(error);
    buffer_ = {};
    start_ = 0;
    return *error_;
  };
  if (error_) return *error_;

  const auto rest = std::as_bytes(std::span(buffer_)).subspan(start_);
  if (const auto magic = check_magic(rest, kControlMagic); !magic.ok()) return lose(magic.error());

  // The length is judged as soon as it is there, before anything waits for what it promises.
  FieldReader reader(rest);
  constexpr std::size_t kLengthEnd = kControlMagic.size() + sizeof(std::uint32_t);
  if (rest.size() < kLengthEnd) return std::optional<std::string>{};
  reader.skip(kControlMagic.size());
  const std::uint32_t length = reader.u32();
  if (length > message_bytes_max_)
    return lose(refused("a control message of " + std::to_string(length) + " bytes was announced; " +
                        std::to_string(message_bytes_max_) + " are the most"));
  if (rest.size() < kControlFrameHeaderBytes + length) return std::optional<std::string>{};

  const std::uint64_t promised = reader.u64();
  const auto message = rest.subspan(kControlFrameHeaderBytes, length);
  if (checksum(message) != promised)
    return lose(refused("a control message of " + std::to_string(length) + " bytes has a wrong checksum"));
  std::string taken = buffer_.substr(start_ + kControlFrameHeaderBytes, length);
  start_ += kControlFrameHeaderBytes + length;
  return std::optional<std::string>(std::move(taken));
}

}  // namespace hawser
