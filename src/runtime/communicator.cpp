#include "runtime/communicator.hpp"

#include <unistd.h>

#include <asio/post.hpp>
#include <cstdint>
#include <future>
#include <random>
#include <utility>

#include "base/limits.hpp"
#include "runtime/clock.hpp"
#include "runtime/lanes.hpp"
#include "engine/call_check.hpp"
#include "runtime/contribution.hpp"
#include "transport/quiet_thread.hpp"
#include "transport/same_machine.hpp"
#include "transport/thread_name.hpp"

namespace hawser {
namespace {

constexpr auto kPollEvery = std::chrono::milliseconds(200);

Error usage(std::string sentence) { return {Status::invalid_usage, std::move(sentence)}; }
/// Of a device's memory so much is on the host at a time, to be signed for.
constexpr std::size_t kSignedPieceBytes = 4 << 20;

Error closing() { return {Status::closed, "the communicator is being destroyed"}; }

}  // namespace

/// A call under way: the communicator's end waits for it. Gives back what it has claimed when it goes, however that
/// comes about.
class Communicator::UnderWay final : public CallClaim {
 public:
  explicit UnderWay(Communicator& owner) : owner_(owner) {}
  ~UnderWay() override {
    ended(false);
    const std::lock_guard lock(owner_.calls_.mutex);
    if (tag_) owner_.calls_.tags.erase(*tag_);
    if (has_begun_ && --owner_.calls_.active == 0) owner_.calls_.ended.notify_all();
  }
  UnderWay(const UnderWay&) = delete;
  UnderWay& operator=(const UnderWay&) = delete;

  void ended(bool success) noexcept override {
    device_hold_.reset();
    if (const auto residual = std::exchange(residual_, nullptr)) residual->release(success);
  }

  // With the mutex of the calls, which must be free again before this goes.
  void begin() {
    ++owner_.calls_.active;
    has_begun_ = true;
  }
  void claim_tag(std::uint64_t tag) {
    owner_.calls_.tags.insert(tag);
    tag_ = tag;
  }
  /// False if another call has it.
  bool claim(const std::shared_ptr<Residual>& residual) {
    if (!residual->claim()) return false;
    residual_ = residual;
    return true;
  }
  /// What it has of devices.
  void keep(std::shared_ptr<const void> device_hold) { device_hold_ = std::move(device_hold); }

 private:
  Communicator& owner_;
  bool has_begun_ = false;
  std::optional<std::uint64_t> tag_;
  std::shared_ptr<Residual> residual_;
  std::shared_ptr<const void> device_hold_;
};

Communicator::Communicator(CommunicatorConfig config, RunAccess access, std::shared_ptr<transport::Listener> listener,
                           std::shared_ptr<DeviceCopies> devices, asio::io_context& io)
    : config_(std::move(config)),
      listen_address_(listener->address()),
      process_(::getpid()),
      work_(
          std::make_unique<asio::executor_work_guard<asio::io_context::executor_type>>(io.get_executor())),
      devices_(std::move(devices)),
      driver_(std::make_unique<PeerDriver>(io,
                                           DriverConfig{.engine = config_.engine,
                                                        .master = config_.master,
                                                        .other_masters = config_.other_masters,
                                                        .advertise_host = config_.advertise_host,
                                                        .advertise_port = config_.advertise_port,
                                                        .connections_per_link = config_.connections_per_link,
                                                        .tcp = config_.tcp,
                                                        .check_same_host = config_.check_same_host,
                                                        .access = std::move(access),
                                                        .tls_same_host = config_.tls_same_host,
                                                        .devices = devices_,
                                                        .lanes = config_.lanes.value_or(
                                                            lanes_for(std::thread::hardware_concurrency())),
                                                        .seed = std::random_device{}()},
                                           std::move(listener))),
      lost_(std::make_shared<const CallDone>(CallDone{
          .call = {},
          .error = {Status::system,
                    "the call could not begin: memory is short, or this is a bug; the next call says which"},
          .info = {}})) {}

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
  config.engine.masters = 1 + config.other_masters.size();
  const auto devices = device::devices();
  if (!devices.ok()) return devices.error();
  std::shared_ptr<DeviceCopies> copies;
  if ((*devices)->name() != std::string_view("none"))
    copies = std::make_shared<DeviceCopies>(**devices, config.engine.stall);
  if (copies) config.engine.device_pool = copies->pool();
  auto access = open_access(config.access);
  if (!access.ok()) return access.error();
  if (config.attest && !access->tls)
    return Error{Status::invalid_argument,
                 "attest signs with this peer's key, and it has none: give a secret_file"};
  auto io = std::make_unique<asio::io_context>(1);
  auto listener = transport::Listener::open(*io, {.host = config.listen_host,
                                                  .port_first = config.port_first,
                                                  .port_last = config.port_last,
                                                  .this_machine_only = !access->beyond_this_machine(),
                                                  .shares_port = true});
  if (!listener.ok()) return listener.error();
  std::unique_ptr<Communicator> communicator(
      new Communicator(std::move(config), std::move(*access), std::move(*listener), std::move(copies), *io));
  Communicator& self = *communicator;
  self.io_ = std::move(io);
  self.slot_->communicator = &self;
  if (auto started = self.driver_->start(); !started.ok()) return started.error();
  self.turns_ = std::make_shared<IoTurns>(
      IoTurns::Setup{.io = *self.io_,
                     .failed = [driver = self.driver_.get()](const Thrown& thrown) { driver->fail(thrown); },
                     .busy = [driver = self.driver_.get()] { return driver->has_calls(); }});
  auto thread = transport::start_quiet_thread([turns = self.turns_] {
    transport::name_this_thread("hawser-io");
    turns->run_own_thread();
  });
  if (!thread.ok()) return thread.error();
  self.thread_ = std::move(*thread);
  return communicator;
}

Communicator::~Communicator() {
  if (process_ != ::getpid()) {
    slot_->communicator = nullptr;
    // The thread lives in the parent only, and so does what its sockets mean.
    if (thread_.joinable()) thread_.detach();
    driver_->leave_behind();
    (void)driver_.release();
    (void)work_.release();
    (void)io_.release();
    if (turns_) turns_->leak(turns_);
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
  close_slot();
  return {};
}

void Communicator::close(CommunicatorSlot& slot) noexcept {
  const std::lock_guard lock(slot.mutex);
  if (slot.communicator != nullptr) slot.communicator->close_slot();
}

/// With the slot's mutex.
void Communicator::close_slot() noexcept {
  slot_->communicator = nullptr;
  {
    const std::lock_guard lock(calls_.mutex);
    calls_.closing = true;
  }
  stop_thread([this] { driver_->leave([this] { io_->stop(); }); });
}

/// `last` is what the thread does last; it stops the io_context.
template <class Last>
void Communicator::stop_thread(const Last& last) noexcept {
  if (!thread_.joinable()) return;
  try {
    turns_->dispatch({}, last);
  } catch (...) {
    // Without memory for a last wish: it stops where it is, and what it leaves is put in order here.
    io_->stop();
  }
  thread_.join();
  driver_->vanish();
  {
    const std::lock_guard lock(late_.mutex);
    late_.thread_ended = true;
  }
  end_late_calls();
}

/// A call that was let in before the end may be posted when nobody serves any more. The driver is over then, and
/// ends it.
void Communicator::end_late_calls() noexcept {
  const std::lock_guard lock(late_.mutex);
  if (!late_.thread_ended) return;
  while (true) {
    try {
      io_->restart();
      io_->poll();
      return;
    } catch (...) {
      driver_->fail(what_was_thrown());
    }
  }
}

void Communicator::vanish() {
  {
    const std::lock_guard lock(calls_.mutex);
    calls_.closing = true;
  }
  stop_thread([this] {
    driver_->vanish();
    io_->stop();
  });
}

void Communicator::interrupt_after(std::uint64_t payload_bytes, std::function<void()> what) {
  std::promise<void> done;
  turns_->dispatch({}, [&] {
    driver_->interrupt_after(payload_bytes, std::move(what));
    done.set_value();
  });
  done.get_future().wait();
}

void Communicator::shut_down_links() {
  std::promise<void> done;
  turns_->dispatch({}, [&] {
    driver_->shut_down_links();
    done.set_value();
  });
  done.get_future().wait();
}

void Communicator::freeze(std::chrono::milliseconds duration) {
  turns_->dispatch({}, [duration] { std::this_thread::sleep_for(duration); });
}

Result<void> Communicator::check_process() const {
  if (process_ == ::getpid()) return {};
  return usage("this communicator was made before the process forked, and lives in the parent only");
}

Result<std::shared_ptr<const EngineInfo>> Communicator::info() {
  const auto held = hold();
  if (!held.ok()) return held.error();
  auto known = driver_->info();
  if (!known->connected) return known->not_a_member;
  return known;
}

int Communicator::calls_under_way() const {
  const std::lock_guard lock(calls_.mutex);
  return calls_.active;
}

namespace {

/// Waits for the end, and has the log told every now and then.
const CallDone& wait_for_end(IoTurns& turns, Completion& completion, const std::string& what, const WaitLog& log,
                             IoTurn turn = {}) {
  const Instant begun = now();
  const CallDone* done = turns.wait_for(completion, kLongWaitLogEvery, std::move(turn));
  for (; done == nullptr; done = turns.wait_for(completion, kLongWaitLogEvery)) log.tell(what, now() - begun);
  return *done;
}

}  // namespace

Result<SharedInfo> AsyncCollective::as_info(const CallDone& done) const {
  if (done.error.status != Status::success) return done.error;
  HAWSER_ASSERT(done.info.has_value());
  return SharedInfo(completion_, &*done.info);
}

Result<SharedInfo> AsyncCollective::wait(std::chrono::milliseconds bound) const {
  if (const CallDone* const done = turns_->wait_for(*completion_, bound)) {
    if (devices_) devices_->trim();
    return as_info(*done);
  }
  return Error{Status::timeout, what_ + " has not ended after another " + std::to_string(bound.count()) +
                                    " ms; it goes on, wait again"};
}

const CallDone& AsyncCollective::wait_for_end() const noexcept {
  const CallDone& done = hawser::wait_for_end(*turns_, *completion_, what_, *log_);
  if (devices_) devices_->trim();
  return done;
}

Result<void> AsyncCollective::stream_wait(std::uintptr_t stream) const {
  if (device_ == kOnHost)
    return Error{Status::invalid_argument,
                 "no buffer of " + what_ + " lies on a device, so no stream can wait for it; wait with the host"};
  const auto devices = device::devices();
  if (!devices.ok()) return devices.error();
  auto gate = (*devices)->make_gate();
  if (!gate.ok()) return gate.error();
  // A gate that is lost opens.
  if (const auto waits = (*devices)->wait_on(device_, stream, *gate); !waits.ok()) return waits;
  completion_->open_when_done(std::move(*gate));
  return {};
}

void AsyncCollective::cancel() const {
  if (cancelled_) *cancelled_ = true;
  const std::lock_guard lock(slot_->mutex);
  if (slot_->communicator != nullptr) slot_->communicator->cancel(call_);
}

Result<SharedInfo> AsyncCollective::wait() const { return as_info(wait_for_end()); }

template <class Work>
std::shared_ptr<Completion> Communicator::post(Work work) {
  auto completion = std::make_shared<Completion>();
  const CallId id{next_call_++};
  turns_->dispatch({}, [id, work = std::move(work), answer = OwedAnswer(completion, lost_)]() mutable {
    work(id, std::move(answer));
  });
  end_late_calls();
  return completion;
}

template <class Work>
Result<void> Communicator::post_and_wait(const char* what, Work work, const std::function<void()>& poll) {
  const std::string name = what;
  const auto completion = post(std::move(work));
  try {
    while (poll && completion->wait_for(kPollEvery) == nullptr) poll();
  } catch (...) {
    // What the call works on is the caller's again at its end only.
    (void)wait_for_end(*turns_, *completion, name, *driver_->wait_log());
    throw;
  }
  const CallDone& done = wait_for_end(*turns_, *completion, name, *driver_->wait_log());
  if (done.error.status != Status::success) return done.error;
  return {};
}

Result<void> Communicator::connect(const std::shared_ptr<PrefetchTarget>& prefetch,
                                   const std::function<void()>& poll) {
  const auto held = hold();
  if (!held.ok()) return held.error();
  return post_and_wait(
      "connect",
      [this, prefetch](CallId id, OwedAnswer answer) { driver_->connect(id, prefetch, std::move(answer)); }, poll);
}

Result<void> Communicator::set_term(const std::string& name, const std::optional<std::string>& value) {
  const auto held = hold();
  if (!held.ok()) return held.error();
  return post_and_wait("set-term", [this, name, value](CallId id, OwedAnswer answer) {
    driver_->call(SetTermCall{.call = id, .name = name, .value = value}, id, std::move(answer));
  });
}

Result<MembershipMet> Communicator::wait(const MembershipWish& wish, std::optional<std::chrono::milliseconds> bound) {
  const auto held = hold();
  if (!held.ok()) return held.error();
  const auto completion = post([this, wish, bound](CallId id, OwedAnswer answer) {
    driver_->call(WaitCall{.call = id, .wish = wish, .bound = bound}, id, std::move(answer));
  });
  const CallDone& done = completion->wait();
  if (done.error.status != Status::success) return done.error;
  return done.met;
}

Result<void> Communicator::offer(std::shared_ptr<const StateOffer> offer) {
  const auto held = hold();
  if (!held.ok()) return held.error();
  return post_and_wait("offer", [this, offer](CallId id, OwedAnswer answer) {
    driver_->call(OfferStateCall{.call = id, .offer = offer}, id, std::move(answer));
  });
}

Result<void> Communicator::withdraw(const std::shared_ptr<const StateOffer>& offer) {
  const auto held = hold();
  // Nobody reads it any more.
  if (held.status() == Status::closed) return {};
  if (!held.ok()) return held.error();
  return post_and_wait("withdraw", [this, offer](CallId id, OwedAnswer answer) {
    driver_->call(OfferStateCall{.call = id, .offer = nullptr, .instead_of = offer}, id, std::move(answer));
  });
}

Result<void> Communicator::update_topology() {
  const auto held = hold();
  if (!held.ok()) return held.error();
  return post_and_wait("update-topology", [this](CallId id, OwedAnswer answer) {
    driver_->call(UpdateTopologyCall{id}, id, std::move(answer));
  });
}

Result<void> Communicator::check(const CollectiveCall& call) {
  const auto held = hold();
  if (!held.ok()) return held.error();
  const auto known = driver_->info();
  return check_arguments({.call = {}, .collective = call}, known->view, known->self);
}

Result<void> Communicator::copy(const std::vector<StreamCopy>& copies) {
  const auto held = hold();
  if (!held.ok()) return held.error();
  auto copied = devices_->copy(copies);
  // What the others have got is not here: this peer is of no use any more.
  if (copied.status() == Status::system) driver_->device_failed(copied.error());
  return copied;
}

Result<AsyncCollective> Communicator::start(const CollectiveArguments& arguments) { return begin(arguments, nullptr); }

Result<AsyncCollective> Communicator::start(const MessageArguments& arguments) {
  if (const auto process = check_process(); !process.ok()) return process.error();
  const std::byte* const memory = arguments.receives ? arguments.into.data() : arguments.data.data();
  const std::size_t bytes = arguments.receives ? arguments.into.size() : arguments.data.size();
  if (bytes > 0 && memory == nullptr) return Error{Status::invalid_argument, "the buffer of the message is null"};
  if (bytes > 0 && has_devices()) {
    const auto on = device::devices().value()->where(memory, bytes);
    if (!on.ok()) return Error{on.status(), "the buffer of the message: " + on.error().sentence};
    if (*on != kOnHost)
      return Error{Status::invalid_argument,
                   "the buffer of the message lies on a device, and messages go between buffers of the host: copy it"};
  }
  MessageCall event{.call = CallId{next_call_++},
                    .receives = arguments.receives,
                    .any = arguments.any,
                    .peer = arguments.peer,
                    .rank = arguments.rank,
                    .epoch = arguments.epoch,
                    .tag = arguments.tag,
                    .data = arguments.data,
                    .into = arguments.into,
                    .bound = arguments.bound};
  AsyncCollective started = begun(event.call, std::string(arguments.receives ? "receive" : "send") + " of " +
                                  std::to_string(bytes) + " bytes with tag " + std::to_string(arguments.tag));
  auto call = std::make_unique<UnderWay>(*this);
  if (const auto in = let_in(*call); !in.ok()) return in.error();
  started.completion_ = std::make_shared<Completion>(std::move(call));
  OwedAnswer answer(started.completion_, lost_);
  turns_->dispatch({}, [driver = driver_.get(), event, answer = std::move(answer)]() mutable {
    driver->call(event, event.call, std::move(answer));
  });
  end_late_calls();
  return started;
}

Result<AsyncCollective> Communicator::begin(const CollectiveArguments& arguments, IoTurn* turn) {
  const auto held = hold();
  if (!held.ok()) return held.error();
  const Signature& signature = arguments.call.signature;
  const auto known = driver_->info();
  CollectiveStart event{.call = CallId{next_call_++},
                        .collective = arguments.call,
                        .tag = arguments.tag,
                        .compress = arguments.compress,
                        .epoch = arguments.epoch,
                        .transfer = arguments.transfer,
                        .probing = arguments.probing,
                        .residual = arguments.residual,
                        .begins_again = arguments.begins_again,
                        .bound = arguments.bound};
  AsyncCollective started = begun(event.call, describe(signature) + " with tag " + std::to_string(arguments.tag));
  auto call = std::make_unique<UnderWay>(*this);
  if (const auto free = claim(*call, event, *known); !free.ok()) return free.error();
  if (config_.attest) {
    auto given = contribution_to(event.collective, *known, arguments.stream);
    if (!given.ok()) return given.error();
    event.given = std::move(*given);
  }
  device::StreamWaits::Events first;
  if (devices_) {
    const auto [send_bytes, receive_bytes] = buffer_bytes(event.collective, known->view, known->self);
    auto found = devices_->prepare(event.collective, send_bytes, receive_bytes, arguments.stream);
    if (!found.ok()) return found.error();
    first = std::move(found->first);
    call->keep(std::move(found->hold));
    const DeviceBuffers& buffers = event.collective.device;
    started.device_ = buffers.receive != kOnHost ? buffers.receive : buffers.send;
    if (buffers.any()) started.devices_ = devices_;
    if (event.residual)
      if (const auto placed = devices_->place(*event.residual, event.collective); !placed.ok()) return placed.error();
  }
  started.completion_ = std::make_shared<Completion>(std::move(call));
  OwedAnswer answer(started.completion_, lost_);
  // Ranks and sizes that were checked against one view shall not be used in another.
  const bool by_rank = signature.collective != Collective::all_reduce && signature.collective != Collective::barrier;
  if (by_rank && event.epoch == Epoch{}) event.epoch = known->view.epoch;
  if (!first.empty()) {
    const auto have_come = device::StreamWaits::have_come(first);
    if (!have_come.ok()) return have_come.error();
    if (!*have_come) {
      started.cancelled_ = std::make_shared<std::atomic<bool>>(false);
      if (const auto waits = begin_after(std::move(first), {std::move(event), std::move(answer), started.cancelled_});
          !waits.ok())
        return waits.error();
      end_late_calls();
      return started;
    }
  }
  // Whatever throws up to here, or loses the call later: who owes the answer gives it.
  const IoTurn none;
  if (turn != nullptr) *turn = turns_->take();
  turns_->dispatch(turn != nullptr ? *turn : none,
                   [driver = driver_.get(), event = std::move(event), answer = std::move(answer)]() mutable {
                     driver->call(event, event.call, std::move(answer));
                   });
  end_late_calls();
  return started;
}

void Communicator::cancel(CallId call) {
  if (!check_process().ok()) return;
  turns_->dispatch({}, [driver = driver_.get(), call] { driver->cancel(call); });
}

/// What this member is going to give, if anything is to be signed for. Shared states have digests of their own.
Result<std::optional<Contribution>> Communicator::contribution_to(const CollectiveCall& call, const EngineInfo& known,
                                                                  std::uintptr_t stream) {
  const BufferBytes buffers = buffer_bytes(call, known.view, known.self);
  const std::size_t bytes = buffers.send;
  if (buffers.receive == 0 || call.signature.purpose != Purpose::application) return std::optional<Contribution>();
  ContributionReader reader(call.signature.type);
  // Of a broadcast all but the root give nothing, and say so.
  if (bytes == 0) return std::optional(reader.finish());
  int device = kOnHost;
  if (devices_) {
    const auto on = device::devices().value()->where(call.send, bytes);
    if (!on.ok()) return Error{on.status(), "the send buffer: " + on.error().sentence};
    device = *on;
  }
  if (device == kOnHost) {
    reader.add({call.send, bytes});
    return std::optional(reader.finish());
  }
  std::vector<std::byte> piece(std::min(bytes, kSignedPieceBytes));
  for (std::size_t done = 0; done < bytes;) {
    const std::size_t next = std::min(piece.size(), bytes - done);
    if (const auto copied = copy({{.bytes = {.from = call.send + done, .to = piece.data(), .bytes = next},
                                   .stream = stream}});
        !copied.ok())
      return copied.error();
    reader.add(std::span(piece).first(next));
    done += next;
  }
  return std::optional(reader.finish());
}

/// Begins it once the caller's streams have done what is on them now. Until then this member counts as one that has not
/// called: what these streams do is the caller's business, and may take long.
Result<void> Communicator::begin_after(device::StreamWaits::Events first, Later call) {
  const auto later = std::make_shared<Later>(std::move(call));
  return devices_->wait_for(std::move(first), [turns = turns_, driver = driver_.get(),
                                               later](const Result<void>& come) {
    try {
      if (!come.ok()) return later->answer.give(CallDone{later->event.call, come.error(), {}});
      turns->dispatch({}, [driver, later] {
        if (*later->cancelled) {
          later->event.bound = Duration::zero();
          later->event.cancelled = true;
        }
        driver->call(later->event, later->event.call, std::move(later->answer));
      });
    } catch (...) {
      // Without memory the answer is the one that is given when nobody gives any.
    }
  });
}

/// Lets a collective in. The engine judges it when it comes to it. By the same rules its caller learns at once of what
/// is known already.
Result<void> Communicator::claim(UnderWay& call, const CollectiveStart& start, const EngineInfo& known) {
  const Error not_a_member = known.connected ? Error{Status::success, {}} : known.not_a_member;
  const std::lock_guard lock(calls_.mutex);
  if (calls_.closing) return closing();
  if (auto fine = check_call(start, {.not_a_member = not_a_member,
                                     .view = known.view,
                                     .calls_since = known.calls_since,
                                     .self = known.self,
                                     .updating = known.updating,
                                     .in_flight = calls_.tags.size(),
                                     .tag_in_flight = calls_.tags.contains(start.tag),
                                     .links = config_.engine.links});
      !fine.ok())
    return fine;
  if (start.residual && !call.claim(start.residual))
    return usage("the residual is in use by another call; wait for that, or use one for each tensor");
  call.claim_tag(start.tag);
  call.begin();
  return {};
}

Result<std::shared_ptr<void>> Communicator::hold() {
  if (const auto process = check_process(); !process.ok()) return process.error();
  auto call = std::make_shared<UnderWay>(*this);
  if (const auto in = let_in(*call); !in.ok()) return in.error();
  return std::shared_ptr<void>(std::move(call));
}

Result<void> Communicator::let_in(UnderWay& call) {
  const std::lock_guard lock(calls_.mutex);
  if (calls_.closing) return closing();
  call.begin();
  return {};
}

AsyncCollective Communicator::begun(CallId id, std::string what) const {
  AsyncCollective call;
  call.call_ = id;
  call.slot_ = slot_;
  call.turns_ = turns_;
  call.what_ = std::move(what);
  call.log_ = driver_->wait_log();
  return call;
}

Result<SharedInfo> Communicator::run(const CollectiveArguments& arguments) {
  IoTurn turn;
  const auto started = begin(arguments, &turn);
  if (!started.ok()) return started.error();
  const CallDone& done =
      wait_for_end(*turns_, *started->completion_, started->what_, *started->log_, std::move(turn));
  if (started->devices_) devices_->trim();
  return started->as_info(done);
}

}  // namespace hawser
