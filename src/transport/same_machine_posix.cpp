#ifndef __linux__

#include "transport/same_machine.hpp"

namespace hawser::transport {

std::uint64_t this_machine() { return 0; }

}  // namespace hawser::transport

#endif
