#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "wan/host_addresses.hpp"
#include "wan/host_network.hpp"
#include "wan/router.hpp"
#include "wan/spec.hpp"

namespace hawser::wan {

/// The hosts' networks and the router between them. Everything goes with it, however the process ends.
class Lab {
 public:
  /// Needs root. `congestion_control` "": the system's default.
  static Result<std::unique_ptr<Lab>> make(const Spec& spec, const std::string& congestion_control,
                                           const Recordings& recordings = {});

  const Spec& spec() const { return spec_; }
  const HostAddresses& addresses() const { return addresses_; }
  Router& router() { return *router_; }
  /// A path by which other processes enter the host's network, while this one lives.
  std::string name_space_path(HostIndex host) const;
  /// Ends the router and prints how it did to standard error: what it dropped and why, its CPU time, its
  /// lateness, and warnings where the lab was not what the spec says.
  void stop_and_report();

 private:
  explicit Lab(const Spec& spec) : spec_(spec), addresses_(spec) {}
  Spec spec_;
  HostAddresses addresses_;
  FileDescriptor host_list_;
  std::vector<HostNetwork> networks_;
  std::unique_ptr<Router> router_;
};

}  // namespace hawser::wan
