#include <cstring>
#include <optional>
#include <vector>

#include "base/tensor_name.hpp"
#include "boundary.hpp"
#include "handles.hpp"
#include "hawser_shared_state.h"
#include "runtime/shared_state.hpp"

namespace capi = hawser::capi;

namespace {

using hawser::Result;

/// More than any machine has cores: a slip.
constexpr std::uint32_t kThreadsMax = 4096;

enum class Memory { by_address = hawserMemoryByAddress };

Result<hawser::StateTensor> tensor_of(const hawserStateTensor_t& from) {
  if (from.name == nullptr) return capi::invalid_argument("its name is null");
  std::string name = from.name;
  if (const auto fine = hawser::check_tensor_name(name); !fine.ok()) return fine.error();
  const auto refuse = [&](const std::string& why) {
    return capi::invalid_argument("the tensor \"" + name + "\": " + why);
  };
  const auto type = capi::enumerator(capi::number_in(from.type), hawser::kDataTypes.back(), "a data type");
  if (!type.ok()) return refuse(type.error().sentence);
  const auto memory = capi::enumerator(capi::number_in(from.memory), Memory::by_address, "a kind of memory");
  if (!memory.ok()) return refuse(memory.error().sentence);
  if (from.allow_content_inequality > 1) return refuse("allow_content_inequality is 0 or 1");
  return hawser::StateTensor{.name = std::move(name),
                             .type = *type,
                             .count = from.count,
                             .data = static_cast<std::byte*>(from.data),
                             .allow_content_inequality = from.allow_content_inequality != 0};
}

Result<std::vector<hawser::StateTensor>> tensors_of(const hawserStateTensor_t* tensors, std::uint64_t count) {
  if (tensors == nullptr && count > 0) return capi::invalid_argument("the list of tensors is null");
  if (count > hawser::limits::kTensorsMax)
    return capi::invalid_argument("a shared state has at most " + std::to_string(hawser::limits::kTensorsMax) +
                                  " tensors, not " + std::to_string(count));
  std::vector<hawser::StateTensor> ours;
  for (std::uint64_t i = 0; i < count; ++i) {
    auto tensor = tensor_of(tensors[i]);
    if (!tensor.ok()) return capi::invalid_argument("tensor " + std::to_string(i) + ": " + tensor.error().sentence);
    ours.push_back(std::move(*tensor));
  }
  return ours;
}

Result<hawser::SyncArguments> sync_arguments_of(const hawserSyncOptions_t* callers) {
  const hawserSyncOptions_t defaults = HAWSER_SYNC_OPTIONS_INIT;
  const auto options = capi::read_struct(callers != nullptr ? *callers : defaults, "hawserSyncOptions_t");
  if (!options.ok()) return options.error();
  const auto strategy =
      capi::enumerator(capi::number_in(options->strategy), hawser::SyncStrategy::receive_only, "a sync strategy");
  if (!strategy.ok()) return strategy.error();
  if (options->compress > 1) return capi::invalid_argument("compress is 0 or 1");
  if (options->only_marked > 1) return capi::invalid_argument("only_marked is 0 or 1");
  if (options->keep_old_bytes > 1) return capi::invalid_argument("keep_old_bytes is 0 or 1");
  if (options->threads > kThreadsMax)
    return capi::invalid_argument("threads are 0 (one for each core) to " + std::to_string(kThreadsMax) + ", not " +
                                  std::to_string(options->threads));
  hawser::SyncArguments arguments;
  arguments.settings = {.strategy = *strategy,
                        .compress = options->compress != 0,
                        .keep_old_bytes = options->keep_old_bytes != 0};
  arguments.tag = options->tag;
  arguments.only_marked = options->only_marked != 0;
  arguments.threads = options->threads;
  arguments.stream = reinterpret_cast<std::uintptr_t>(options->stream);
  if (options->progress != nullptr)
    arguments.progress = [call = options->progress, user = options->user](const hawser::SyncProgress& progress) {
      call(user, progress.bytes_done, progress.bytes_total);
    };
  return arguments;
}

hawserSyncInfo_t sync_info_of(const hawser::SyncInfo& from, const hawserSyncInfo_t& callers) {
  hawserSyncInfo_t info = callers;
  info.source_count = static_cast<std::uint32_t>(from.bytes_from.size());
  info.revision = from.revision;
  info.tensors = from.tensors;
  info.tensors_changed = from.tensors_changed;
  info.bytes = from.bytes;
  info.bytes_fetched = from.bytes_fetched;
  info.bytes_again = from.bytes_again;
  info.bytes_sent = from.bytes_sent;
  info.bytes_received = from.bytes_received;
  info.supporters = from.supporters;
  info.world_size = from.world_size;
  info.rank = from.rank;
  info.attempts = from.attempts;
  info.epoch = from.epoch.value;
  info.digest_us = capi::whole_microseconds(from.digest);
  info.agree_us = capi::whole_microseconds(from.agree);
  info.transfer_us = capi::whole_microseconds(from.transfer);
  info.incomplete = from.incomplete ? 1 : 0;
  if (info.sources == nullptr) return info;
  std::uint32_t place = 0;
  for (const auto& [peer, bytes] : from.bytes_from) {
    if (place == info.source_capacity) break;
    info.sources[place++] = {.peer_id = peer.value, .bytes = bytes};
  }
  return info;
}

}  // namespace

extern "C" {

hawserResult_t hawserSharedStateCreate(const hawserStateTensor_t* tensors, uint64_t count,
                                       hawserSharedState_t* state) {
  return capi::guarded([&] {
    if (state == nullptr) return capi::null_output();
    auto ours = tensors_of(tensors, count);
    if (!ours.ok()) return capi::report(ours.error());
    auto handle = std::make_unique<hawserSharedState>();
    auto created = hawser::SharedState::create(std::move(*ours));
    if (!created.ok()) return capi::report(created.error());
    handle->state = std::move(*created);
    *state = handle.release();
    return hawserSuccess;
  });
}

hawserResult_t hawserSharedStateDestroy(hawserSharedState_t state) {
  return capi::guarded([&] {
    if (state == nullptr) return hawserSuccess;
    if (const auto retired = state->state->retire(); !retired.ok()) return capi::report(retired.error());
    delete state;
    return hawserSuccess;
  });
}

hawserResult_t hawserSharedStateGetRevision(hawserSharedState_t state, uint64_t* revision) {
  return capi::guarded([&] {
    if (state == nullptr) return capi::null_state();
    if (revision == nullptr) return capi::null_output();
    const auto known = state->state->revision();
    if (!known.ok()) return capi::report(known.error());
    *revision = *known;
    return hawserSuccess;
  });
}

hawserResult_t hawserSharedStateSetRevision(hawserSharedState_t state, uint64_t revision) {
  return capi::guarded(
      [&] { return state == nullptr ? capi::null_state() : capi::report(state->state->set_revision(revision)); });
}

hawserResult_t hawserSharedStateMarkChanged(hawserSharedState_t state, const char* name) {
  return capi::guarded([&] {
    if (state == nullptr) return capi::null_state();
    return capi::report(name == nullptr ? state->state->mark_all_changed() : state->state->mark_changed(name));
  });
}

hawserResult_t hawserSharedStateGetDigest(hawserSharedState_t state, char* digest) {
  return capi::guarded([&] {
    if (state == nullptr) return capi::null_state();
    if (digest == nullptr) return capi::null_output();
    const auto known = state->state->digest();
    if (!known.ok()) return capi::report(known.error());
    const std::string text = to_string(*known);
    HAWSER_ASSERT(text.size() + 1 == HAWSER_DIGEST_BYTES);
    std::memcpy(digest, text.c_str(), text.size() + 1);
    return hawserSuccess;
  });
}

hawserResult_t hawserSharedStateSync(hawserComm_t comm, hawserSharedState_t state,
                                     const hawserSyncOptions_t* options, hawserSyncInfo_t* info) {
  return capi::guarded([&] {
    if (comm == nullptr) return capi::null_comm();
    if (state == nullptr) return capi::null_state();
    const auto arguments = sync_arguments_of(options);
    if (!arguments.ok()) return capi::report(arguments.error());
    std::optional<hawserSyncInfo_t> asked;
    if (info != nullptr) {
      const auto read = capi::read_struct(*info, "hawserSyncInfo_t", capi::Rest::waits_for_answer);
      if (!read.ok()) return capi::report(read.error());
      if (read->sources == nullptr && read->source_capacity > 0)
        return capi::report(capi::invalid_argument("the array of sources is null, but has a capacity"));
      asked = *read;
    }
    const hawser::SyncOutcome outcome = state->state->sync(*comm->communicator, *arguments);
    if (asked && outcome.began) capi::write_struct(sync_info_of(outcome.info, *asked), *info);
    return outcome.error.status == hawser::Status::success ? hawserSuccess : capi::report(outcome.error);
  });
}

hawserResult_t hawserSharedStateSave(hawserSharedState_t state, const char* path) {
  return capi::guarded([&] {
    if (state == nullptr) return capi::null_state();
    if (path == nullptr || *path == '\0') return capi::report(capi::invalid_argument("the path is null or empty"));
    return capi::report(state->state->save(path));
  });
}

hawserResult_t hawserSharedStateLoad(hawserSharedState_t state, const char* path, uint64_t* revision) {
  return capi::guarded([&] {
    if (state == nullptr) return capi::null_state();
    if (path == nullptr || *path == '\0') return capi::report(capi::invalid_argument("the path is null or empty"));
    const auto loaded = state->state->load(path);
    if (!loaded.ok()) return capi::report(loaded.error());
    if (revision != nullptr) *revision = *loaded;
    return hawserSuccess;
  });
}

}  // extern "C"
