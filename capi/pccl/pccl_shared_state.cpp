#include <algorithm>

#include "pccl_handles.hpp"
#include "pccl_reductions.hpp"
#include "pccl_results.hpp"

using namespace hawser_pccl;

namespace {

// PCCL's caller gives the list of tensors with each call. Its state, which knows the last agreed revision, is found by
// that list. So many are kept.
constexpr std::size_t kKnownStatesMax = 8;
constexpr std::uint32_t kSourcesMax = 1024;

std::optional<hawserSyncStrategy_t> strategy_of(pcclSharedStateSyncStrategy_t strategy) {
  switch (static_cast<int>(strategy)) {
    case PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR: return hawserSyncEnforcePopular;
    case PCCL_SHARED_STATE_SYNC_STRATEGY_RECEIVE_ONLY: return hawserSyncReceiveOnly;
    case PCCL_SHARED_STATE_SYNC_STRATEGY_SEND_ONLY: return hawserSyncSendOnly;
  }
  return std::nullopt;
}

/// The state of this list of tensors: a known one, or a new one in place of the one that was not used for longest.
/// On failure it keeps the sentence in `result`.
hawserSharedState_t state_of(pcclComm_t& handle, const pcclSharedState_t& callers, pcclResult_t& result) {
  std::vector<KnownTensor> tensors;
  std::vector<hawserStateTensor_t> ours;
  for (std::size_t i = 0; i < callers.count; ++i) {
    const pcclTensorInfo_t& info = callers.infos[i];
    const auto type = type_of(info.datatype);
    const int device = static_cast<int>(info.device_type);
    if (info.name == nullptr || !type || (device != pcclDeviceCpu && device != pcclDeviceCuda)) {
      result = fail(pcclInvalidArgument, "a tensor has no name, or a type or device that there is not");
      return nullptr;
    }
    tensors.push_back({.name = info.name,
                       .data = info.data,
                       .count = info.count,
                       .type = static_cast<int>(*type),
                       .may_differ = info.allow_content_inequality});
    ours.push_back({.name = info.name,
                    .data = info.data,
                    .count = info.count,
                    .type = *type,
                    .memory = hawserMemoryByAddress,
                    .allow_content_inequality = info.allow_content_inequality ? 1U : 0U});
  }
  auto known = std::find_if(handle.states.begin(), handle.states.end(),
                            [&](const KnownState& one) { return one.tensors == tensors; });
  if (known == handle.states.end()) {
    hawserSharedState_t made = nullptr;
    if (const auto created = hawserSharedStateCreate(ours.data(), ours.size(), &made); created != hawserSuccess) {
      result = translated(created);
      return nullptr;
    }
    State state(made);
    if (handle.states.size() == kKnownStatesMax)
      handle.states.erase(
          std::min_element(handle.states.begin(), handle.states.end(),
                           [](const KnownState& left, const KnownState& right) { return left.used < right.used; }));
    known = handle.states.insert(handle.states.end(), {.tensors = std::move(tensors), .state = std::move(state)});
  }
  known->used = ++handle.syncs;
  return known->state.get();
}

/// Bytes of content that the others got from this member: each knows only what came to it, so all add that up.
std::uint64_t content_sent(hawserComm_t comm, const hawserSyncInfo_t& info) {
  std::vector<hawserMember_t> members(info.world_size, hawserMember_t HAWSER_MEMBER_INIT);
  std::vector<std::uint64_t> got(info.world_size, 0);
  std::uint32_t count = 0;
  if (hawserCommGetMembers(comm, members.data(), info.world_size, &count) != hawserSuccess) count = 0;
  for (std::uint32_t i = 0; i < std::min(info.source_count, info.source_capacity); ++i)
    for (std::uint32_t rank = 0; rank < std::min(count, info.world_size); ++rank)
      if (members[rank].peer_id == info.sources[i].peer_id) got[rank] += info.sources[i].bytes;
  hawserAllReduceOptions_t options = HAWSER_ALL_REDUCE_OPTIONS_INIT;
  options.tag = kSentBytesTag;
  options.epoch = info.epoch;
  const auto added =
      hawserAllReduce(comm, got.data(), got.data(), got.size(), hawserUint64, &options, nullptr);
  // A loss right after the synchronisation: what it sent in all is the nearest figure.
  return added == hawserSuccess ? got[info.rank] : info.bytes_sent;
}

pcclResult_t synchronise(pcclComm_t& handle, hawserComm_t comm, pcclSharedState_t& callers,
                         hawserSyncStrategy_t strategy, pcclSharedStateSyncInfo_t* info_out) {
  const std::lock_guard lock(handle.states_mutex);
  pcclResult_t result = pcclSuccess;
  const hawserSharedState_t state = state_of(handle, callers, result);
  if (state == nullptr) return result;
  if (const auto set = hawserSharedStateSetRevision(state, callers.revision); set != hawserSuccess)
    return translated(set);
  hawserSyncOptions_t options = HAWSER_SYNC_OPTIONS_INIT;
  options.strategy = strategy;
  options.tag = kSyncTag;
  std::vector<hawserSyncSource_t> sources(kSourcesMax);
  hawserSyncInfo_t info = HAWSER_SYNC_INFO_INIT;
  info.sources = sources.data();
  info.source_capacity = kSourcesMax;
  const auto synced = hawserSharedStateSync(comm, state, &options, &info);
  // PCCL has one result for a group that is too small or disagrees.
  if (synced != hawserSuccess) return translated_as(synced, pcclInvalidUsage);
  callers.revision = info.revision;
  pcclSharedStateSyncInfo_t told{.tx_bytes = 0, .rx_bytes = info.bytes_fetched};
  // All members know these two numbers, and so whether content has moved.
  if (info.supporters < info.world_size) told.tx_bytes = content_sent(comm, info);
  if (info_out != nullptr) *info_out = told;
  return pcclSuccess;
}

}  // namespace

extern "C" pcclResult_t pcclSynchronizeSharedState(const pcclComm_t* communicator, pcclSharedState_t* shared_state,
                                                   pcclSharedStateSyncStrategy_t strategy,
                                                   pcclSharedStateSyncInfo_t* sync_info_out) {
  return guarded([&] {
    if (!is_initialised()) return not_initialised();
    if (communicator == nullptr || shared_state == nullptr) return null_argument();
    if (shared_state->infos == nullptr && shared_state->count != 0) return null_argument();
    auto& handle = const_cast<pcclComm_t&>(*communicator);
    const hawserComm_t comm = handle.comm;
    if (comm == nullptr) return not_connected();
    const auto ours = strategy_of(strategy);
    if (!ours)
      return fail(pcclInvalidArgument, "there is no such strategy; use one of pcclSharedStateSyncStrategy_t");
    {
      const std::lock_guard lock(handle.flights_mutex);
      if (!handle.flights.empty())
        return fail(pcclPendingAsyncOps, "an all-reduce is not awaited; call pcclAwaitAsyncReduce for it first");
    }
    return synchronise(handle, comm, *shared_state, *ours, sync_info_out);
  });
}
