#include "runtime/shared_state.hpp"

#include <chrono>
#include <new>
#include <utility>

#include "base/tensor_name.hpp"
#include "checkpoint/checkpoint_file.hpp"
#include "runtime/clock.hpp"
#include "runtime/digest_threads.hpp"

namespace hawser {
namespace {

constexpr std::chrono::milliseconds kTransferToldEvery{200};

void tell(const SyncArguments& arguments, const TransferCall& transfer) {
  const std::uint64_t total = transfer.bytes_missing;
  if (total != 0) arguments.progress({.bytes_done = transfer.bytes_came, .bytes_total = total});
}

}  // namespace

Error SharedState::in_use() {
  return {Status::invalid_usage, "the shared state is in use by another call; wait for that one"};
}

Result<void> SharedState::retire() {
  if (busy_.exchange(true)) return in_use();
  return {};
}

Result<std::unique_ptr<SharedState>> SharedState::create(std::vector<StateTensor> tensors) {
  auto content = StateContent::create(std::move(tensors));
  if (!content.ok()) return content.error();
  return std::unique_ptr<SharedState>(new SharedState(std::move(*content)));
}

StateSync::Next SharedState::perform(Communicator& communicator, const SyncArguments& arguments, StateSync& sync) {
  const StateSync::Step& step = sync.step();
  CollectiveArguments call{.call = {.signature = step.signature, .send = step.send, .receive = step.receive},
                           .tag = arguments.tag,
                           .compress = step.compress,
                           .epoch = step.epoch,
                           .transfer = step.transfer};
  const auto run = [&]() -> Result<SharedInfo> {
    const auto started = communicator.start(call);
    if (!started.ok()) return started.error();
    if (!step.transfer || !arguments.progress) return started->wait();
    try {
      while (true) {
        (void)started->wait(kTransferToldEvery);
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
  return sync.ended(now(), error, result.ok() ? result->get() : nullptr, known.ok() ? (*known)->view : View{});
}

SyncOutcome SharedState::sync(Communicator& communicator, const SyncArguments& arguments) {
  const Claim claim(busy_);
  if (!claim) return {.error = in_use()};
  const auto hold = communicator.hold();
  if (!hold.ok()) return {.error = hold.error()};
  const auto known = communicator.info();
  if (!known.ok()) return {.error = known.error()};
  if (auto ended = end_offer(); !ended.ok()) return {.error = ended.error()};
  if (!arguments.only_marked) record_.content->mark_all_changed();
  StateSync sync(record_, arguments.settings);
  try {
    auto next = sync.begin(now(), (*known)->view, (*known)->self);
    while (next != StateSync::Next::over) {
      if (next == StateSync::Next::digest) {
        digest_stale(*record_.content, arguments.threads);
        next = sync.digested(now());
      } else {
        next = perform(communicator, arguments, sync);
      }
    }
  } catch (const std::bad_alloc&) {
    sync.broke_off(what_was_thrown());
  } catch (...) {
    sync.broke_off(what_was_thrown());
    throw;
  }
  return std::move(sync).outcome();
}

Result<std::uint64_t> SharedState::revision() const {
  const Claim claim(busy_);
  if (!claim) return in_use();
  return record_.revision;
}

Result<void> SharedState::set_revision(std::uint64_t revision) {
  const Claim claim(busy_);
  if (!claim) return in_use();
  if (auto ended = end_offer(); !ended.ok()) return ended;
  record_.revision = revision;
  return {};
}

Result<void> SharedState::mark_changed(const std::string& name) {
  const Claim claim(busy_);
  if (!claim) return in_use();
  if (const auto fine = check_tensor_name(name); !fine.ok()) return fine;
  const auto tensor = record_.content->find(name);
  if (!tensor) return Error{Status::invalid_argument, "the shared state has no tensor \"" + name + "\""};
  if (auto ended = end_offer(); !ended.ok()) return ended;
  record_.content->mark_changed(*tensor);
  return {};
}

Result<void> SharedState::mark_all_changed() {
  const Claim claim(busy_);
  if (!claim) return in_use();
  if (auto ended = end_offer(); !ended.ok()) return ended;
  record_.content->mark_all_changed();
  record_.incomplete = false;
  return {};
}

Result<Digest128> SharedState::digest() {
  const Claim claim(busy_);
  if (!claim) return in_use();
  record_.content->mark_all_changed();
  digest_stale(*record_.content, 0);
  record_.content->all_digested();
  return content_digest(record_.content->manifest());
}

Result<void> SharedState::save(const std::string& path) {
  const Claim claim(busy_);
  if (!claim) return in_use();
  if (record_.incomplete)
    return Error{Status::invalid_usage,
                 "the shared state is incomplete: a synchronisation broke off; synchronise first, then save"};
  std::vector<CheckpointSource> sources;
  for (const StateTensor& tensor : record_.content->tensors())
    sources.push_back({.name = tensor.name, .type = tensor.type, .count = tensor.count, .data = tensor.data});
  return save_checkpoint(path, record_.revision, sources);
}

Result<std::uint64_t> SharedState::load(const std::string& path) {
  const Claim claim(busy_);
  if (!claim) return in_use();
  if (auto ended = end_offer(); !ended.ok()) return ended.error();
  std::vector<CheckpointTarget> targets;
  for (const StateTensor& tensor : record_.content->tensors())
    targets.push_back({.name = tensor.name, .type = tensor.type, .count = tensor.count, .data = tensor.data});
  const bool was_incomplete = record_.incomplete;
  bool touched = false;
  const auto note = [&](bool whole) {
    if (touched) record_.content->mark_all_changed();
    record_.incomplete = !whole && (was_incomplete || touched);
  };
  try {
    auto revision = load_checkpoint(path, targets, &touched);
    note(revision.ok());
    if (revision.ok()) record_.revision = *revision;
    return revision;
  } catch (...) {
    note(false);
    throw;
  }
}

}  // namespace hawser
