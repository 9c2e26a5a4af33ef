#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/frame.hpp"
#include "base/result.hpp"
#include "membership/master_machine.hpp"

namespace hawser::sim {

inline constexpr std::size_t kHeaderBytes = 88;
using HeaderBytes = std::array<std::byte, kHeaderBytes>;

/// The message after its way through bytes. Throws Violation where it is not what it was.
PeerMessage through_bytes(const PeerMessage& message);
MasterMessage through_bytes(const MasterMessage& message);
/// What the master's driver reads of it on a connection of that kind. Errors: it is too long there, or the codec
/// refuses it.
Result<PeerMessage> message_of_a_liar(const PeerMessage& message, ConnectionRole role);

void header_to_bytes(const FrameHeader& header, std::span<const std::byte> payload, HeaderBytes& out);
struct ReadHeader {
  FrameHeader header;
  std::uint64_t payload_checksum = 0;
};
/// Throws Violation where the bytes are refused.
ReadHeader header_from_bytes(const HeaderBytes& bytes);
std::uint64_t payload_checksum(std::span<const std::byte> payload);

}  // namespace hawser::sim
