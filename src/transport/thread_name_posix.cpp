#include "transport/thread_name.hpp"

#if !defined(__linux__)

namespace hawser::transport {

void name_this_thread(const std::string&) noexcept {}

}  // namespace hawser::transport

#endif
