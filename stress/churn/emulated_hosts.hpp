#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace hawser::churn {

/// The hosts of an emulated wide-area network (docs/wan.md), for processes that enter them. The network goes with it.
class EmulatedHosts {
 public:
  struct Made {
    std::unique_ptr<EmulatedHosts> hosts;  ///< Null: there are none, and why.
    std::string why;
    int exit_status = 0;
  };
  /// `spec`: a name or a file; as many hosts as `hosts`, in its proportions.
  static Made make(const std::string& spec, std::uint32_t hosts);
  virtual ~EmulatedHosts() = default;

  virtual std::uint32_t count() const = 0;
  /// What enter_network() takes, while this process lives.
  virtual std::string name_space(std::uint32_t host) const = 0;
  virtual std::string address(std::uint32_t host) const = 0;
  /// By which the others reach it: another one behind a NAT.
  virtual std::string outside(std::uint32_t host) const = 0;
  /// Ends the network, and prints to standard error how true it was.
  virtual void stop_and_report() = 0;
};

}  // namespace hawser::churn
