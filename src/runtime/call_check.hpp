#pragma once

#include "base/result.hpp"
#include "collective/call_memory.hpp"
#include "engine/peer_engine.hpp"
#include "collective/residual.hpp"

/// What is wrong with a call's arguments, before any other member hears of it.
namespace hawser {

/// Quantisation and buffers: usable, and equal where that means in place, or disjoint. Errors: invalid_argument,
/// invalid_usage.
Result<void> check_call(const CollectiveCall& call, const EngineInfo& known);
/// Of the buffers of a call that check_call() found fine; 0 for one that is not used.
struct BufferBytes {
  std::size_t send = 0;
  std::size_t receive = 0;
};
BufferBytes buffer_bytes(const CollectiveCall& call, const EngineInfo& known);
/// Whether this residual goes with this collective. Error: invalid_argument.
Result<void> check_residual(const Residual& residual, const Signature& signature);

}  // namespace hawser
