#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

#include "wan/ip_packet.hpp"
#include "wan/router.hpp"

namespace hawser::wan {
namespace {

/// From one host at a time, so that none starves the others.
constexpr int kFramesPerTurn = 64;
/// Smaller frames are copied out of the buffer of 64 KiB that they were read into.
constexpr std::size_t kSmallFrameBytes = 16 << 10;
/// While there is traffic, hosts are served so often. A turn for each packet would cost more than the
/// packets.
constexpr Duration kTurn = microseconds(100);
constexpr std::size_t kLatenessBuckets = 40;

Instant clock_now() {
  return Instant(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

std::int64_t thread_cpu_ns() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return used.tv_sec * 1'000'000'000 + used.tv_nsec;
}

/// A network does not wait for the programs that use it.
std::string take_priority() {
  ::prctl(PR_SET_TIMERSLACK, 1UL);
  sched_param lowest{.sched_priority = 1};
  if (::sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) == 0) return "";
  return std::strerror(errno);
}

}  // namespace

Router::Router(const Spec& spec, std::span<const HostNetwork> networks, Recordings recordings)
    : spec_(spec), networks_(networks), recordings_(std::move(recordings)), late_us_(kLatenessBuckets) {}

Result<void> Router::open_recordings() {
  if (!recordings_.trace.empty()) {
    auto trace = Trace::make(recordings_.trace);
    if (!trace) return trace.error();
    trace_.emplace(std::move(*trace));
  }
  if (!recordings_.capture.empty()) {
    auto capture = Capture::make(recordings_.capture);
    if (!capture) return capture.error();
    capture_.emplace(std::move(*capture));
  }
  return {};
}

Result<void> Router::start() {
  if (auto opened = open_recordings(); !opened) return opened;
  wake_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_)
    return Error{.status = Status::system, .sentence = std::string("no eventfd: ") + std::strerror(errno)};
  thread_ = std::thread([this] { run(); });
  return {};
}

void Router::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  const std::uint64_t one = 1;
  // Fails only if the counter is full, and then the thread is awake.
  [[maybe_unused]] const auto written = ::write(wake_.number(), &one, sizeof one);
  thread_.join();
}

void Router::run() {
  report_.priority = take_priority();
  const Instant begin = begin_ = clock_now();
  Network network(spec_, begin);
  for (Instant turn = begin; !stopping_;) {
    const std::uint64_t before = frames_moved_;
    for (HostIndex host = 0; host < networks_.size(); ++host) read_host(network, host);
    const Instant now = clock_now();
    for (const Delivery& delivery : network.advance(now)) write(delivery, now);
    if (trace_) trace_->look(now - begin, network, spec_.host_count());
    cpu_ns_.store(thread_cpu_ns(), std::memory_order_relaxed);
    report_.turn_ms_max =
        std::max(report_.turn_ms_max, static_cast<double>((clock_now() - turn).count()) / 1e3);
    if (frames_moved_ != before)
      pause_until(turn + kTurn);
    else
      wait(network);
    turn = clock_now();
  }
  report_.capture_failed = capture_ && !capture_->finish();
  report_.tally = network.tally();
  report_.queue_drops = network.queue_drops();
  report_.wall_s = static_cast<double>((clock_now() - begin).count()) / 1e6;
}

void Router::read_host(Network& network, HostIndex host) {
  for (int i = 0; i < kFramesPerTurn; ++i) {
    if (!spare_) spare_ = std::make_shared_for_overwrite<std::byte[]>(kFrameBytesMax);
    const ssize_t size = ::read(networks_[host].tun.number(), spare_.get(), kFrameBytesMax);
    if (size <= 0) return;
    ++frames_moved_;
    const auto bytes = static_cast<std::size_t>(size);
    if (capture_ && bytes > kOffloadHeaderBytes)
      capture_->add(clock_now() - begin_, {spare_.get() + kOffloadHeaderBytes, bytes - kOffloadHeaderBytes});
    std::shared_ptr<const std::byte[]> frame;
    if (bytes <= kSmallFrameBytes) {
      auto copy = std::make_shared_for_overwrite<std::byte[]>(bytes);
      std::memcpy(copy.get(), spare_.get(), bytes);
      frame = std::move(copy);
    } else {
      frame = std::move(spare_);
      spare_ = nullptr;
    }
    if (auto packet = read_packet(std::move(frame), bytes, host, network.addresses().inside(host)))
      network.enqueue(clock_now(), std::move(*packet));
    else
      ++report_.not_for_us;
  }
}

void Router::write(const Delivery& delivery, Instant now) {
  const Frame frame = write_frame(delivery.parcel);
  // writev takes both without writing to either.
  const std::array<iovec, 2> parts{
      iovec{.iov_base = const_cast<std::byte*>(frame.head.data()), .iov_len = frame.head_bytes},
      iovec{.iov_base = const_cast<std::byte*>(frame.payload.data()), .iov_len = frame.payload.size()}};
  const ssize_t whole = static_cast<ssize_t>(frame.head_bytes + frame.payload.size());
  ++report_.frames;
  ++frames_moved_;
  if (::writev(networks_[delivery.parcel.packet->to].tun.number(), parts.data(), parts.size()) != whole)
    ++report_.refused;
  const auto late = static_cast<std::uint64_t>(std::max<std::int64_t>(0, (now - delivery.due).count()));
  ++late_us_[std::min<std::size_t>(std::bit_width(late), kLatenessBuckets - 1)];
  report_.late_ms_max = std::max(report_.late_ms_max, static_cast<double>(late) / 1e3);
}

// For as long as there is traffic, turns have a fixed length; frames gather in the devices meanwhile.
void Router::pause_until(Instant turn) {
  const Duration left = turn - clock_now();
  if (left <= Duration::zero()) return;
  pollfd wake{.fd = wake_.number(), .events = POLLIN, .revents = 0};
  const timespec limit{.tv_sec = 0, .tv_nsec = static_cast<long>(left.count() * 1000)};
  if (::ppoll(&wake, 1, &limit, nullptr) == 0) note_overslept(turn);
}

void Router::note_overslept(Instant wanted) {
  report_.overslept_ms_max =
      std::max(report_.overslept_ms_max, static_cast<double>((clock_now() - wanted).count()) / 1e3);
}

// Until a host sends or something is due.
void Router::wait(const Network& network) {
  std::vector<pollfd> readable{{.fd = wake_.number(), .events = POLLIN, .revents = 0}};
  for (const HostNetwork& host : networks_)
    readable.push_back({.fd = host.tun.number(), .events = POLLIN, .revents = 0});
  timespec limit{};
  const auto deadline = network.next_deadline();
  if (deadline) {
    const Duration left = std::max(*deadline - clock_now(), Duration::zero());
    limit = {.tv_sec = static_cast<time_t>(left / seconds(1)),
             .tv_nsec = static_cast<long>((left % seconds(1)).count() * 1000)};
  }
  // An error is a signal's or a shortage of memory; the next turn waits again.
  if (::ppoll(readable.data(), readable.size(), deadline ? &limit : nullptr, nullptr) == 0 && deadline)
    note_overslept(*deadline);
}

RouterReport Router::report() const {
  RouterReport report = report_;
  report.cpu_s = cpu_s();
  std::uint64_t total = 0, below = 0;
  for (const std::uint64_t frames : late_us_) total += frames;
  for (std::size_t bucket = 0; bucket < late_us_.size() && below * 100 < total * 99; ++bucket) {
    below += late_us_[bucket];
    report.late_ms_p99 = static_cast<double>((std::uint64_t{1} << bucket) - 1) / 1e3;
  }
  report.late_ms_p99 = std::min(report.late_ms_p99, report.late_ms_max);
  return report;
}

}  // namespace hawser::wan
