#include "base/attestation.hpp"

#include <bit>
#include <span>

namespace hawser {
namespace {

std::string in_hexadecimal(std::span<const std::uint8_t> bytes) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

std::string statement_of(const OpKey& key, const Signature& signature, const Contribution& given) {
  std::string text = "hawser-contribution 1\n";
  const auto line = [&](const char* name, std::uint64_t value) {
    text += std::string(name) + "=" + std::to_string(value) + "\n";
  };
  line("epoch", key.epoch.value);
  line("view", key.view.value);
  line("tag", key.tag);
  line("sequence", key.sequence);
  line("collective", static_cast<std::uint64_t>(signature.collective));
  line("type", static_cast<std::uint64_t>(signature.type));
  line("op", static_cast<std::uint64_t>(signature.op));
  line("count", signature.count);
  line("root", signature.root);
  line("quantization-scheme", static_cast<std::uint64_t>(signature.quantization.scheme));
  line("quantization-type", static_cast<std::uint64_t>(signature.quantization.type));
  line("quantization-block", signature.quantization.block);
  line("stochastic", signature.quantization.stochastic ? 1 : 0);
  text += "sha256=" + in_hexadecimal(given.sha256) + "\n";
  line("bytes", given.bytes);
  line("not-finite", given.not_finite);
  line("largest-bits", std::bit_cast<std::uint64_t>(given.largest));
  line("norm-bits", std::bit_cast<std::uint64_t>(given.norm));
  return text;
}

}  // namespace hawser
