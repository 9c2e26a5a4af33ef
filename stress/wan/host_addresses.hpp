#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "wan/spec.hpp"

namespace hawser::wan {

/// Who has which address, in host byte order. Host i has 10.77.0.i+1, inside a NAT 192.168.77.i+1, and behind a carrier
/// alone 100.64.0.i+1. A NAT of its own has 10.77.0.i+1, behind a carrier 100.64.0.i+1. The n-th NAT that hosts share
/// has 10.77.1.n+1, behind a carrier 100.64.1.n+1.
struct AddressRange {
  std::uint32_t address = 0;
  std::uint32_t mask = 0;
};
inline constexpr AddressRange kPublicRange{.address = 0x0a4d0000, .mask = 0xffff0000};
inline constexpr AddressRange kCarrierRange{.address = 0x64400000, .mask = 0xffff0000};
inline constexpr AddressRange kInsideRange{.address = 0xc0a84d00, .mask = 0xffffff00};

/// "10.77.0.1".
std::string address_text(std::uint32_t address);

class HostAddresses {
 public:
  explicit HostAddresses(const Spec& spec);

  /// One NAT, of a host or shared.
  struct Box {
    std::uint32_t kind = 0;  ///< In spec.nats.
    std::uint32_t outer = 0;
    std::optional<std::uint32_t> carrier{};  ///< The box before it.
    HostIndex first = 0;                     ///< The first host behind it.
    bool is_shared = false;
  };
  const std::vector<Box>& boxes() const { return boxes_; }

  HostIndex count() const { return static_cast<HostIndex>(inside_.size()); }
  /// Of the host's device.
  std::uint32_t inside(HostIndex host) const { return inside_[host]; }
  /// By which the others know it; of hosts that share a NAT the same.
  std::uint32_t outside(HostIndex host) const;
  /// The box that the host is behind; none: it is public.
  std::optional<std::uint32_t> box_of(HostIndex host) const { return box_[host]; }
  std::optional<HostIndex> host_at(std::uint32_t address) const;
  std::optional<std::uint32_t> box_at(std::uint32_t address) const;
  /// Both are behind one NAT whose inside is a network.
  bool share_a_lan(HostIndex a, HostIndex b) const;

 private:
  std::uint32_t add_box(Box box);
  std::uint32_t find_or_add_shared(const Box& box);

  std::vector<NatSpec> kinds_;
  std::vector<std::uint32_t> inside_;
  std::vector<std::optional<std::uint32_t>> box_;
  std::vector<Box> boxes_;
  std::unordered_map<std::uint32_t, HostIndex> host_at_;
  std::unordered_map<std::uint32_t, std::uint32_t> box_at_;
  std::uint32_t shared_ = 0;
};

}  // namespace hawser::wan
