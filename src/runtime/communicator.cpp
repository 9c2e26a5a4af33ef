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
#include "runtime/stale_epoch.hpp"
#include "transport/same_machine.hpp"

namespace hawser {
namespace {

constexpr auto kLongWaitToldEvery = std::chrono::seconds(10);
constexpr auto kPollEvery = std::chrono::milliseconds(200);

/// No process has more on any machine of today; a count beyond it is a slip.
constexpr std::uint64_t kAddressableBytes = std::uint64_t{1} << 47;

Error usage(std::string sentence) { return {Status::invalid_usage, std::move(sentence)}; }

Result<void> as_result(const CallDone& done) {
  if (done.error.status != Status::success) return done.error;
  return {};
}

/// A buffer of the caller's, in bytes from its start.
struct Extent {
  std::uintptr_t begin = 0;
  std::uint64_t bytes = 0;
  std::uintptr_t end() const { return begin + bytes; }
};

Error refuse(std::string sentence) { return {Status::invalid_argument, std::move(sentence)}; }

Result<Extent> extent(const void* buffer, std::uint64_t count, std::uint64_t element, const char* which) {
  const auto begin = reinterpret_cast<std::uintptr_t>(buffer);
  if (buffer == nullptr) return refuse(std::string("the ") + which + " buffer is null");
  if (begin % element != 0)
    return refuse(std::string("the ") + which + " buffer does not begin at a multiple of the element's size");
  if (begin > std::numeric_limits<std::uintptr_t>::max() - count * element)
    return refuse(std::string("the ") + which + " buffer does not fit into the address space");
  return Extent{begin, count * element};
}

/// The buffers are equal where that means in place, or disjoint.
Result<void> check_buffers(const CollectiveCall& call, const View& view, PeerId self) {
  const Signature& signature = call.signature;
  if (signature.collective == Collective::barrier || signature.collective == Collective::transfer ||
      signature.collective == Collective::optimize)
    return {};
  const std::uint64_t element = element_bytes(signature.type);
  const std::uint64_t world_size = std::max<std::uint32_t>(1, view.size());
  const std::uint32_t rank = view.rank_of(self).value_or(0);
  if (signature.count == 0) return refuse("a collective needs at least one element");
  if (signature.count > kAddressableBytes / element / world_size)
    return refuse(std::to_string(signature.count) + " elements are more than an address space holds");
  const bool gathers = signature.collective == Collective::all_gather;
  const bool scatters = signature.collective == Collective::reduce_scatter;
  const auto receive =
      extent(call.receive, signature.count * (gathers ? world_size : 1), element, "receive");
  if (!receive.ok()) return receive.error();
  if (signature.collective == Collective::broadcast && rank != signature.root) return {};
  const auto send = extent(call.send, signature.count * (scatters ? world_size : 1), element, "send");
  if (!send.ok()) return send.error();
  if (send->end() <= receive->begin || receive->end() <= send->begin) return {};
  const std::uint64_t own = rank * signature.count * element;
  const bool in_place = gathers    ? send->begin == receive->begin + own
                        : scatters ? receive->begin == send->begin + own
                                   : send->begin == receive->begin;
  if (in_place) return {};
  return usage("the send and receive buffers overlap in part; they must be disjoint, or in place" +
               std::string(gathers || scatters ? ": the smaller one at this rank's share of the other"
                                               : ": equal"));
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
                                                        .tcp = config_.tcp,
                                                        .check_same_host = config_.check_same_host,
                                                        .seed = std::random_device{}()},
                                           std::move(listener))) {}

Result<std::unique_ptr<Communicator>> Communicator::create(CommunicatorConfig config) {
  if (config.connections_per_link > limits::kConnectionsPerLinkMax)
    return Error{Status::invalid_argument, "connections per link must be 0 (automatic) to " +
                                               std::to_string(limits::kConnectionsPerLinkMax) + ", not " +
                                               std::to_string(config.connections_per_link)};
  if (const auto known = transport::check_congestion_control(config.tcp.congestion_control); !known.ok())
    return known.error();
  if (std::max(config.tcp.send_buffer_bytes, config.tcp.receive_buffer_bytes) > limits::kSocketBufferBytesMax)
    return Error{Status::invalid_argument,
                 "a socket's buffer of " +
                     std::to_string(std::max(config.tcp.send_buffer_bytes, config.tcp.receive_buffer_bytes)) +
                     " bytes is too large; " + std::to_string(limits::kSocketBufferBytesMax) + " are the most"};
  if (config.port_first > config.port_last)
    return Error{Status::invalid_argument, "the port range " + std::to_string(config.port_first) + " to " +
                                               std::to_string(config.port_last) + " is empty"};
  if (config.port_first == 0 && config.port_last != 0)
    return Error{Status::invalid_argument, "a port range cannot begin at 0; write 0 to 0 for any free port"};
  config.engine.widens_links = config.connections_per_link == 0;
  config.engine.machine = transport::this_machine();
  config.engine.master_host = config.master.host;
  auto io = std::make_unique<asio::io_context>(1);
  auto listener = transport::Listener::open(
      *io, {.host = config.listen_host, .port_first = config.port_first, .port_last = config.port_last});
  if (!listener.ok()) return listener.error();
  std::unique_ptr<Communicator> communicator(
      new Communicator(std::move(config), std::move(*listener), std::move(io)));
  Communicator& self = *communicator;
  self.slot_->communicator = &self;
  self.driver_->start();
  auto thread = start_quiet_thread(
      [&self] { run_io(*self.io_, [&self](const Error& error) { self.driver_->fail(error); }); });
  if (!thread.ok()) return thread.error();
  self.thread_ = std::move(*thread);
  return communicator;
}

Communicator::~Communicator() {
  if (process_ != ::getpid()) {
    slot_->communicator = nullptr;
    // The thread lives in the parent only, and so does what its sockets mean.
    if (thread_.joinable()) thread_.detach();
    (void)driver_.release();
    (void)work_.release();
    (void)io_.release();
    return;
  }
  (void)close();
  {
    std::unique_lock lock(calls_.mutex);
    calls_.ended.wait(lock, [this] { return calls_.active == 0; });
  }
  driver_.reset();
}

Result<void> Communicator::close() {
  if (const auto process = check_process(); !process.ok()) return process;
  // Whoever finds it gone must find nobody who still reads what was offered.
  const std::lock_guard slot_lock(slot_->mutex);
  slot_->communicator = nullptr;
  {
    const std::lock_guard lock(calls_.mutex);
    calls_.closing = true;
  }
  if (!thread_.joinable()) return {};
  asio::post(*io_, [this] { driver_->leave([this] { io_->stop(); }); });
  join_thread();
  return {};
}

void Communicator::join_thread() {
  thread_.join();
  {
    const std::lock_guard lock(late_.mutex);
    late_.thread_ended = true;
  }
  end_late_calls();
}

/// A call that was let in before the end may be posted when nobody serves any more. The driver is over then: it ends them.
void Communicator::end_late_calls() {
  const std::lock_guard lock(late_.mutex);
  if (!late_.thread_ended) return;
  io_->restart();
  io_->poll();
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
  join_thread();
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

Result<std::shared_ptr<const EngineInfo>> Communicator::info() {
  const auto held = hold();
  if (!held.ok()) return held.error();
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

void Communicator::tell_long_wait(const std::string& what, Duration lasted) const {
  write_log(config_.engine.name,
            {driver_->master_is_up() ? LogLevel::info : LogLevel::warning, "long-wait",
             what + " has lasted " + std::to_string(whole_milliseconds(lasted) / 1000) +
                 " s; the master at " + to_string(config_.master) +
                 (driver_->master_is_up() ? " is connected" : " is not connected")});
}

namespace {

/// Waits for the end, and lets `tell` be called every now and then.
template <class Tell>
const CallDone& wait_for_end(Completion& completion, const std::string& what, const Tell& tell) {
  const Instant begun = now();
  while (true) {
    if (const CallDone* const done = completion.wait_for(kLongWaitToldEvery)) return *done;
    tell(what, now() - begun);
  }
}

Result<CollectiveInfo> as_info(const CallDone& done) {
  if (done.error.status != Status::success) return done.error;
  HAWSER_ASSERT(done.info.has_value());
  return *done.info;
}

}  // namespace

Result<CollectiveInfo> AsyncCollective::wait(std::chrono::milliseconds bound) const {
  if (const CallDone* const done = completion_->wait_for(bound)) return as_info(*done);
  return Error{Status::timeout, what_ + " has not ended after another " + std::to_string(bound.count()) +
                                    " ms; it goes on, wait again"};
}

Result<CollectiveInfo> AsyncCollective::wait() const {
  return as_info(wait_for_end(*completion_, what_, tell_));
}

template <class Work>
CallDone Communicator::post_and_wait(const std::string& what, Work work, const std::function<void()>& poll) {
  const auto completion = std::make_shared<Completion>();
  const CallId id{next_call_++};
  asio::post(*io_, [completion, id, work = std::move(work)] { work(id, completion); });
  end_late_calls();
  while (poll && completion->wait_for(kPollEvery) == nullptr) poll();
  return wait_for_end(*completion, what, [this](const std::string& call, Duration lasted) {
    tell_long_wait(call, lasted);
  });
}

Result<void> Communicator::connect(const std::shared_ptr<PrefetchTarget>& prefetch,
                                   const std::function<void()>& poll) {
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
      [this, prefetch](CallId id, const std::shared_ptr<Completion>& completion) {
        driver_->connect(id, prefetch, {}, completion);
      },
      poll);
  return as_result(done);
}

Result<void> Communicator::offer(std::shared_ptr<const StateOffer> offer) {
  if (const auto process = check_process(); !process.ok()) return process;
  std::unique_lock lock(calls_.mutex);
  if (calls_.closing) return Error{Status::closed, "the communicator is being destroyed"};
  if (const auto member = not_a_member(); !member.ok()) return member;
  const Admission admission(*this, [] {});
  lock.unlock();
  return as_result(
      post_and_wait("offer", [this, offer](CallId id, const std::shared_ptr<Completion>& completion) {
        driver_->call(OfferStateCall{.call = id, .offer = offer}, id, completion);
      }));
}

Result<void> Communicator::withdraw(const std::shared_ptr<const StateOffer>& offer) {
  if (const auto process = check_process(); !process.ok()) return process;
  std::unique_lock lock(calls_.mutex);
  if (calls_.closing) return {};
  const Admission admission(*this, [] {});
  lock.unlock();
  return as_result(
      post_and_wait("withdraw", [this, offer](CallId id, const std::shared_ptr<Completion>& completion) {
        driver_->call(OfferStateCall{.call = id, .offer = nullptr, .instead_of = offer}, id, completion);
      }));
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

namespace {

Result<void> check_call(const CollectiveCall& call, const EngineInfo& known) {
  if (const auto fine = check(call.signature.quantization, call.signature.type); !fine.ok()) return fine;
  return check_buffers(call, known.view, known.self);
}

Result<void> check_residual(const Residual& residual, const Signature& signature) {
  if (signature.collective != Collective::all_reduce || !signature.quantization)
    return refuse("a residual is for quantised all-reduces");
  if (signature.op != ReduceOp::sum && signature.op != ReduceOp::avg)
    return refuse(std::string("a residual is for sum and avg, not for ") + to_string(signature.op));
  if (residual.count() != signature.count || residual.type() != signature.type)
    return refuse("the residual is for " + std::to_string(residual.count()) + " " + to_string(residual.type()) +
                  ", not for " + std::to_string(signature.count) + " " + to_string(signature.type));
  return {};
}

}  // namespace

Result<void> Communicator::check(const CollectiveCall& call) {
  const auto held = hold();
  if (!held.ok()) return held.error();
  return check_call(call, *driver_->info());
}

Result<AsyncCollective> Communicator::start(const CollectiveArguments& arguments) {
  const auto held = hold();
  if (!held.ok()) return held.error();
  const Signature& signature = arguments.call.signature;
  const auto known = driver_->info();
  // Before its buffers are looked at with another view's eyes.
  if (arguments.epoch != Epoch{} && known->connected && arguments.epoch != known->view.epoch)
    return stale_epoch(arguments.epoch, known->view.epoch);
  if (const auto fine = check_call(arguments.call, *known); !fine.ok()) return fine.error();
  const std::shared_ptr<Residual>& residual = arguments.residual;
  if (residual)
    if (const auto fine = check_residual(*residual, signature); !fine.ok()) return fine.error();
  const std::lock_guard lock(calls_.mutex);
  if (calls_.closing) return Error{Status::closed, "the communicator is being destroyed"};
  if (calls_.connecting) return usage("connect is under way in another thread");
  if (const auto member = not_a_member(); !member.ok()) return member.error();
  if (calls_.updating)
    return usage("update-topology is under way in another thread; wait for it, then reduce");
  if (!calls_.tags.insert(arguments.tag).second)
    return usage("a collective with tag " + std::to_string(arguments.tag) +
                 " is in flight; wait for it or use another tag");
  if (residual && !residual->claim()) {
    calls_.tags.erase(arguments.tag);
    return usage("the residual is in use by another call; wait for that, or use one for each tensor");
  }
  ++calls_.active;
  AsyncCollective started;
  started.what_ = describe(signature) + " with tag " + std::to_string(arguments.tag);
  started.tell_ = [this](const std::string& what, Duration lasted) { tell_long_wait(what, lasted); };
  started.completion_ =
      std::make_shared<Completion>([this, tag = arguments.tag, residual](const CallDone& done) {
        if (residual) residual->release(done.error.status == Status::success);
        end_call([this, tag] { calls_.tags.erase(tag); });
      });
  CollectiveStart event{.call = CallId{next_call_++},
                        .collective = arguments.call,
                        .tag = arguments.tag,
                        .compress = arguments.compress,
                        .epoch = arguments.epoch,
                        .transfer = arguments.transfer,
                        .probing = arguments.probing};
  if (residual) {
    event.collective.residual = residual->owed();
    event.collective.next_residual = residual->prepared();
  }
  // Ranks and sizes that were checked against one view shall not be used in another.
  const bool by_rank = signature.collective != Collective::all_reduce && signature.collective != Collective::barrier;
  if (by_rank && event.epoch == Epoch{}) event.epoch = known->view.epoch;
  asio::post(*io_, [driver = driver_.get(), event, completion = started.completion_] {
    driver->call(event, event.call, completion);
  });
  end_late_calls();
  return started;
}

Result<std::shared_ptr<void>> Communicator::hold() {
  if (const auto process = check_process(); !process.ok()) return process.error();
  const std::lock_guard lock(calls_.mutex);
  if (calls_.closing) return Error{Status::closed, "the communicator is being destroyed"};
  return std::shared_ptr<void>(std::make_shared<Admission>(*this, [] {}));
}

Result<CollectiveInfo> Communicator::run(const CollectiveArguments& arguments) {
  const auto started = start(arguments);
  if (!started.ok()) return started.error();
  return started->wait();
}

}  // namespace hawser
