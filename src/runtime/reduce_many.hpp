#pragma once

#include <cstdint>
#include <vector>

#include "runtime/communicator.hpp"

namespace hawser {

struct Tensor {
  const void* send = nullptr;
  void* receive = nullptr;
  std::uint64_t count = 0;
  DataType type = DataType::float32;
  std::uintptr_t stream = 0;  ///< As in CollectiveArguments; 0: that of all.
};

/// hawserAllReduceMany has the contract.
struct ManyArguments {
  std::vector<Tensor> tensors;
  ReduceOp op = ReduceOp::sum;
  std::uint64_t first_tag = 0;
  PlanKind plan = PlanKind::automatic;
  Quantization quantization;
  bool compress = false;
  std::uint32_t in_flight = 8;
  std::uint64_t fuse_bytes = 4 << 20;
  std::uintptr_t stream = 0;  ///< As in CollectiveArguments.
};

struct ManyInfo {
  std::uint64_t tensors = 0;
  std::uint64_t collectives = 0;
  std::uint32_t attempts = 1;
  std::uint32_t world_size_least = 0;
  std::uint32_t world_size_most = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  Duration total{};
};

struct ManyOutcome {
  Error error{Status::success, {}};
  ManyInfo info;
  std::vector<bool> done;  ///< Of each tensor.
};

/// Reduces all tensors, several at once, small ones together, and again after losses until all are done.
ManyOutcome reduce_many(Communicator& communicator, const ManyArguments& arguments);

}  // namespace hawser
