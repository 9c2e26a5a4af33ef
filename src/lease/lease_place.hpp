#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace hawser::lease {

/// Where a run's lease is: a key of an etcd.
struct LeasePlace {
  std::vector<std::string> endpoints;  ///< "http://host:port", 1 to 8 of them.
  std::string name;                    ///< Of the run, for people and in the key.
};

/// Reads "etcd://host:port[,host:port...]/name", or "etcds://..." for TLS. Errors: invalid_argument with what is wrong,
/// and an example.
Result<LeasePlace> parse_lease_place(const std::string& text);

}  // namespace hawser::lease
