#include "base/planted_fault.hpp"

namespace hawser {

PlantedFault detail::planted_fault = PlantedFault::none;

void plant(PlantedFault fault) { detail::planted_fault = fault; }

}  // namespace hawser
