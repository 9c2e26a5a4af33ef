#include "wan/trace.hpp"

namespace hawser::wan {
namespace {

constexpr Duration kStep = milliseconds(20);

}  // namespace

Result<Trace> Trace::make(const std::string& path) {
  std::ofstream file(path);
  file << "ms,host,direction,bytes,waiting_bytes\n";
  if (!file) return Error{.status = Status::system, .sentence = "cannot write " + path};
  return Trace(std::move(file));
}

void Trace::look(Duration since, const Network& network, HostIndex hosts) {
  if (since < next_) return;
  next_ = since / kStep * kStep + kStep;
  passed_.resize(2 * std::size_t{hosts});
  for (HostIndex host = 0; host < hosts; ++host)
    for (const bool down : {false, true}) {
      const Bottleneck& link = down ? network.downlink(host) : network.uplink(host);
      std::uint64_t& before = passed_[2 * host + (down ? 1 : 0)];
      const std::uint64_t bytes = link.sent_bytes() - before;
      before = link.sent_bytes();
      file_ << since / milliseconds(1) << ',' << host << ',' << (down ? "down" : "up") << ',' << bytes << ','
            << link.queued_bytes() << '\n';
    }
}

}  // namespace hawser::wan
