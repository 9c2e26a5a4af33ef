#include <algorithm>
#include <deque>

#include "pccl_handles.hpp"
#include "pccl_reductions.hpp"
#include "pccl_results.hpp"

using namespace hawser_pccl;

namespace {

pcclReduceInfo_t info_of(const hawserReduceInfo_t& info) {
  return {.local_world_size = info.world_size, .tx_bytes = info.bytes_sent, .rx_bytes = info.bytes_received};
}

/// Starts an all-reduce. On failure it keeps the sentence, and `operation` is as it was.
pcclResult_t start(hawserComm_t comm, const void* send, void* receive, const pcclReduceDescriptor_t& descriptor,
                   Operation& operation) {
  const auto reduction = reduction_of(descriptor);
  if (!reduction) return pcclInvalidArgument;
  hawserCommInfo_t view = HAWSER_COMM_INFO_INIT;
  if (const auto got = hawserCommGetInfo(comm, &view); got != hawserSuccess) return translated(got);
  if (view.group_size < 2)
    return fail(pcclTooFewPeers, "this peer is alone in its group; call pcclUpdateTopology until others have joined");
  hawserOp_t started = nullptr;
  const auto result =
      hawserAllReduceAsync(comm, send, receive, reduction->count, reduction->type, &reduction->options, &started);
  // Programs for PCCL know a tag in flight as a wrong argument.
  if (result == hawserErrorInvalidUsage) return fail(pcclInvalidArgument, hawserGetLastError());
  if (result == hawserSuccess) operation.reset(started);
  return translated(result);
}

/// PCCL tells a peer that everybody has left by the size of its group.
pcclResult_t ended(hawserResult_t result) { return translated_as(result, pcclRankConnectionLost); }

/// A list of all-reduces, some of them in flight, in the list's order. After a loss what was not done begins again.
class Batch {
 public:
  Batch(hawserComm_t comm, const pcclReduceOpDescriptor_t* descriptors, std::size_t count, std::size_t in_flight_max)
      : comm_(comm), descriptors_(descriptors), in_flight_max_(in_flight_max) {
    for (std::size_t i = 0; i < count; ++i) todo_.push_back(i);
  }

  pcclResult_t run() {
    while (!todo_.empty() || !flying_.empty()) {
      if (const auto filled = fill(); filled != pcclSuccess) {
        const std::string sentence = last_sentence();
        land_all();
        return fail(filled, sentence.c_str());
      }
      const auto landed = land_oldest();
      if (landed == hawserSuccess) continue;
      const pcclResult_t result = translated(landed);
      const std::string sentence = last_sentence();
      land_all();
      if (!is_loss(landed)) return fail(result, sentence.c_str());
      // All members know the same ones as done, and begin with the first of the others.
      std::sort(todo_.begin(), todo_.end());
    }
    return pcclSuccess;
  }

  std::uint64_t sent() const { return sent_; }
  std::uint64_t received() const { return received_; }

 private:
  struct Flying {
    std::size_t index;
    Operation operation;
  };

  pcclResult_t fill() {
    while (!todo_.empty() && flying_.size() < in_flight_max_) {
      const auto& next = descriptors_[todo_.front()];
      Flying flying{.index = todo_.front(), .operation = {}};
      const auto started = start(comm_, next.sendbuf, next.recvbuf, next.descriptor, flying.operation);
      if (started != pcclSuccess) return started;
      flying_.push_back(std::move(flying));
      todo_.pop_front();
    }
    return pcclSuccess;
  }

  hawserResult_t land_oldest() {
    const Flying oldest = std::move(flying_.front());
    flying_.pop_front();
    hawserReduceInfo_t info = HAWSER_REDUCE_INFO_INIT;
    const auto result = hawserOpWait(oldest.operation.get(), UINT64_MAX, &info);
    if (result == hawserSuccess) {
      sent_ += info.bytes_sent;
      received_ += info.bytes_received;
    } else {
      todo_.push_back(oldest.index);
    }
    return result;
  }

  void land_all() {
    while (!flying_.empty()) land_oldest();  // Those that fail are to be done again.
  }

  hawserComm_t comm_;
  const pcclReduceOpDescriptor_t* descriptors_;
  std::size_t in_flight_max_;
  std::deque<std::size_t> todo_;
  std::deque<Flying> flying_;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
};

}  // namespace

extern "C" {

pcclResult_t pcclAllReduceAsync(const void* sendbuff, void* recvbuff, const pcclReduceDescriptor_t* descriptor,
                                const pcclComm_t* communicator, pcclAsyncReduceOp_t* reduce_handle_out) {
  return guarded([&] {
    if (!is_initialised()) return not_initialised();
    if (descriptor == nullptr || communicator == nullptr || reduce_handle_out == nullptr) return null_argument();
    auto& handle = const_cast<pcclComm_t&>(*communicator);
    const hawserComm_t comm = handle.comm;
    if (comm == nullptr) return not_connected();
    const std::lock_guard lock(handle.flights_mutex);
    const auto [place, is_new] = handle.flights.try_emplace(descriptor->tag);
    if (!is_new)
      return fail(pcclInvalidArgument, "an all-reduce with this tag is not awaited yet; await it or use another tag");
    Operation operation;
    const auto started = start(comm, sendbuff, recvbuff, *descriptor, operation);
    if (started != pcclSuccess) {
      handle.flights.erase(place);
      return started;
    }
    place->second.operation = std::move(operation);
    *reduce_handle_out = {.comm = &handle, .tag = descriptor->tag};
    return pcclSuccess;
  });
}

pcclResult_t pcclAwaitAsyncReduce(const pcclAsyncReduceOp_t* reduce_handle, pcclReduceInfo_t* reduce_info_out) {
  return guarded([&] {
    if (!is_initialised()) return not_initialised();
    if (reduce_handle == nullptr || reduce_handle->comm == nullptr) return null_argument();
    pcclComm_t& handle = *reduce_handle->comm;
    const std::uint64_t tag = reduce_handle->tag;
    hawserOp_t operation = nullptr;
    {
      const std::lock_guard lock(handle.flights_mutex);
      const auto found = handle.flights.find(tag);
      if (found == handle.flights.end() || found->second.awaited)
        return fail(pcclInvalidArgument, "no all-reduce with this tag is to be awaited; each is awaited once");
      found->second.awaited = true;
      operation = found->second.operation.get();
    }
    hawserReduceInfo_t info = HAWSER_REDUCE_INFO_INIT;
    const pcclResult_t result = ended(hawserOpWait(operation, UINT64_MAX, &info));
    {
      const std::lock_guard lock(handle.flights_mutex);
      handle.flights.erase(tag);
    }
    if (result == pcclSuccess && reduce_info_out != nullptr) *reduce_info_out = info_of(info);
    return result;
  });
}

pcclResult_t pcclAllReduce(const void* sendbuff, void* recvbuff, const pcclReduceDescriptor_t* descriptor,
                           const pcclComm_t* communicator, pcclReduceInfo_t* reduce_info_out) {
  pcclAsyncReduceOp_t started{};
  const auto result = pcclAllReduceAsync(sendbuff, recvbuff, descriptor, communicator, &started);
  return result == pcclSuccess ? pcclAwaitAsyncReduce(&started, reduce_info_out) : result;
}

pcclResult_t pcclAllReduceMultipleWithRetry(const pcclReduceOpDescriptor_t* descriptors, size_t count,
                                            const pcclComm_t* communicator, pcclReduceInfo_t* reduce_info_out,
                                            int max_in_flight) {
  return guarded([&] {
    if (!is_initialised()) return not_initialised();
    if (descriptors == nullptr || communicator == nullptr) return null_argument();
    if (count == 0 || max_in_flight <= 0)
      return fail(pcclInvalidArgument, "the count and max_in_flight must be at least 1");
    const hawserComm_t comm = communicator->comm;
    if (comm == nullptr) return not_connected();
    Batch batch(comm, descriptors, count, static_cast<std::size_t>(max_in_flight));
    const pcclResult_t result = batch.run();
    if ((result == pcclSuccess || result == pcclTooFewPeers) && reduce_info_out != nullptr) {
      hawserCommInfo_t view = HAWSER_COMM_INFO_INIT;
      if (const auto got = hawserCommGetInfo(comm, &view); got != hawserSuccess) return translated(got);
      *reduce_info_out = {
          .local_world_size = view.group_size, .tx_bytes = batch.sent(), .rx_bytes = batch.received()};
    }
    return result;
  });
}

}  // extern "C"
