#include "runtime/shared_state.hpp"

#include <chrono>
#include <new>
#include <utility>

#include "base/tensor_name.hpp"
#include "base/thrown.hpp"
#include "checkpoint/checkpoint_file.hpp"
#include "device/devices.hpp"
#include "runtime/clock.hpp"
#include "runtime/digest_threads.hpp"

namespace hawser {
namespace {

constexpr std::chrono::milliseconds kTransferProgressEvery{200};

void tell(const SyncArguments& arguments, const TransferCall& transfer) {
  const std::uint64_t total = transfer.bytes_missing;
  if (total != 0) arguments.progress({.bytes_done = transfer.bytes_came, .bytes_total = total});
}

/// Finds out where they lie. What has no sense at all is for StateContent::create to refuse.
Result<void> find(std::vector<StateTensor>& tensors, const device::Devices& devices) {
  for (StateTensor& tensor : tensors) {
    const bool has_sense = tensor.count <= limits::kTensorBytesMax / element_bytes(tensor.type);
    const auto on = devices.where(tensor.data, has_sense ? tensor.bytes() : 0);
    if (!on.ok()) return Error{on.status(), "the tensor \"" + tensor.name + "\": " + on.error().sentence};
    tensor.device = *on;
  }
  return {};
}

Error error_of(const Result<void>& result) { return result.ok() ? Error{Status::success, {}} : result.error(); }

}  // namespace

Error SharedState::in_use() {
  return {Status::invalid_usage, "the shared state is in use by another call; wait for that one"};
}

Result<void> SharedState::retire() {
  if (busy_.exchange(true)) return in_use();
  return {};
}

Result<std::unique_ptr<SharedState>> SharedState::create(std::vector<StateTensor> tensors) {
  const auto devices = device::devices();
  if (!devices.ok()) return devices.error();
  if (const auto found = find(tensors, **devices); !found.ok()) return found.error();
  auto on_devices = DeviceTensors::of(tensors, **devices);
  auto content = StateContent::create(std::move(tensors));
  if (!content.ok()) return content.error();
  return std::unique_ptr<SharedState>(new SharedState(std::move(*content), std::move(on_devices)));
}

SharedState::~SharedState() {
  try {
    drive([&] { return session_.withdraw(now()); }, {});
  } catch (...) {
    // The caller's tensors must not be read any more, whatever that costs.
    Communicator::close(*offered_through_);
  }
}

// ---------------------------------------------------------------------------------------------- the steps

void SharedState::drive(const std::function<StateSession::Next()>& begin, const Means& means) {
  try {
    for (auto next = begin(); next != StateSession::Next::over;) next = perform(next, means);
  } catch (...) {
    session_.broke_off(now(), what_was_thrown());
    throw;
  }
}

StateSession::Next SharedState::perform(StateSession::Next step, const Means& means) {
  switch (step) {
    case StateSession::Next::withdraw: {
      const auto withdrawn = take_back();
      return session_.withdrawn(now(), error_of(withdrawn));
    }
    case StateSession::Next::digest: return perform_digest(means);
    case StateSession::Next::collective: return perform_collective(means);
    case StateSession::Next::connect: return perform_connect(means);
    case StateSession::Next::offer: return session_.offer_ended(error_of(let_read(*means.communicator)));
    case StateSession::Next::load: return perform_load(means);
    case StateSession::Next::over: break;
  }
  return StateSession::Next::over;
}

Result<void> SharedState::come_after(std::uintptr_t stream, Communicator* communicator) {
  if (!devices_) return {};
  if (communicator == nullptr)
    return devices_->begin(stream, DeviceTensors::kPatience, [] { return Result<void>(); });
  const auto patience = std::chrono::ceil<std::chrono::milliseconds>(communicator->device_patience());
  if (const auto ready = communicator->devices()->make_ready_for_state(devices_->used()); !ready.ok())
    return ready;
  return devices_->begin(stream, patience, [communicator]() -> Result<void> {
    if (const auto held = communicator->hold(); !held.ok()) return held.error();
    return {};
  });
}

StateSession::Next SharedState::perform_digest(const Means& means) {
  const auto digested =
      digest_stale(session_.content(), means.sync == nullptr ? 0 : means.sync->threads, devices_.get());
  if (digested.ok()) return session_.digested(now());
  // The others shall not wait for a peer whose device is gone.
  if (means.communicator != nullptr) means.communicator->device_failed(digested.error());
  session_.broke_off(now(), thrown_of(digested.error()));
  return StateSession::Next::over;
}

StateSession::Next SharedState::perform_collective(const Means& means) {
  const StateSync::Step& step = session_.step();
  const SyncArguments& arguments = *means.sync;
  Communicator& communicator = *means.communicator;
  CollectiveArguments call{.call = {.signature = step.signature, .send = step.send, .receive = step.receive},
                           .tag = arguments.tag,
                           .compress = step.compress,
                           .epoch = step.epoch,
                           .transfer = step.transfer,
                           .begins_again = false};
  const auto run = [&]() -> Result<SharedInfo> {
    const auto started = communicator.start(call);
    if (!started.ok()) return started.error();
    if (!step.transfer || !arguments.progress) return started->wait();
    try {
      while (true) {
        (void)started->wait(kTransferProgressEvery);
        if (started->test()) return started->wait();
        tell(arguments, *step.transfer);
      }
    } catch (...) {
      // The tensors are the engine's until the end.
      (void)started->wait_for_end();
      throw;
    }
  };
  const auto result = run();
  if (result.ok() && step.transfer && arguments.progress) tell(arguments, *step.transfer);
  const auto known = communicator.info();
  const Error error = result.ok() ? Error{Status::success, {}} : result.error();
  return session_.collective_ended(now(), error, result.ok() ? result->get() : nullptr,
                                   known.ok() ? (*known)->view : View{});
}

StateSession::Next SharedState::perform_connect(const Means& means) {
  const auto& target = session_.prefetch_target();
  const auto& progress = means.prefetch->progress;
  const auto report = [&] {
    if (target->bytes_total != 0) progress({.bytes_done = target->bytes_here, .bytes_total = target->bytes_total});
  };
  const auto connected = means.communicator->connect(target, progress ? report : std::function<void()>());
  if (progress) report();
  return session_.connected(now(), error_of(connected));
}

StateSession::Next SharedState::perform_load(const Means& means) {
  std::vector<CheckpointTarget> targets;
  for (const StateTensor& tensor : session_.content().tensors()) {
    targets.push_back({.name = tensor.name, .type = tensor.type, .count = tensor.count, .data = tensor.data});
    if (tensor.device != kOnHost) targets.back().open = [&tensor, this] { return devices_->write(tensor); };
  }
  return session_.loaded(load_checkpoint(*means.path, targets, &session_.load_touched()));
}

Result<void> SharedState::take_back() {
  const std::lock_guard lock(offered_through_->mutex);
  Communicator* const communicator = offered_through_->communicator;
  // One that is gone reads nothing any more.
  return communicator == nullptr ? Result<void>{} : communicator->withdraw(session_.offered());
}

Result<void> SharedState::let_read(Communicator& communicator) {
  auto slot = communicator.slot();
  if (auto offered = communicator.offer(session_.to_offer()); !offered.ok()) return offered;
  offered_through_ = std::move(slot);
  return {};
}

Result<void> SharedState::done() const {
  if (session_.error().status != Status::success) return session_.error();
  return {};
}

// ----------------------------------------------------------------------------------------- the operations

SyncOutcome SharedState::sync(Communicator& communicator, const SyncArguments& arguments) {
  const Claim claim(busy_);
  if (!claim) return {.error = in_use()};
  const auto hold = communicator.hold();
  if (!hold.ok()) return {.error = hold.error()};
  if (const auto come = come_after(arguments.stream, &communicator); !come.ok()) return {.error = come.error()};
  const auto known = communicator.info();
  if (!known.ok()) return {.error = known.error()};
  SyncSettings settings = arguments.settings;
  settings.copy_on_device = [&](std::int32_t device, const CopyBytes& copy) {
    auto copied = devices_->copy(device, copy);
    if (!copied.ok()) communicator.device_failed(copied.error());
    return copied;
  };
  try {
    drive(
        [&] {
          return session_.synchronise(now(), {.settings = settings,
                                              .only_marked = arguments.only_marked,
                                              .view = (*known)->view,
                                              .self = (*known)->self});
        },
        {.communicator = &communicator, .sync = &arguments});
  } catch (const std::bad_alloc&) {
    // The outcome tells of it, unless there was no memory for that either.
    if (session_.error().status == Status::success) throw;
  }
  return session_.take_sync_outcome();
}

Result<void> SharedState::offer(Communicator& communicator) {
  const Claim claim(busy_);
  if (!claim) return in_use();
  const auto known = communicator.info();
  if (!known.ok()) return known.error();
  drive([&] { return session_.offer(now(), (*known)->self); }, {.communicator = &communicator});
  return done();
}

Result<void> SharedState::withdraw() {
  const Claim claim(busy_);
  if (!claim) return in_use();
  drive([&] { return session_.withdraw(now()); }, {});
  return done();
}

PrefetchOutcome SharedState::connect(Communicator& communicator, const PrefetchArguments& arguments) {
  const Claim claim(busy_);
  if (!claim) return {.error = in_use()};
  if (const auto come = come_after(arguments.stream, &communicator); !come.ok()) return {.error = come.error()};
  drive([&] { return session_.connect(now(), arguments.bound); },
        {.communicator = &communicator, .prefetch = &arguments});
  return session_.take_prefetch_outcome();
}

Result<std::uint64_t> SharedState::revision() const {
  const Claim claim(busy_);
  if (!claim) return in_use();
  return session_.revision();
}

Result<void> SharedState::set_revision(std::uint64_t revision) {
  const Claim claim(busy_);
  if (!claim) return in_use();
  drive([&] { return session_.set_revision(now(), revision); }, {});
  return done();
}

Result<void> SharedState::mark_changed(const std::string& name) {
  const Claim claim(busy_);
  if (!claim) return in_use();
  drive([&] { return session_.mark_changed(now(), name); }, {});
  return done();
}

Result<void> SharedState::mark_all_changed() {
  const Claim claim(busy_);
  if (!claim) return in_use();
  drive([&] { return session_.mark_all_changed(now()); }, {});
  return done();
}

Result<Digest128> SharedState::digest(std::uintptr_t stream) {
  const Claim claim(busy_);
  if (!claim) return in_use();
  if (const auto come = come_after(stream, nullptr); !come.ok()) return come.error();
  drive([&] { return session_.digest(); }, {});
  if (const auto fine = done(); !fine.ok()) return fine.error();
  return session_.digest_outcome();
}

Result<void> SharedState::save(const std::string& path, std::uintptr_t stream) {
  const Claim claim(busy_);
  if (!claim) return in_use();
  if (auto may = session_.check_may_save(); !may.ok()) return may;
  if (auto come = come_after(stream, nullptr); !come.ok()) return come;
  std::vector<CheckpointSource> sources;
  for (const StateTensor& tensor : session_.content().tensors()) {
    sources.push_back({.name = tensor.name, .type = tensor.type, .count = tensor.count, .data = tensor.data});
    if (tensor.device != kOnHost) sources.back().open = [&tensor, this] { return devices_->read(tensor); };
  }
  return save_checkpoint(path, session_.revision(), sources);
}

Result<std::uint64_t> SharedState::load(const std::string& path, std::uintptr_t stream) {
  const Claim claim(busy_);
  if (!claim) return in_use();
  if (const auto come = come_after(stream, nullptr); !come.ok()) return come.error();
  drive([&] { return session_.load(now()); }, {.path = &path});
  if (auto loaded = done(); !loaded.ok()) return loaded.error();
  return session_.revision();
}

}  // namespace hawser
