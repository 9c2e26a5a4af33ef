#include "engine/call_check.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "base/limits.hpp"
#include "collective/residual.hpp"
#include "engine/link_probing.hpp"

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
Error misuse(std::string sentence) { return {Status::invalid_usage, std::move(sentence)}; }

/// The answer to a call whose ranks and sizes are those of a view that is over.
Error stale_epoch(Epoch called, Epoch in_force) {
  return {Status::peer_lost, "the members changed just before this call (epoch " + std::to_string(called.value) +
                                 " is over, " + std::to_string(in_force.value) +
                                 " is in force), so ranks and sizes may be others now; look them up and call again"};
}

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

Result<void> check_count(const Signature& signature, const View& view) {
  if (signature.count == 0 && signature.collective != Collective::barrier)
    return refuse("a collective needs at least one element; use a barrier to only wait");
  if (signature.count != 0 && signature.collective == Collective::barrier) return refuse("a barrier has no elements");
  if (view.size() >= 2 && signature.root >= view.size())
    return refuse("there is no rank " + std::to_string(signature.root) + " among " + std::to_string(view.size()) +
                  " members");
  const std::uint64_t world_size = std::max<std::uint32_t>(1, view.size());
  if (signature.count > kAddressableBytes / element_bytes(signature.type) / world_size)
    return refuse(std::to_string(signature.count) + " elements are more than an address space holds");
  return {};
}

/// They are equal where that means in place, or disjoint.
Result<void> check_buffers(const CollectiveCall& call, const View& view, PeerId self) {
  const Signature& signature = call.signature;
  if (!has_buffers(signature.collective)) return {};
  const std::uint64_t element = element_bytes(signature.type);
  const std::uint64_t world_size = std::max<std::uint32_t>(1, view.size());
  const std::uint32_t rank = view.rank_of(self).value_or(0);
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

Result<void> check_bounds(const ProbeBounds& bounds) {
  if (bounds.bytes_max < limits::kProbeBytesLeast || bounds.bytes_max > limits::kProbeBytesMax)
    return refuse("a probe may have " + std::to_string(limits::kProbeBytesLeast) + " to " +
                  std::to_string(limits::kProbeBytesMax) + " bytes, not " + std::to_string(bounds.bytes_max));
  if (bounds.time_max > limits::kProbeTimeMax)
    return refuse("a probe may last " + std::to_string(limits::kProbeTimeMax.count()) + " ms at most, not " +
                  std::to_string(whole_milliseconds(bounds.time_max)) + " ms");
  return {};
}

/// Optimize-topology is alone among the collectives of a group: probes would disturb the others, and plans of all tags
/// change with its commit.
Result<void> check_company(const CollectiveStart& call, const CallSituation& situation) {
  if (situation.updating) return misuse("update-topology is under way; wait for it, then reduce");
  if (situation.probing) return misuse("optimize-topology is under way; wait for it, then call");
  if (call.probing && situation.in_flight > 0)
    return misuse("a collective is in flight; wait for it, then call optimize-topology");
  if (call.probing && !situation.links.has_all_links(situation.view.size()))
    return misuse("this group has " + std::to_string(situation.view.size()) +
                 " members; links are measured in groups of at most " + std::to_string(situation.links.all_links_max) +
                 ". Plans do without");
  if (situation.in_flight >= limits::kOpsInFlightMax)
    return misuse(std::to_string(situation.in_flight) +
                  " collectives are in flight, which are the most; wait for some");
  if (situation.tag_in_flight)
    return misuse("a collective with tag " + std::to_string(call.tag) +
                  " is in flight; wait for it or use another tag");
  return {};
}

}  // namespace

BufferBytes buffer_bytes(const CollectiveCall& call, const View& view, PeerId self) {
  const Signature& signature = call.signature;
  if (!has_buffers(signature.collective)) return {};
  const std::size_t one = static_cast<std::size_t>(signature.count) * element_bytes(signature.type);
  const std::size_t all = one * std::max<std::uint32_t>(1, view.size());
  const bool sends = signature.collective != Collective::broadcast || view.rank_of(self).value_or(0) == signature.root;
  return {.send = !sends ? 0 : signature.collective == Collective::reduce_scatter ? all : one,
          .receive = signature.collective == Collective::all_gather ? all : one};
}

Result<void> check_arguments(const CollectiveStart& call, const View& view, PeerId self) {
  const Signature& signature = call.collective.signature;
  if (call.probing)
    if (auto fine = check_bounds(call.probing->bounds); !fine.ok()) return fine;
  if (auto fine = check_count(signature, view); !fine.ok()) return fine;
  if (auto fine = check(signature.quantization, signature.type); !fine.ok()) return fine;
  if (auto fine = check_buffers(call.collective, view, self); !fine.ok()) return fine;
  return call.residual ? check_residual(*call.residual, signature) : Result<void>{};
}

Result<void> check_call(const CollectiveStart& call, const CallSituation& situation) {
  const bool is_member = situation.not_a_member.status == Status::success;
  // Before its buffers are looked at with another view's eyes.
  const Epoch since = begins_again(call) ? situation.calls_since : situation.view.epoch;
  if (is_member && call.epoch != Epoch{} && (call.epoch < since || call.epoch > situation.view.epoch))
    return stale_epoch(call.epoch, situation.view.epoch);
  if (auto fine = check_arguments(call, situation.view, situation.self); !fine.ok()) return fine;
  if (!is_member) return situation.not_a_member;
  return check_company(call, situation);
}

}  // namespace hawser
