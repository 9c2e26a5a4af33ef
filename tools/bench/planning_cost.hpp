#pragma once

#include <cstdint>

namespace hawser::bench {

/// Prints the CPU time in which a member of a group of that size makes its plans, from links in four regions: what is
/// found out of the links once for each version of the measures, then one plan of each kind. Groups beyond those that
/// measure are planned without measures; what measures would cost them is printed, too.
void print_planning_cost(std::uint32_t members);

}  // namespace hawser::bench
