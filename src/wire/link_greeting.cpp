#include "wire/link_greeting.hpp"

#include <string>

#include "base/limits.hpp"
#include "membership/messages.hpp"
#include "wire/byte_order.hpp"
#include "wire/checksum.hpp"
#include "wire/magic.hpp"
#include "wire/refused.hpp"

namespace hawser {
std::array<std::byte, kPunchHelloBytes> encode_punch_hello(PunchHello hello) {
  std::array<std::byte, kPunchHelloBytes> out;
  FieldWriter writer(out);
  writer.bytes(kPunchMagic);
  writer.u32(static_cast<std::uint32_t>(hello));
  return out;
}

Result<PunchHello> decode_punch_hello(std::span<const std::byte, kPunchHelloBytes> in) {
  if (const auto magic = check_magic(in, kPunchMagic); !magic.ok()) return magic.error();
  FieldReader reader(in);
  reader.skip(kPunchMagic.size());
  const std::uint32_t hello = reader.u32();
  if (hello != 1 && hello != 2) return refused("a peer that dials says the unknown word " + std::to_string(hello));
  return static_cast<PunchHello>(hello);
}

std::array<std::byte, kGreetingBytes> encode_greeting(const LinkGreeting& greeting) {
  std::array<std::byte, kGreetingBytes> out;
  FieldWriter writer(out);
  writer.bytes(kGreetingMagic);
  writer.u32(kProtocolVersion);
  writer.u64(greeting.link_secret);
  writer.u64(greeting.from.value);
  writer.u64(greeting.to.value);
  writer.u32(greeting.connection_index);
  writer.u16(static_cast<std::uint16_t>(greeting.connections_total));
  writer.u16(static_cast<std::uint16_t>(greeting.kind));
  writer.u64(greeting.machine_proof.low);
  writer.u64(greeting.machine_proof.high);
  writer.u64(checksum(writer.written()));
  HAWSER_ASSERT(writer.written().size() == out.size());
  return out;
}

std::array<std::byte, kGreetingAnswerBytes> encode_greeting_answer(GreetingAnswer answer,
                                                                      const Digest128& machine_proof) {
  std::array<std::byte, kGreetingAnswerBytes> out;
  FieldWriter writer(out);
  writer.bytes(kAnswerMagic);
  writer.u32(static_cast<std::uint32_t>(answer));
  writer.u64(machine_proof.low);
  writer.u64(machine_proof.high);
  writer.u64(checksum(writer.written()));
  HAWSER_ASSERT(writer.written().size() == out.size());
  return out;
}

Result<void> check_greeting_start(std::span<const std::byte> received) {
  return check_magic(received, kGreetingMagic);
}

Result<LinkGreeting> decode_greeting(std::span<const std::byte, kGreetingBytes> in) {
  if (const auto magic = check_magic(in, kGreetingMagic); !magic.ok()) return magic.error();
  FieldReader reader(in);
  reader.skip(kGreetingMagic.size());
  // Version before checksum: another version may lay out the rest in another way.
  if (const std::uint32_t version = reader.u32(); version != kProtocolVersion)
    return refused("a peer speaks version " + std::to_string(version) +
                   " of the protocol on a data connection; this one speaks version " +
                   std::to_string(kProtocolVersion));
  LinkGreeting greeting;
  greeting.link_secret = reader.u64();
  greeting.from.value = reader.u64();
  greeting.to.value = reader.u64();
  greeting.connection_index = reader.u32();
  greeting.connections_total = reader.u16();
  const std::uint16_t kind = reader.u16();
  greeting.machine_proof.low = reader.u64();
  greeting.machine_proof.high = reader.u64();
  const std::uint64_t expected = checksum(reader.taken());
  if (reader.u64() != expected) return refused("a link greeting has a wrong checksum");
  if (kind > static_cast<std::uint16_t>(GreetingKind::comes_through))
    return refused("a link greeting is of the unknown kind " + std::to_string(kind));
  greeting.kind = static_cast<GreetingKind>(kind);
  if (greeting.connections_total == 0 || greeting.connections_total > limits::kConnectionsPerLinkMax)
    return refused("a link greeting announces " + std::to_string(greeting.connections_total) +
                   " connections; 1 to " + std::to_string(limits::kConnectionsPerLinkMax) + " are allowed");
  if (greeting.connection_index >= greeting.connections_total)
    return refused("a link greeting is for connection " + std::to_string(greeting.connection_index) + " of " +
                   std::to_string(greeting.connections_total));
  if (greeting.from == greeting.to) return refused("a link greeting is from a peer to itself");
  return greeting;
}

Result<AnsweredGreeting> decode_greeting_answer(std::span<const std::byte, kGreetingAnswerBytes> in) {
  if (const auto magic = check_magic(in, kAnswerMagic); !magic.ok()) return magic.error();
  FieldReader reader(in);
  reader.skip(kAnswerMagic.size());
  const std::uint32_t answer = reader.u32();
  AnsweredGreeting answered;
  answered.machine_proof.low = reader.u64();
  answered.machine_proof.high = reader.u64();
  const std::uint64_t expected = checksum(reader.taken());
  if (reader.u64() != expected) return refused("the answer to a link greeting has a wrong checksum");
  if (answer < static_cast<std::uint32_t>(GreetingAnswer::accepted) ||
      answer > static_cast<std::uint32_t>(GreetingAnswer::refused_busy))
    return refused("the answer to a link greeting has the unknown status " + std::to_string(answer));
  answered.answer = static_cast<GreetingAnswer>(answer);
  return answered;
}

}  // namespace hawser
