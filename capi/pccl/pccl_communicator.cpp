#include <cstdio>

#include "pccl_addresses.hpp"
#include "pccl_handles.hpp"
#include "pccl_results.hpp"

using namespace hawser_pccl;

namespace {

pcclResult_t has_flights(const char* call) {
  return fail(pcclPendingAsyncOps, (std::string(call) + " found an all-reduce that is not awaited; call "
                                    "pcclAwaitAsyncReduce for each pcclAllReduceAsync first").c_str());
}

/// A call that may not run beside a collective: all-reduces that nobody has awaited count, too.
template <class Call>
pcclResult_t without_flights(const pcclComm_t* communicator, const char* name, Call call) {
  if (!is_initialised()) return not_initialised();
  if (communicator == nullptr) return null_argument();
  auto& handle = const_cast<pcclComm_t&>(*communicator);
  const hawserComm_t comm = handle.comm;
  if (comm == nullptr) return not_connected();
  {
    const std::lock_guard lock(handle.flights_mutex);
    if (!handle.flights.empty()) return has_flights(name);
  }
  return call(comm);
}

/// The group's vote whether anybody knows of a newcomer. A loss only means that fewer vote.
hawserResult_t vote_on_newcomers(hawserComm_t comm, bool& pending) {
  for (;;) {
    int mine = 0;
    if (const auto asked = hawserCommArePeersPending(comm, &mine); asked != hawserSuccess) return asked;
    std::uint8_t vote = mine != 0 ? 1 : 0;
    hawserAllReduceOptions_t options = HAWSER_ALL_REDUCE_OPTIONS_INIT;
    options.op = hawserMax;
    options.tag = kPendingTag;
    const auto voted = hawserAllReduce(comm, &vote, &vote, 1, hawserUint8, &options, nullptr);
    if (is_loss(voted)) continue;
    if (voted != hawserSuccess && voted != hawserErrorTooFewPeers) return voted;
    pending = vote != 0;
    return hawserSuccess;
  }
}

pcclResult_t said(pcclResult_t result, const char* call) {
  if (result != pcclSuccess) std::fprintf(stderr, "hawser: %s: %s\n", call, last_sentence());
  return result;
}

pcclResult_t connect_once(pcclComm_t& handle) {
  const std::lock_guard lock(handle.connect_mutex);
  const std::string master = text_of(handle.params.master_address);
  if (handle.owned_comm == nullptr) {
    if (!is_reachable(handle.params.master_address))
      return fail(pcclMasterConnectionFailed,
                  ("nobody accepts connections at " + master + "; start the master first").c_str());
    hawserCommConfig_t config = HAWSER_COMM_CONFIG_INIT;
    config.master = master.c_str();
    config.group = handle.params.peer_group;
    hawserComm_t made = nullptr;
    if (const auto created = hawserCommCreate(&config, &made); created != hawserSuccess) return translated(created);
    Comm comm(made);
    if (const auto connected = hawserCommConnect(made); connected != hawserSuccess)
      return translated_as(connected, pcclMasterConnectionFailed);
    handle.owned_comm = std::move(comm);
    handle.comm = made;
    return pcclSuccess;
  }
  // Connected before. Hawser knows whether this peer is out of the run, and may join anew.
  return translated_as(hawserCommConnect(handle.owned_comm.get()), pcclMasterConnectionFailed);
}

}  // namespace

extern "C" {

pcclResult_t pcclCreateCommunicator(const pcclCommCreateParams_t* params, pcclComm_t** comm_out) {
  return guarded([&] {
    if (!is_initialised()) return not_initialised();
    if (params == nullptr || comm_out == nullptr) return null_argument();
    *comm_out = std::make_unique<pcclComm_t>(*params).release();
    return pcclSuccess;
  });
}

pcclResult_t pcclDestroyCommunicator(pcclComm_t* communicator) {
  return guarded([&] {
    if (!is_initialised()) return not_initialised();
    if (communicator == nullptr) return null_argument();
    communicator->owned_comm.reset();  // Ends what is in flight, and offers of states, before these are freed.
    delete communicator;
    return pcclSuccess;
  });
}

pcclResult_t pcclConnect(pcclComm_t* communicator) {
  return guarded([&] {
    if (!is_initialised()) return not_initialised();
    if (communicator == nullptr) return null_argument();
    return said(connect_once(*communicator), "pcclConnect");
  });
}

pcclResult_t pcclGetAttribute(const pcclComm_t* communicator, pcclAttribute_t attribute, int* p_attribute_out) {
  return guarded([&] {
    if (!is_initialised()) return not_initialised();
    if (communicator == nullptr || p_attribute_out == nullptr) return null_argument();
    const hawserComm_t comm = communicator->comm;
    if (comm == nullptr) return not_connected();
    hawserCommInfo_t info = HAWSER_COMM_INFO_INIT;
    if (const auto got = hawserCommGetInfo(comm, &info); got != hawserSuccess) return translated(got);
    switch (static_cast<int>(attribute)) {
      case PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE: *p_attribute_out = static_cast<int>(info.world_size); break;
      case PCCL_ATTRIBUTE_PEER_GROUP_WORLD_SIZE: *p_attribute_out = static_cast<int>(info.group_size); break;
      case PCCL_ATTRIBUTE_NUM_DISTINCT_PEER_GROUPS: *p_attribute_out = static_cast<int>(info.group_count); break;
      case PCCL_ATTRIBUTE_LARGEST_PEER_GROUP_WORLD_SIZE:
        *p_attribute_out = static_cast<int>(info.largest_group_size);
        break;
      default: return fail(pcclInvalidArgument, "there is no such attribute; use one of pcclAttribute_t");
    }
    return pcclSuccess;
  });
}

pcclResult_t pcclUpdateTopology(pcclComm_t* communicator) {
  return guarded([&] {
    return without_flights(communicator, "pcclUpdateTopology", [](hawserComm_t comm) {
      for (;;) {
        const auto updated = hawserCommUpdateTopology(comm);
        if (is_loss(updated)) continue;
        // It is connected, so a collective of another thread is under way.
        if (updated == hawserErrorInvalidUsage) return fail(pcclPendingAsyncOps, hawserGetLastError());
        return translated_as(updated, pcclUpdateTopologyFailed);
      }
    });
  });
}

pcclResult_t pcclArePeersPending(const pcclComm_t* communicator, bool* pending_out) {
  return guarded([&] {
    if (!is_initialised()) return not_initialised();
    if (communicator == nullptr || pending_out == nullptr) return null_argument();
    const hawserComm_t comm = communicator->comm;
    if (comm == nullptr) return not_connected();
    return translated(vote_on_newcomers(comm, *pending_out));
  });
}

pcclResult_t pcclOptimizeTopology(const pcclComm_t* communicator) {
  return guarded([&] {
    return without_flights(communicator, "pcclOptimizeTopology", [](hawserComm_t comm) {
      const auto optimised = hawserCommOptimizeTopology(comm, nullptr, nullptr);
      if (optimised != hawserErrorTooFewPeers) return translated_as(optimised, pcclTopologyOptimizationFailed);
      hawserCommInfo_t info = HAWSER_COMM_INFO_INIT;
      if (const auto got = hawserCommGetInfo(comm, &info); got != hawserSuccess) return translated(got);
      if (info.world_size > 1) return pcclSuccess;
      return fail(pcclInvalidUsage, "this peer is alone in the run, so there is no link to measure");
    });
  });
}

}  // extern "C"
