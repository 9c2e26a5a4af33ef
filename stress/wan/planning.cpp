#include "wan/planning.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

#include "plan/network.hpp"
#include "plan/plan.hpp"
#include "plan/prediction.hpp"
#include "wan/bounds.hpp"
#include "wan/missing_pairs.hpp"

namespace hawser::wan {
namespace {

constexpr std::uint32_t kElementBytes = 4;

struct NamedKind {
  PlanKind kind;
  const char* name;
};
constexpr std::array kKinds{NamedKind{PlanKind::direct, "direct"}, NamedKind{PlanKind::ring, "ring"},
                            NamedKind{PlanKind::hierarchical, "hierarchical"}};

std::uint64_t payload_bytes_per_s(const Spec& spec, std::uint64_t bits_per_s) {
  return static_cast<std::uint64_t>(static_cast<double>(bits_per_s) / 8 * payload_share(spec));
}

std::uint64_t in_ns(Duration delay) { return static_cast<std::uint64_t>(delay / microseconds(1)) * 1000; }

/// The pairs that take a cable in one direction; all between two sets of hosts, or an error.
Result<void> add_cable(const Spec& spec, PathSpec::CableUse use, topology::Matrix& matrix) {
  std::set<HostIndex> from, to;
  std::size_t pairs = 0;
  for (HostIndex f = 0; f < spec.host_count(); ++f)
    for (HostIndex t = 0; t < spec.host_count(); ++t) {
      const auto& taken = spec.path(f, t).cable;
      if (f == t || !taken || taken->cable != use.cable || taken->direction != use.direction) continue;
      from.insert(f);
      to.insert(t);
      ++pairs;
    }
  if (pairs == 0) return {};
  const CableSpec& cable = spec.cables[use.cable];
  if (pairs != from.size() * to.size())
    return Error{.status = Status::invalid_argument,
                 .sentence = "cable " + cable.name +
                             " does not carry all pairs from one set of hosts to another; plans know no other cables"};
  matrix.cables.push_back({.from = {from.begin(), from.end()},
                           .to = {to.begin(), to.end()},
                           .bytes_per_second = payload_bytes_per_s(spec, cable.bits_per_s)});
  return {};
}

double longest_round_trip_ms(const Spec& spec) {
  double longest = 0;
  for (HostIndex from = 0; from < spec.host_count(); ++from)
    for (HostIndex to = 0; to < from; ++to) longest = std::max(longest, round_trip_ms(spec, from, to));
  return longest;
}

std::string row(std::uint64_t bytes, const char* plan, const char* chosen, double seconds,
                double bandwidth_seconds, const std::string& busiest) {
  std::array<char, 256> text{};
  std::snprintf(text.data(), text.size(), "%12llu  %-12s  %-6s  %12.3f  %12.3f  %s\n",
                static_cast<unsigned long long>(bytes), plan, chosen, 1e3 * seconds, 1e3 * bandwidth_seconds,
                busiest.c_str());
  return text.data();
}

std::string rows_of(std::uint64_t bytes, const Network& network) {
  PlanInput input{.world_size = network.estimates.world_size(),
                  .elements = std::max<std::uint64_t>(1, bytes / kElementBytes),
                  .element_bytes = kElementBytes,
                  .network = &network};
  PlanInput nothing = input;
  nothing.elements = 0;
  const double ideal = ideal_seconds(input, network.estimates);
  // The ideal is a line over the size: what it is for nothing is delay.
  std::string text =
      row(bytes, "least", "-", ideal, ideal - ideal_seconds(nothing, network.estimates), "no plan beats it");
  const PlanKind chosen = make_plan(input).kind;
  for (const NamedKind& named : kKinds) {
    input.kind = named.kind;
    const Plan plan = make_plan(input);
    if (plan.kind != named.kind) continue;  // Hierarchical where there are no regions.
    const Prediction predicted = predict(plan, input.wire, input.element_bytes, network.estimates);
    text += row(bytes, named.name, plan.kind == chosen ? "chosen" : "-", predicted.seconds,
                predicted.transfer_seconds, predicted.bottleneck);
  }
  return text;
}

}  // namespace

Result<topology::Matrix> matrix_of(const Spec& spec) {
  auto matrix = topology::Matrix::unknown(spec.host_count());
  for (HostIndex from = 0; from < spec.host_count(); ++from) {
    const HostSpec& host = spec.hosts[from];
    matrix.members[from] = {.uplink_bytes_per_second = payload_bytes_per_s(spec, host.up_bits_per_s),
                            .downlink_bytes_per_second = payload_bytes_per_s(spec, host.down_bits_per_s),
                            .control_delay_ns = from == 0 ? 0 : in_ns(spec.path(from, 0).delay)};
    for (HostIndex to = 0; to < spec.host_count(); ++to) {
      if (from == to) continue;
      const double bits_per_s = pair_bound(spec, from, to).bits_per_s;
      matrix.pair(from, to) = {.bytes_per_second = static_cast<std::uint64_t>(bits_per_s / 8),
                               .delay_ns = in_ns(spec.path(from, to).delay),
                               .through = is_cut(spec, from, to) ? topology::kByAnyone : topology::kStraight};
    }
  }
  for (std::uint32_t cable = 0; cable < spec.cables.size(); ++cable)
    for (const Direction direction : {Direction::there, Direction::back})
      if (auto added = add_cable(spec, {.cable = cable, .direction = direction}, matrix); !added)
        return added.error();
  return matrix;
}

Result<std::string> describe_plans(const Spec& spec, const std::vector<std::uint64_t>& sizes) {
  const auto matrix = matrix_of(spec);
  if (!matrix) return matrix.error();
  const auto network = make_network(*matrix);
  if (!network) return network.error();
  std::array<char, 128> head{};
  std::snprintf(head.data(), head.size(), "%u hosts, longest round trip %g ms\n", unsigned{spec.host_count()},
                longest_round_trip_ms(spec));
  std::string text = head.data();
  text += "       bytes  plan          choice  predicted ms  bandwidth ms  busiest\n";
  for (const std::uint64_t bytes : sizes) text += rows_of(bytes, **network);
  return text;
}

}  // namespace hawser::wan
