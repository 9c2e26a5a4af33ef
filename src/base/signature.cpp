#include "base/signature.hpp"

#include <array>

#include "base/random.hpp"

namespace hawser {

std::string describe(const Signature& signature) {
  if (signature.collective == Collective::barrier) return "barrier";
  if (signature.collective == Collective::optimize)
    return "optimize-topology with probes of " + std::to_string(signature.count) + " bytes at most";
  constexpr std::array names{"all-reduce", "broadcast", "all-gather", "reduce-scatter", "barrier", "transfer"};
  std::string text = names.at(static_cast<std::size_t>(signature.collective));
  text += " of " + std::to_string(signature.count) + " " + to_string(signature.type);
  if (signature.collective == Collective::broadcast) text += " from rank " + std::to_string(signature.root);
  if (reduces(signature.collective)) text += std::string(", ") + to_string(signature.op);
  if (signature.plan == PlanKind::ring) text += ", ring plan";
  if (signature.plan == PlanKind::direct) text += ", direct plan";
  if (signature.plan == PlanKind::hierarchical) text += ", hierarchical plan";
  if (signature.quantization) text += ", " + describe(signature.quantization);
  if (signature.purpose == Purpose::shared_state) return "shared-state synchronisation (" + text + ")";
  return text;
}

std::uint64_t fingerprint(const Signature& s) {
  const Quantization& q = s.quantization;
  std::uint64_t mixed = Random(s.count ^ Random(s.measures).next()).next();
  for (const std::uint32_t part :
       {std::uint32_t{static_cast<std::uint8_t>(s.collective)}, std::uint32_t{static_cast<std::uint8_t>(s.type)},
        std::uint32_t{static_cast<std::uint8_t>(s.op)}, std::uint32_t{static_cast<std::uint8_t>(s.plan)}, s.root,
        std::uint32_t{static_cast<std::uint8_t>(q.scheme)}, std::uint32_t{static_cast<std::uint8_t>(q.type)},
        std::uint32_t{q.block}, std::uint32_t{q.stochastic}, std::uint32_t{static_cast<std::uint8_t>(s.purpose)}})
    mixed = Random(mixed ^ (std::uint64_t{part} + 0x51ed2701)).next();
  return mixed;
}

}  // namespace hawser
