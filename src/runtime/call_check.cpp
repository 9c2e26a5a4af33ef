#include "runtime/call_check.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

namespace hawser {
namespace {

/// No process has more on any machine of today; a count beyond it is a slip.
constexpr std::uint64_t kAddressableBytes = std::uint64_t{1} << 47;

/// A buffer of the caller's, in bytes from its start.
struct Extent {
  std::uintptr_t begin = 0;
  std::uint64_t bytes = 0;
  std::uintptr_t end() const { return begin + bytes; }
};

Error refuse(std::string sentence) { return {Status::invalid_argument, std::move(sentence)}; }

Result<Extent> extent(const void* buffer, std::uint64_t count, std::uint64_t element, const char* which) {
  const auto begin = reinterpret_cast<std::uintptr_t>(buffer);
  if (buffer == nullptr) return refuse(std::string("the ") + which + " buffer is null");
  if (begin % element != 0)
    return refuse(std::string("the ") + which + " buffer does not begin at a multiple of the element's size");
  if (begin > std::numeric_limits<std::uintptr_t>::max() - count * element)
    return refuse(std::string("the ") + which + " buffer does not fit into the address space");
  return Extent{begin, count * element};
}

bool has_buffers(Collective collective) {
  return collective != Collective::barrier && collective != Collective::transfer && collective != Collective::optimize;
}

/// The buffers are equal where that means in place, or disjoint.
Result<void> check_buffers(const CollectiveCall& call, const View& view, PeerId self) {
  const Signature& signature = call.signature;
  if (!has_buffers(signature.collective)) return {};
  const std::uint64_t element = element_bytes(signature.type);
  const std::uint64_t world_size = std::max<std::uint32_t>(1, view.size());
  const std::uint32_t rank = view.rank_of(self).value_or(0);
  if (signature.count == 0) return refuse("a collective needs at least one element");
  if (signature.count > kAddressableBytes / element / world_size)
    return refuse(std::to_string(signature.count) + " elements are more than an address space holds");
  const bool gathers = signature.collective == Collective::all_gather;
  const bool scatters = signature.collective == Collective::reduce_scatter;
  const auto receive =
      extent(call.receive, signature.count * (gathers ? world_size : 1), element, "receive");
  if (!receive.ok()) return receive.error();
  if (signature.collective == Collective::broadcast && rank != signature.root) return {};
  const auto send = extent(call.send, signature.count * (scatters ? world_size : 1), element, "send");
  if (!send.ok()) return send.error();
  if (send->end() <= receive->begin || receive->end() <= send->begin) return {};
  const std::uint64_t own = rank * signature.count * element;
  const bool in_place = gathers    ? send->begin == receive->begin + own
                        : scatters ? receive->begin == send->begin + own
                                   : send->begin == receive->begin;
  if (in_place) return {};
  return Error{Status::invalid_usage,
               "the send and receive buffers overlap in part; they must be disjoint, or in place" +
               std::string(gathers || scatters ? ": the smaller one at this rank's share of the other"
                                               : ": equal")};
}

}  // namespace

Result<void> check_call(const CollectiveCall& call, const EngineInfo& known) {
  if (const auto fine = check(call.signature.quantization, call.signature.type); !fine.ok()) return fine;
  return check_buffers(call, known.view, known.self);
}

BufferBytes buffer_bytes(const CollectiveCall& call, const EngineInfo& known) {
  const Signature& signature = call.signature;
  if (!has_buffers(signature.collective)) return {};
  const std::size_t one = static_cast<std::size_t>(signature.count) * element_bytes(signature.type);
  const std::size_t all = one * std::max<std::uint32_t>(1, known.view.size());
  const bool sends =
      signature.collective != Collective::broadcast || known.view.rank_of(known.self).value_or(0) == signature.root;
  return {.send = !sends ? 0 : signature.collective == Collective::reduce_scatter ? all : one,
          .receive = signature.collective == Collective::all_gather ? all : one};
}

Result<void> check_residual(const Residual& residual, const Signature& signature) {
  if (signature.collective != Collective::all_reduce || !signature.quantization)
    return refuse("a residual is for quantised all-reduces");
  if (signature.op != ReduceOp::sum && signature.op != ReduceOp::avg)
    return refuse(std::string("a residual is for sum and avg, not for ") + to_string(signature.op));
  if (residual.count() != signature.count || residual.type() != signature.type)
    return refuse("the residual is for " + std::to_string(residual.count()) + " " + to_string(residual.type()) +
                  ", not for " + std::to_string(signature.count) + " " + to_string(signature.type));
  return {};
}

}  // namespace hawser
