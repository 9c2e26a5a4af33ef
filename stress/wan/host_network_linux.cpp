#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <thread>
#include <vector>

#include "wan/host_addresses.hpp"
#include "wan/host_network.hpp"

namespace hawser::wan {
namespace {

constexpr const char* kDevice = "wan0";
/// Frames that wait for the router while it is not scheduled.
constexpr int kDeviceQueueFrames = 10'000;

Error system_error(const std::string& what) {
  return {.status = Status::system, .sentence = what + ": " + std::strerror(errno)};
}

/// Runs in a thread of its own, because namespaces belong to threads here.
template <class T>
Result<T> in_own_thread(const std::function<Result<T>()>& work) {
  std::optional<Result<T>> result;
  std::thread([&] { result.emplace(work()); }).join();
  return std::move(*result);
}

ifreq request(const char* device) {
  ifreq made{};
  std::strncpy(made.ifr_name, device, IFNAMSIZ - 1);
  return made;
}

sockaddr address(std::uint32_t host_order) {
  sockaddr_in inet{};
  inet.sin_family = AF_INET;
  inet.sin_addr.s_addr = htonl(host_order);
  sockaddr generic{};
  std::memcpy(&generic, &inet, sizeof generic);
  return generic;
}

Result<void> bring_up(const FileDescriptor& control, const char* device) {
  ifreq change = request(device);
  change.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(control.number(), SIOCSIFFLAGS, &change) != 0)
    return system_error(std::string("cannot bring up the device ") + device);
  return {};
}

Result<void> configure(const Spec& spec, std::uint32_t own) {
  const FileDescriptor control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!control) return system_error("cannot open a socket");
  ifreq change = request(kDevice);
  change.ifr_mtu = static_cast<int>(spec.mtu);
  if (::ioctl(control.number(), SIOCSIFMTU, &change) != 0) return system_error("cannot set the MTU");
  change = request(kDevice);
  change.ifr_qlen = kDeviceQueueFrames;
  if (::ioctl(control.number(), SIOCSIFTXQLEN, &change) != 0)
    return system_error("cannot set the device's queue");
  change = request(kDevice);
  change.ifr_addr = address(own);
  if (::ioctl(control.number(), SIOCSIFADDR, &change) != 0)
    return system_error("cannot set the host's address");
  change = request(kDevice);
  // All routes are set below.
  change.ifr_netmask = address(0xffffffff);
  if (::ioctl(control.number(), SIOCSIFNETMASK, &change) != 0) return system_error("cannot set the netmask");
  if (auto up = bring_up(control, "lo"); !up) return up;
  return bring_up(control, kDevice);
}

/// A netlink message that grows by attributes; all in it is aligned to 4 bytes.
class RouteMessage {
 public:
  template <class T>
  void append(const T& header) {
    append_bytes(&header, sizeof header);
  }
  std::size_t begin(std::uint16_t type) {
    const std::size_t at = bytes_.size();
    append(rtattr{.rta_len = 0, .rta_type = type});
    return at;
  }
  void end(std::size_t at) {
    const auto length = static_cast<unsigned short>(bytes_.size() - at);
    std::memcpy(&bytes_[at], &length, sizeof length);
    bytes_.resize((bytes_.size() + 3) & ~std::size_t{3});
  }
  void attribute(std::uint16_t type, const void* data, std::size_t size) {
    const std::size_t at = begin(type);
    append_bytes(data, size);
    end(at);
  }
  std::vector<char>& bytes() { return bytes_; }

 private:
  void append_bytes(const void* data, std::size_t size) {
    const char* const begin = static_cast<const char*>(data);
    bytes_.insert(bytes_.end(), begin, begin + size);
  }
  std::vector<char> bytes_;
};

/// To a range by the device. The congestion control is set here and not by the sysctl, which in a namespace takes only
/// what tcp_allowed_congestion_control has, and that is a setting of the whole machine.
Result<void> add_route(const AddressRange& to, std::uint32_t own, const std::string& congestion_control) {
  const FileDescriptor netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!netlink) return system_error("cannot open a netlink socket");
  RouteMessage message;
  message.append(nlmsghdr{.nlmsg_type = RTM_NEWROUTE,
                          .nlmsg_flags = NLM_F_REQUEST | NLM_F_REPLACE | NLM_F_CREATE | NLM_F_ACK});
  message.append(rtmsg{.rtm_family = AF_INET,
                       .rtm_dst_len = static_cast<unsigned char>(std::popcount(to.mask)),
                       .rtm_table = RT_TABLE_MAIN,
                       .rtm_protocol = RTPROT_KERNEL,
                       .rtm_scope = RT_SCOPE_LINK,
                       .rtm_type = RTN_UNICAST});
  const std::uint32_t network = htonl(to.address), source = htonl(own);
  const unsigned device = ::if_nametoindex(kDevice);
  message.attribute(RTA_DST, &network, sizeof network);
  message.attribute(RTA_PREFSRC, &source, sizeof source);
  message.attribute(RTA_OIF, &device, sizeof device);
  if (!congestion_control.empty()) {
    const std::size_t metrics = message.begin(RTA_METRICS);
    message.attribute(RTAX_CC_ALGO, congestion_control.c_str(), congestion_control.size() + 1);
    message.end(metrics);
  }
  const auto length = static_cast<std::uint32_t>(message.bytes().size());
  std::memcpy(message.bytes().data(), &length, sizeof length);
  if (::send(netlink.number(), message.bytes().data(), length, 0) != static_cast<ssize_t>(length))
    return system_error("cannot ask for a route");
  struct {
    nlmsghdr header;
    nlmsgerr error;
  } answer{};
  if (::recv(netlink.number(), &answer, sizeof answer, 0) <
      static_cast<ssize_t>(sizeof answer.header + sizeof(int)))
    return system_error("no answer to the request for a route");
  errno = -answer.error.error;
  if (errno != 0)
    return system_error(congestion_control.empty() ? "cannot set a route"
                                                   : "cannot set the congestion control " + congestion_control);
  return {};
}

Result<void> set_sysctl(const std::string& name, const std::string& value) {
  std::string path = "/proc/sys/" + name;
  std::replace(path.begin() + 10, path.end(), '.', '/');
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return system_error("cannot set sysctl " + name);
  if (::write(file.number(), value.data(), value.size()) != static_cast<ssize_t>(value.size()))
    return system_error("cannot set sysctl " + name + " to \"" + value + "\"");
  return {};
}

Result<FileDescriptor> open_tun() {
  FileDescriptor tun(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!tun) return system_error("cannot open /dev/net/tun (is the module tun loaded?)");
  ifreq made = request(kDevice);
  made.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  if (::ioctl(tun.number(), TUNSETIFF, &made) != 0) return system_error("cannot make a TUN device");
  // Super-packets of up to 64 KiB: the lab's cost is per packet, and the wire's segments are still counted.
  if (::ioctl(tun.number(), TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) != 0)
    return system_error("the TUN device does not take segmentation offload");
  return tun;
}

Result<HostNetwork> make_here(const Spec& spec, std::uint32_t own, const std::string& congestion_control) {
  if (::unshare(CLONE_NEWNET) != 0) return system_error("cannot make a network namespace (root is needed)");
  HostNetwork network;
  network.name_space = FileDescriptor(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!network.name_space) return system_error("cannot hold the network namespace");
  // Its neighbour discovery would only be noise.
  if (std::ifstream("/proc/sys/net/ipv6/conf/default/disable_ipv6"))
    if (auto set = set_sysctl("net.ipv6.conf.default.disable_ipv6", "1"); !set) return set.error();
  auto tun = open_tun();
  if (!tun) return tun.error();
  network.tun = std::move(*tun);
  if (auto done = configure(spec, own); !done) return done.error();
  for (const auto& [name, value] : spec.sysctls)
    if (auto set = set_sysctl(name, value); !set) return set.error();
  for (const AddressRange& range : {kPublicRange, kCarrierRange, kInsideRange})
    if (auto set = add_route(range, own, congestion_control); !set) return set.error();
  return network;
}

Result<std::uint64_t> read_drops(int name_space) {
  if (::setns(name_space, CLONE_NEWNET) != 0) return system_error("cannot enter a host's network namespace");
  std::ifstream devices("/proc/thread-self/net/dev");
  for (std::string line; std::getline(devices, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name != std::string(kDevice) + ":") continue;
    // Eight numbers of receiving, then bytes, packets, errors and drops of sending.
    std::uint64_t value = 0;
    for (int column = 0; column < 12; ++column) words >> value;
    if (words) return value;
  }
  return Error{.status = Status::system, .sentence = "a host's device tells nothing of its drops"};
}

}  // namespace

Result<HostNetwork> make_host_network(const Spec& spec, std::uint32_t address, const std::string& congestion_control) {
  return in_own_thread<HostNetwork>([&] { return make_here(spec, address, congestion_control); });
}

Result<std::uint64_t> device_drops(const HostNetwork& network) {
  return in_own_thread<std::uint64_t>([&] { return read_drops(network.name_space.number()); });
}

std::vector<std::string> available_congestion_controls() {
  std::ifstream file("/proc/sys/net/ipv4/tcp_available_congestion_control");
  std::vector<std::string> names;
  for (std::string name; file >> name;) names.push_back(name);
  return names;
}

Result<void> check_permissions() {
  return in_own_thread<void>([]() -> Result<void> {
    const auto refuse = [](const Error& why) {
      return Error{.status = Status::refused, .sentence = why.sentence};
    };
    if (::unshare(CLONE_NEWNET) != 0)
      return refuse(system_error("no network namespaces for this user (run hawser-wan as root)"));
    const auto tun = open_tun();
    return tun ? Result<void>() : Result<void>(refuse(tun.error()));
  });
}

}  // namespace hawser::wan
