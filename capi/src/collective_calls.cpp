#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>

#include "begin_operation.hpp"
#include "boundary.hpp"
#include "handles.hpp"
#include "hawser.h"
#include "reduce_info.hpp"
#include "runtime/reduce_many.hpp"

namespace capi = hawser::capi;

namespace {

using hawser::Collective;
using hawser::Result;
using hawser::capi::InfoOut;
using hawser::capi::enumerator;
using hawser::capi::whole_microseconds;

Result<hawser::Quantization> quantization_of(const hawserQuantization_t& from) {
  const auto scheme = enumerator(capi::number_in(from.scheme), hawser::QuantizationScheme::cast,
                                 "a quantisation scheme");
  if (!scheme.ok()) return scheme.error();
  const auto type = enumerator(capi::number_in(from.type), hawser::QuantizedType::float16, "a quantised type");
  if (!type.ok()) return type.error();
  if (from.block > hawser::kQuantizationBlockMax)
    return capi::invalid_argument("a block is a power of two from 64 to 1024 values, not " +
                                  std::to_string(from.block));
  if (from.stochastic > 1) return capi::invalid_argument("stochastic rounding is 0 or 1");
  return hawser::Quantization{.scheme = *scheme,
                              .type = *type,
                              .block = static_cast<std::uint16_t>(from.block),
                              .stochastic = from.stochastic != 0};
}

std::optional<std::chrono::milliseconds> bound_of(std::uint32_t timeout_ms) {
  return timeout_ms == 0 ? std::nullopt : std::optional(std::chrono::milliseconds(timeout_ms));
}

/// The caller's buffers and type; what else a collective needs comes from options.
struct Payload {
  Collective collective;
  const void* send;
  void* receive;
  std::uint64_t count;
  int type;
  std::uint32_t root = 0;
};

Result<hawser::CollectiveArguments> arguments_of(const Payload& payload, const hawserPlan_t& callers_plan) {
  const auto type = enumerator(payload.type, hawser::kDataTypes.back(), "a data type");
  if (!type.ok()) return type.error();
  const auto plan = enumerator(capi::number_in(callers_plan), hawser::PlanKind::hierarchical, "a plan");
  if (!plan.ok()) return plan.error();
  hawser::CollectiveArguments arguments;
  arguments.call = {.signature = {.collective = payload.collective,
                                  .type = *type,
                                  .plan = *plan,
                                  .count = payload.count,
                                  .root = payload.root,
                                  .quantization = {}},
                    .send = static_cast<const std::byte*>(payload.send),
                    .receive = static_cast<std::byte*>(payload.receive)};
  return arguments;
}

Result<hawser::CollectiveArguments> reduction_of(const Payload& payload, const hawserAllReduceOptions_t* callers) {
  const hawserAllReduceOptions_t defaults = HAWSER_ALL_REDUCE_OPTIONS_INIT;
  const auto options =
      capi::read_struct(callers != nullptr ? *callers : defaults, "hawserAllReduceOptions_t");
  if (!options.ok()) return options.error();
  auto arguments = arguments_of(payload, options->plan);
  if (!arguments.ok()) return arguments;
  const auto op = enumerator(capi::number_in(options->op), hawser::kReduceOps.back(), "a reduce operation");
  if (!op.ok()) return op.error();
  const auto quantization = quantization_of(options->quantization);
  if (!quantization.ok()) return quantization.error();
  if (options->compress > 1) return capi::invalid_argument("compress is 0 or 1");
  arguments->call.signature.op = *op;
  arguments->call.signature.quantization = *quantization;
  arguments->tag = options->tag;
  arguments->compress = options->compress != 0;
  arguments->epoch = hawser::Epoch{options->epoch};
  arguments->stream = reinterpret_cast<std::uintptr_t>(options->stream);
  arguments->bound = bound_of(options->timeout_ms);
  if (options->residual != nullptr) arguments->residual = options->residual->residual;
  return arguments;
}

Result<hawser::CollectiveArguments> collective_of(const Payload& payload, const hawserCollectiveOptions_t* callers) {
  const hawserCollectiveOptions_t defaults = HAWSER_COLLECTIVE_OPTIONS_INIT;
  const auto options =
      capi::read_struct(callers != nullptr ? *callers : defaults, "hawserCollectiveOptions_t");
  if (!options.ok()) return options.error();
  auto arguments = arguments_of(payload, options->plan);
  if (!arguments.ok()) return arguments;
  if (options->compress > 1) return capi::invalid_argument("compress is 0 or 1");
  arguments->tag = options->tag;
  arguments->compress = options->compress != 0;
  arguments->epoch = hawser::Epoch{options->epoch};
  arguments->stream = reinterpret_cast<std::uintptr_t>(options->stream);
  arguments->bound = bound_of(options->timeout_ms);
  return arguments;
}

hawserResult_t run(hawserComm_t comm, const Result<hawser::CollectiveArguments>& arguments,
                   hawserReduceInfo_t* info) {
  if (comm == nullptr) return capi::null_comm();
  if (!arguments.ok()) return capi::report(arguments.error());
  const InfoOut out(info);
  if (!out.fine().ok()) return capi::report(out.fine());
  const auto done = comm->communicator->run(*arguments);
  if (!done.ok()) return capi::report(done.error());
  out.write(**done);
  return hawserSuccess;
}

Result<hawser::ManyArguments> many_of(const hawserTensor_t* tensors, std::uint64_t count,
                                      const hawserManyOptions_t* callers) {
  const hawserManyOptions_t defaults = HAWSER_MANY_OPTIONS_INIT;
  const auto options = capi::read_struct(callers != nullptr ? *callers : defaults, "hawserManyOptions_t");
  if (!options.ok()) return options.error();
  if (tensors == nullptr && count > 0) return capi::invalid_argument("the list of tensors is null");
  const auto op = enumerator(capi::number_in(options->op), hawser::kReduceOps.back(), "a reduce operation");
  if (!op.ok()) return op.error();
  const auto plan = enumerator(capi::number_in(options->plan), hawser::PlanKind::hierarchical, "a plan");
  if (!plan.ok()) return plan.error();
  const auto quantization = quantization_of(options->quantization);
  if (!quantization.ok()) return quantization.error();
  if (options->compress > 1) return capi::invalid_argument("compress is 0 or 1");
  hawser::ManyArguments many;
  many.op = *op;
  many.plan = *plan;
  many.first_tag = options->first_tag;
  many.quantization = *quantization;
  many.compress = options->compress != 0;
  many.stream = reinterpret_cast<std::uintptr_t>(options->stream);
  if (options->in_flight != 0) many.in_flight = options->in_flight;
  if (options->fuse_bytes != 0) many.fuse_bytes = options->fuse_bytes;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto type = enumerator(capi::number_in(tensors[i].type), hawser::kDataTypes.back(), "a data type");
    if (!type.ok())
      return capi::invalid_argument("tensor " + std::to_string(i) + ": " + type.error().sentence);
    many.tensors.push_back(
        {.send = tensors[i].send,
         .receive = tensors[i].receive,
         .count = tensors[i].count,
         .type = *type,
         .stream = reinterpret_cast<std::uintptr_t>(tensors[i].stream)});
  }
  return many;
}

hawserManyInfo_t many_info_of(const hawser::ManyInfo& from) {
  hawserManyInfo_t info = HAWSER_MANY_INFO_INIT;
  info.tensors = from.tensors;
  info.collectives = from.collectives;
  info.attempts = from.attempts;
  info.world_size_least = from.world_size_least;
  info.world_size_most = from.world_size_most;
  info.bytes_sent = from.bytes_sent;
  info.bytes_received = from.bytes_received;
  info.total_us = whole_microseconds(from.total);
  return info;
}

hawserResult_t null_op() { return capi::report(capi::invalid_argument("the operation is null")); }
hawserResult_t null_residual() { return capi::report(capi::invalid_argument("the residual is null")); }
hawserResult_t residual_in_use() {
  return capi::report(hawser::Error{hawser::Status::invalid_usage,
                                    "the residual is in use by a collective; wait for that first"});
}

}  // namespace

extern "C" {

hawserResult_t hawserAllReduce(hawserComm_t comm, const void* send, void* receive, uint64_t count,
                               hawserDataType_t type, const hawserAllReduceOptions_t* options,
                               hawserReduceInfo_t* info) {
  const Payload payload{Collective::all_reduce, send, receive, count, capi::number_in(type)};
  return capi::guarded([&] { return run(comm, reduction_of(payload, options), info); });
}

hawserResult_t hawserReduceScatter(hawserComm_t comm, const void* send, void* receive, uint64_t count,
                                   hawserDataType_t type, const hawserAllReduceOptions_t* options,
                                   hawserReduceInfo_t* info) {
  const Payload payload{Collective::reduce_scatter, send, receive, count, capi::number_in(type)};
  return capi::guarded([&] { return run(comm, reduction_of(payload, options), info); });
}

hawserResult_t hawserAllGather(hawserComm_t comm, const void* send, void* receive, uint64_t count,
                               hawserDataType_t type, const hawserCollectiveOptions_t* options,
                               hawserReduceInfo_t* info) {
  const Payload payload{Collective::all_gather, send, receive, count, capi::number_in(type)};
  return capi::guarded([&] { return run(comm, collective_of(payload, options), info); });
}

hawserResult_t hawserBroadcast(hawserComm_t comm, const void* send, void* receive, uint64_t count,
                               hawserDataType_t type, uint32_t root, const hawserCollectiveOptions_t* options,
                               hawserReduceInfo_t* info) {
  const Payload payload{Collective::broadcast, send, receive, count, capi::number_in(type), root};
  return capi::guarded([&] { return run(comm, collective_of(payload, options), info); });
}

hawserResult_t hawserBarrier(hawserComm_t comm, const hawserCollectiveOptions_t* options,
                             hawserReduceInfo_t* info) {
  const Payload payload{Collective::barrier, nullptr, nullptr, 0, hawserFloat32};
  return capi::guarded([&] { return run(comm, collective_of(payload, options), info); });
}

hawserResult_t hawserAllReduceAsync(hawserComm_t comm, const void* send, void* receive, uint64_t count,
                                    hawserDataType_t type, const hawserAllReduceOptions_t* options,
                                    hawserOp_t* op) {
  const Payload payload{Collective::all_reduce, send, receive, count, capi::number_in(type)};
  return capi::guarded([&] { return capi::begin_operation(comm, reduction_of(payload, options), op); });
}

hawserResult_t hawserOpWait(hawserOp_t op, uint64_t timeout_ms, hawserReduceInfo_t* info) {
  return capi::guarded([&] {
    if (op == nullptr) return null_op();
    const InfoOut out(info);
    if (!out.fine().ok()) return capi::report(out.fine());
    // Many years are as long as it takes, and as much as the clock can count.
    constexpr std::uint64_t kLongest = 1ULL << 40;
    const auto done = timeout_ms >= kLongest
                          ? op->operation.wait()
                          : op->operation.wait(std::chrono::milliseconds(timeout_ms));
    if (!done.ok()) return capi::report(done.error());
    out.write(**done);
    return hawserSuccess;
  });
}

hawserResult_t hawserOpStreamWait(hawserOp_t op, void* stream) {
  return capi::guarded([&] {
    if (op == nullptr) return null_op();
    return capi::report(op->operation.stream_wait(reinterpret_cast<std::uintptr_t>(stream)));
  });
}

hawserResult_t hawserOpTest(hawserOp_t op, int* ended) {
  return capi::guarded([&] {
    if (op == nullptr) return null_op();
    if (ended == nullptr) return capi::null_output();
    *ended = op->operation.test() ? 1 : 0;
    return hawserSuccess;
  });
}

hawserResult_t hawserOpCancel(hawserOp_t op) {
  return capi::guarded([&] {
    if (op == nullptr) return null_op();
    op->operation.cancel();
    return hawserSuccess;
  });
}

hawserResult_t hawserOpDestroy(hawserOp_t op) {
  return capi::guarded([&] {
    if (op != nullptr) (void)op->operation.wait_for_end();
    delete op;
    return hawserSuccess;
  });
}

hawserResult_t hawserAllReduceMany(hawserComm_t comm, const hawserTensor_t* tensors, uint64_t count,
                                   const hawserManyOptions_t* options, hawserManyInfo_t* info, uint8_t* done) {
  return capi::guarded([&] {
    if (comm == nullptr) return capi::null_comm();
    const auto many = many_of(tensors, count, options);
    if (!many.ok()) return capi::report(many.error());
    if (info != nullptr) {
      const auto read = capi::read_struct(*info, "hawserManyInfo_t", capi::Rest::waits_for_answer);
      if (!read.ok()) return capi::report(read.error());
    }
    if (done != nullptr) std::fill_n(done, count, std::uint8_t{0});
    const hawser::ManyOutcome outcome = hawser::reduce_many(*comm->communicator, *many);
    if (done != nullptr) std::copy(outcome.done.begin(), outcome.done.end(), done);
    if (info != nullptr) capi::write_struct(many_info_of(outcome.info), *info);
    return outcome.error.status == hawser::Status::success ? hawserSuccess : capi::report(outcome.error);
  });
}

hawserResult_t hawserResidualCreate(uint64_t count, hawserDataType_t type, hawserResidual_t* residual) {
  const int type_number = capi::number_in(type);
  return capi::guarded([&] {
    if (residual == nullptr) return capi::null_output();
    const auto ours = enumerator(type_number, hawser::kDataTypes.back(), "a data type");
    if (!ours.ok()) return capi::report(ours.error());
    auto made = hawser::Residual::create(count, *ours);
    if (!made.ok()) return capi::report(made.error());
    *residual = new hawserResidual{std::move(*made)};
    return hawserSuccess;
  });
}

hawserResult_t hawserResidualReset(hawserResidual_t residual) {
  return capi::guarded([&] {
    if (residual == nullptr) return null_residual();
    if (!residual->residual->claim()) return residual_in_use();
    const auto reset = residual->residual->reset();
    residual->residual->release(false);
    return capi::report(reset);
  });
}

hawserResult_t hawserResidualGetNorm(hawserResidual_t residual, double* root_mean_square) {
  return capi::guarded([&] {
    if (residual == nullptr) return null_residual();
    if (root_mean_square == nullptr) return capi::null_output();
    if (!residual->residual->claim()) return residual_in_use();
    const auto norm = residual->residual->root_mean_square();
    residual->residual->release(false);
    if (!norm.ok()) return capi::report(norm.error());
    *root_mean_square = *norm;
    return hawserSuccess;
  });
}

hawserResult_t hawserResidualDestroy(hawserResidual_t residual) {
  return capi::guarded([&] {
    if (residual == nullptr) return hawserSuccess;
    if (!residual->residual->claim()) return residual_in_use();
    delete residual;
    return hawserSuccess;
  });
}

}  // extern "C"
