#pragma once

#include <string>

namespace hawser::churn {

/// Moves this process into the network namespace at the path, before it has any thread or socket. Throws
/// std::runtime_error if the system refuses.
void enter_network(const std::string& name_space);

}  // namespace hawser::churn
