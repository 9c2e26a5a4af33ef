#include "sim/wire_check.hpp"

#include "base/limits.hpp"
#include "sim/violation.hpp"
#include "wire/checksum.hpp"
#include "wire/control_codec.hpp"
#include "wire/frame_codec.hpp"

namespace hawser::sim {
namespace {

static_assert(kHeaderBytes == kFrameHeaderBytes);

std::span<const std::byte> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

template <class Message>
Message same(const Message& message, const Result<Message>& decoded) {
  if (!decoded)
    throw Violation("a control message that a machine sent is refused by its codec: " +
                    decoded.error().sentence);
  if (!(*decoded == message)) throw Violation("a control message changed on its way through its codec");
  return *decoded;
}

}  // namespace

PeerMessage through_bytes(const PeerMessage& message) {
  return same(message, decode_peer_message(bytes_of(encode(message))));
}

MasterMessage through_bytes(const MasterMessage& message) {
  return same(message, decode_master_message(bytes_of(encode(message))));
}

Result<PeerMessage> message_of_a_liar(const PeerMessage& message, ConnectionRole role) {
  const std::string bytes = encode(message);
  const std::size_t longest = role == ConnectionRole::stranger     ? limits::kFirstMessageBytesMax
                              : role == ConnectionRole::newcomer   ? limits::kNewcomerMessageBytesMax
                              : role == ConnectionRole::presenting ? limits::kPresentedViewBytesMax
                                                                 : limits::kControlMessageBytesMax;
  if (bytes.size() > longest) return Error{Status::refused, "the message is too long for such a connection"};
  return decode_peer_message(bytes_of(bytes));
}

void header_to_bytes(const FrameHeader& header, std::span<const std::byte> payload, HeaderBytes& out) {
  encode_frame_header(header, checksum(payload), out);
}

ReadHeader header_from_bytes(const HeaderBytes& bytes) {
  const auto decoded = decode_frame_header(bytes);
  if (!decoded) throw Violation("a frame header that an engine sent is refused: " + decoded.error().sentence);
  return {.header = decoded->header, .payload_checksum = decoded->payload_checksum};
}

std::uint64_t payload_checksum(std::span<const std::byte> payload) { return checksum(payload); }

}  // namespace hawser::sim
