#include "die_with_parent.hpp"

#if defined(__linux__)
#  include <sys/prctl.h>

#  include <csignal>

namespace hawser::churn {

// SIGKILL, because a child that the orchestrator stopped (SIGSTOP) reacts to nothing else.
void die_with_parent() { prctl(PR_SET_PDEATHSIG, SIGKILL); }

}  // namespace hawser::churn

#else

namespace hawser::churn {

void die_with_parent() {}

}  // namespace hawser::churn

#endif
