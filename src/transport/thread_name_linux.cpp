#include "transport/thread_name.hpp"

#if defined(__linux__)
#  include <sys/prctl.h>

namespace hawser::transport {

void name_this_thread(const std::string& name) noexcept { (void)::prctl(PR_SET_NAME, name.c_str()); }

}  // namespace hawser::transport

#endif
