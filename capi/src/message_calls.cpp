#include <limits>

#include "begin_operation.hpp"
#include "boundary.hpp"
#include "handles.hpp"
#include "hawser.h"
#include "reduce_info.hpp"

namespace capi = hawser::capi;

namespace {

using hawser::Result;

struct Buffer {
  const void* data = nullptr;  ///< To send.
  void* into = nullptr;        ///< To receive.
  std::uint64_t count = 0;
  int type = 0;
};

Result<hawser::MessageArguments> message_of(const Buffer& buffer, bool receives, std::uint32_t rank,
                                            const hawserMessageOptions_t* callers) {
  const hawserMessageOptions_t defaults = HAWSER_MESSAGE_OPTIONS_INIT;
  const auto options = capi::read_struct(callers != nullptr ? *callers : defaults, "hawserMessageOptions_t");
  if (!options.ok()) return options.error();
  const auto type = capi::enumerator(buffer.type, hawser::kDataTypes.back(), "a data type");
  if (!type.ok()) return type.error();
  if (rank == HAWSER_ANY_RANK && !receives && options->peer_id == 0)
    return capi::invalid_argument("a message is sent to one member; HAWSER_ANY_RANK is for receiving");
  if (buffer.count > std::numeric_limits<std::size_t>::max() / hawser::element_bytes(*type))
    return capi::invalid_argument("the buffer of the message is larger than the address space");
  const std::size_t bytes = buffer.count * hawser::element_bytes(*type);
  hawser::MessageArguments arguments;
  arguments.receives = receives;
  arguments.rank = rank;
  arguments.any = rank == HAWSER_ANY_RANK && options->peer_id == 0;
  if (options->peer_id != 0) arguments.peer = hawser::PeerId{options->peer_id};
  arguments.epoch = hawser::Epoch{options->epoch};
  arguments.tag = options->tag;
  if (options->timeout_ms != 0) arguments.bound = std::chrono::milliseconds(options->timeout_ms);
  if (receives)
    arguments.into = {static_cast<std::byte*>(buffer.into), bytes};
  else
    arguments.data = {static_cast<const std::byte*>(buffer.data), bytes};
  return arguments;
}

hawserResult_t move_message(hawserComm_t comm, const Buffer& buffer, bool receives, std::uint32_t rank,
                            const hawserMessageOptions_t* options, hawserReduceInfo_t* info) {
  if (comm == nullptr) return capi::null_comm();
  const auto arguments = message_of(buffer, receives, rank, options);
  if (!arguments.ok()) return capi::report(arguments.error());
  const capi::InfoOut out(info);
  if (!out.fine().ok()) return capi::report(out.fine());
  const auto started = comm->communicator->start(*arguments);
  if (!started.ok()) return capi::report(started.error());
  const auto done = started->wait();
  if (!done.ok()) return capi::report(done.error());
  out.write(**done);
  return hawserSuccess;
}

}  // namespace

extern "C" {

hawserResult_t hawserSend(hawserComm_t comm, const void* data, uint64_t count, hawserDataType_t type, uint32_t to,
                          const hawserMessageOptions_t* options, hawserReduceInfo_t* info) {
  const Buffer buffer{.data = data, .count = count, .type = capi::number_in(type)};
  return capi::guarded([&] { return move_message(comm, buffer, false, to, options, info); });
}

hawserResult_t hawserReceive(hawserComm_t comm, void* data, uint64_t count, hawserDataType_t type, uint32_t from,
                             const hawserMessageOptions_t* options, hawserReduceInfo_t* info) {
  const Buffer buffer{.into = data, .count = count, .type = capi::number_in(type)};
  return capi::guarded([&] { return move_message(comm, buffer, true, from, options, info); });
}

hawserResult_t hawserSendAsync(hawserComm_t comm, const void* data, uint64_t count, hawserDataType_t type, uint32_t to,
                               const hawserMessageOptions_t* options, hawserOp_t* op) {
  const Buffer buffer{.data = data, .count = count, .type = capi::number_in(type)};
  return capi::guarded([&] { return capi::begin_operation(comm, message_of(buffer, false, to, options), op); });
}

hawserResult_t hawserReceiveAsync(hawserComm_t comm, void* data, uint64_t count, hawserDataType_t type, uint32_t from,
                                  const hawserMessageOptions_t* options, hawserOp_t* op) {
  const Buffer buffer{.into = data, .count = count, .type = capi::number_in(type)};
  return capi::guarded([&] { return capi::begin_operation(comm, message_of(buffer, true, from, options), op); });
}

}  // extern "C"
