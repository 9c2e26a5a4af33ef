#include "runtime/communicator.hpp"

#include <unistd.h>

#include <asio/post.hpp>
#include <cstdint>
#include <future>
#include <limits>
#include <random>

#include "base/limits.hpp"
#include "runtime/clock.hpp"
#include "runtime/io_thread.hpp"
#include "runtime/log.hpp"

namespace hawser {
namespace {

constexpr auto kLongWaitToldEvery = std::chrono::seconds(10);

/// No process has more on any machine of today; a count beyond it is a slip.
constexpr std::uint64_t kAddressableBytes = std::uint64_t{1} << 47;

Error usage(std::string sentence) { return {Status::invalid_usage, std::move(sentence)}; }

Result<void> as_result(const CallDone& done) {
  if (done.error.status != Status::success) return done.error;
  return {};
}

Result<void> check_buffers(const AllReduceArguments& arguments) {
  const auto refuse = [](std::string sentence) {
    return Error{Status::invalid_argument, std::move(sentence)};
  };
  const std::uint64_t element = element_bytes(arguments.type);
  if (arguments.count == 0) return refuse("an all-reduce needs at least one element");
  if (arguments.send == nullptr || arguments.receive == nullptr)
    return refuse("the send or the receive buffer is null");
  if (arguments.count > kAddressableBytes / element)
    return refuse(std::to_string(arguments.count) + " elements are more than an address space holds");
  const auto send = reinterpret_cast<std::uintptr_t>(arguments.send);
  const auto receive = reinterpret_cast<std::uintptr_t>(arguments.receive);
  const std::uint64_t bytes = arguments.count * element;
  if (send % element != 0 || receive % element != 0)
    return refuse("a buffer does not begin at a multiple of the element's size");
  if (send > std::numeric_limits<std::uintptr_t>::max() - bytes ||
      receive > std::numeric_limits<std::uintptr_t>::max() - bytes)
    return refuse("a buffer does not fit into the address space");
  if (send != receive && send < receive + bytes && receive < send + bytes)
    return usage("the send and receive buffers overlap in part; they must be equal or disjoint");
  return {};
}

}  // namespace

/// Keeps a call among those under way while it lasts.
class Communicator::Admission {
 public:
  explicit Admission(Communicator& owner, std::function<void()> undo)
      : owner_(owner), undo_(std::move(undo)) {
    ++owner_.calls_.active;
  }
  ~Admission() { owner_.end_call(undo_); }
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

 private:
  Communicator& owner_;
  std::function<void()> undo_;
};

Communicator::Communicator(CommunicatorConfig config, std::shared_ptr<transport::Listener> listener,
                           std::unique_ptr<asio::io_context> io)
    : config_(std::move(config)),
      listen_address_(listener->address()),
      process_(::getpid()),
      io_(std::move(io)),
      work_(
          std::make_unique<asio::executor_work_guard<asio::io_context::executor_type>>(io_->get_executor())),
      driver_(std::make_unique<PeerDriver>(*io_,
                                           DriverConfig{.engine = config_.engine,
                                                        .master = config_.master,
                                                        .advertise_host = config_.advertise_host,
                                                        .connections_per_link = config_.connections_per_link,
                                                        .seed = std::random_device{}()},
                                           std::move(listener))) {}

Result<std::unique_ptr<Communicator>> Communicator::create(CommunicatorConfig config) {
  if (config.connections_per_link < 1 || config.connections_per_link > limits::kConnectionsPerLinkMax)
    return Error{Status::invalid_argument, "connections per link must be 1 to " +
                                               std::to_string(limits::kConnectionsPerLinkMax) + ", not " +
                                               std::to_string(config.connections_per_link)};
  if (config.port_first > config.port_last)
    return Error{Status::invalid_argument, "the port range " + std::to_string(config.port_first) + " to " +
                                               std::to_string(config.port_last) + " is empty"};
  if (config.port_first == 0 && config.port_last != 0)
    return Error{Status::invalid_argument, "a port range cannot begin at 0; write 0 to 0 for any free port"};
  auto io = std::make_unique<asio::io_context>(1);
  auto listener = transport::Listener::open(
      *io, {.host = config.listen_host, .port_first = config.port_first, .port_last = config.port_last});
  if (!listener.ok()) return listener.error();
  std::unique_ptr<Communicator> communicator(
      new Communicator(std::move(config), std::move(*listener), std::move(io)));
  Communicator& self = *communicator;
  self.driver_->start();
  auto thread = start_quiet_thread(
      [&self] { run_io(*self.io_, [&self](const Error& error) { self.driver_->fail(error); }); });
  if (!thread.ok()) return thread.error();
  self.thread_ = std::move(*thread);
  return communicator;
}

Communicator::~Communicator() {
  if (process_ != ::getpid()) {
    // The thread lives in the parent only, and so does what its sockets mean.
    if (thread_.joinable()) thread_.detach();
    (void)driver_.release();
    (void)work_.release();
    (void)io_.release();
    return;
  }
  {
    const std::lock_guard lock(calls_.mutex);
    calls_.closing = true;
  }
  if (thread_.joinable()) {
    asio::post(*io_, [this] { driver_->leave([this] { io_->stop(); }); });
    thread_.join();
  }
  {
    std::unique_lock lock(calls_.mutex);
    calls_.ended.wait(lock, [this] { return calls_.active == 0; });
  }
  driver_.reset();
}

void Communicator::vanish() {
  {
    const std::lock_guard lock(calls_.mutex);
    calls_.closing = true;
  }
  if (!thread_.joinable()) return;
  asio::post(*io_, [this] {
    driver_->vanish();
    io_->stop();
  });
  thread_.join();
}

void Communicator::shut_down_links() {
  std::promise<void> done;
  asio::post(*io_, [&] {
    driver_->shut_down_links();
    done.set_value();
  });
  done.get_future().wait();
}

void Communicator::freeze(std::chrono::milliseconds duration) {
  asio::post(*io_, [duration] { std::this_thread::sleep_for(duration); });
}

Result<void> Communicator::check_process() const {
  if (process_ == ::getpid()) return {};
  return usage("this communicator was made before the process forked, and lives in the parent only");
}

Result<void> Communicator::not_a_member() const {
  const auto info = driver_->info();
  if (info->connected) return {};
  if (info->lost.status != Status::success) return info->lost;
  return usage("this communicator is not connected; call connect first");
}

Result<std::shared_ptr<const EngineInfo>> Communicator::info() const {
  if (const auto process = check_process(); !process.ok()) return process.error();
  if (const auto member = not_a_member(); !member.ok()) return member.error();
  return driver_->info();
}

int Communicator::calls_under_way() const {
  const std::lock_guard lock(calls_.mutex);
  return calls_.active;
}

void Communicator::end_call(const std::function<void()>& undo) {
  const std::lock_guard lock(calls_.mutex);
  undo();
  if (--calls_.active == 0) calls_.ended.notify_all();
}

CallDone Communicator::wait(Completion& completion, const std::string& what) const {
  const Instant begun = now();
  while (true) {
    if (auto done = completion.wait_for(kLongWaitToldEvery)) return std::move(*done);
    write_log(config_.engine.name,
              {LogLevel::info, "long-wait",
               what + " has lasted " + std::to_string(whole_milliseconds(now() - begun) / 1000) +
                   " s; the master at " + to_string(config_.master) +
                   (driver_->master_is_up() ? " is connected" : " is not connected")});
  }
}

template <class Work>
CallDone Communicator::post_and_wait(const std::string& what, Work work) {
  const auto completion = std::make_shared<Completion>();
  const CallId id{next_call_++};
  asio::post(*io_, [completion, id, work = std::move(work)] { work(id, completion); });
  return wait(*completion, what);
}

Result<void> Communicator::connect() {
  if (const auto process = check_process(); !process.ok()) return process;
  std::unique_lock lock(calls_.mutex);
  if (calls_.closing) return Error{Status::closed, "the communicator is being destroyed"};
  if (calls_.connecting) return usage("connect is under way in another thread");
  if (driver_->info()->connected) return usage("this communicator is connected already");
  calls_.connecting = true;
  const Admission admission(*this, [this] { calls_.connecting = false; });
  lock.unlock();

  const CallDone done = post_and_wait(
      "connect",
      [this](CallId id, const std::shared_ptr<Completion>& completion) { driver_->connect(id, completion); });
  return as_result(done);
}

Result<void> Communicator::update_topology() {
  if (const auto process = check_process(); !process.ok()) return process;
  std::unique_lock lock(calls_.mutex);
  if (calls_.closing) return Error{Status::closed, "the communicator is being destroyed"};
  if (calls_.connecting) return usage("connect is under way in another thread");
  if (const auto member = not_a_member(); !member.ok()) return member;
  if (calls_.updating) return usage("update-topology is under way in another thread");
  if (!calls_.tags.empty())
    return usage(std::to_string(calls_.tags.size()) +
                 " collectives are in flight in other threads; wait for them, then call update-topology");
  calls_.updating = true;
  const Admission admission(*this, [this] { calls_.updating = false; });
  lock.unlock();

  const CallDone done =
      post_and_wait("update-topology", [this](CallId id, const std::shared_ptr<Completion>& completion) {
        driver_->call(UpdateTopologyCall{id}, id, completion);
      });
  return as_result(done);
}

Result<ReduceInfo> Communicator::all_reduce(const AllReduceArguments& arguments) {
  if (const auto buffers = check_buffers(arguments); !buffers.ok()) return buffers.error();
  if (const auto process = check_process(); !process.ok()) return process.error();
  std::unique_lock lock(calls_.mutex);
  if (calls_.closing) return Error{Status::closed, "the communicator is being destroyed"};
  if (calls_.connecting) return usage("connect is under way in another thread");
  if (const auto member = not_a_member(); !member.ok()) return member.error();
  if (calls_.updating)
    return usage("update-topology is under way in another thread; wait for it, then reduce");
  if (!calls_.tags.insert(arguments.tag).second)
    return usage("a collective with tag " + std::to_string(arguments.tag) +
                 " is in flight in another thread; wait for it or use another tag");
  const Admission admission(*this, [this, tag = arguments.tag] { calls_.tags.erase(tag); });
  lock.unlock();

  const Signature signature{.collective = Collective::all_reduce,
                            .type = arguments.type,
                            .op = arguments.op,
                            .plan = arguments.plan,
                            .count = arguments.count};
  CallDone done =
      post_and_wait("all-reduce with tag " + std::to_string(arguments.tag),
                    [this, signature, arguments](CallId id, const std::shared_ptr<Completion>& completion) {
                      driver_->call(AllReduceCall{.call = id,
                                                  .signature = signature,
                                                  .tag = arguments.tag,
                                                  .send = static_cast<const std::byte*>(arguments.send),
                                                  .receive = static_cast<std::byte*>(arguments.receive)},
                                    id, completion);
                    });
  if (done.error.status != Status::success) return done.error;
  HAWSER_ASSERT(done.reduce.has_value());
  return std::move(*done.reduce);
}

}  // namespace hawser
