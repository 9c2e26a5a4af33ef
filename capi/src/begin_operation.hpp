#pragma once

#include <memory>

#include "boundary.hpp"
#include "handles.hpp"

namespace hawser::capi {

/// Begins what the arguments say in the background, and gives its handle.
template <class Arguments>
hawserResult_t begin_operation(hawserComm_t comm, const Result<Arguments>& arguments, hawserOp_t* op) {
  if (comm == nullptr) return null_comm();
  if (op == nullptr) return null_output();
  if (!arguments.ok()) return report(arguments.error());
  auto handle = std::make_unique<hawserOp>();
  auto started = comm->communicator->start(*arguments);
  if (!started.ok()) return report(started.error());
  handle->operation = std::move(*started);
  *op = handle.release();
  return hawserSuccess;
}

}  // namespace hawser::capi
