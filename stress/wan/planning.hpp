#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "topology/matrix.hpp"
#include "wan/spec.hpp"

namespace hawser::wan {

/// What members on the spec's hosts would know of their links if they measured without error, with a master in
/// host 0: payload rates, delays without jitter, losses and events left out. Error: invalid_argument, where a
/// cable does not carry exactly the pairs between two sets of hosts, which is all that a matrix can say.
Result<topology::Matrix> matrix_of(const Spec& spec);

/// For each size in bytes, of an all-reduce of float32: the least that any plan can take, and what each kind of
/// plan is predicted to take, as a table with one row each. Error: invalid_argument, as matrix_of().
Result<std::string> describe_plans(const Spec& spec, const std::vector<std::uint64_t>& sizes);

}  // namespace hawser::wan
