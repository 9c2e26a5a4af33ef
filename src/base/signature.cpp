#include "base/signature.hpp"

#include "base/random.hpp"

namespace hawser {

std::string describe(const Signature& signature) {
  std::string text = "all-reduce of " + std::to_string(signature.count) + " float32, ";
  text += signature.op == ReduceOp::sum ? "sum" : "avg";
  if (signature.plan == PlanKind::ring) text += ", ring plan";
  if (signature.plan == PlanKind::direct) text += ", direct plan";
  return text;
}

std::uint64_t fingerprint(const Signature& s) {
  std::uint64_t mixed = s.count;
  for (const auto part : {static_cast<std::uint8_t>(s.collective), static_cast<std::uint8_t>(s.type),
                          static_cast<std::uint8_t>(s.op), static_cast<std::uint8_t>(s.plan)})
    mixed = Random(mixed ^ (std::uint64_t{part} + 0x51ed2701)).next();
  return mixed;
}

}  // namespace hawser
