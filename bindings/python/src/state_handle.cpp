#include "state_handle.hpp"

#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>

namespace hawser_python {

StateHandle::StateHandle(const std::vector<Entry>& entries) : process_(::getpid()) {
  std::vector<hawserStateTensor_t> list;
  list.reserve(entries.size());
  for (const Entry& entry : entries) {
    const Tensor tensor =
        tensor_of(entry.tensor, Access::write, ('"' + entry.name + '"').c_str(), Where::host_or_device);
    list.push_back({.name = entry.name.c_str(),
                    .data = tensor.data,
                    .count = tensor.count,
                    .type = tensor.type,
                    .memory = hawserMemoryByAddress,
                    .allow_content_inequality = entry.allow_content_inequality ? 1U : 0U});
    tensors_.push_back(tensor);
  }
  check(hawserSharedStateCreate(list.data(), list.size(), &handle_));
}

StateHandle::~StateHandle() {
  if (handle_ == nullptr || process_ != ::getpid()) return;
  // Nothing uses it: a call would keep it.
  const GilReleased released;
  (void)hawserSharedStateDestroy(handle_);
}

void StateHandle::close() {
  if (handle_ == nullptr || process_ != ::getpid()) return;
  if (token_.use_count() > 1)
    raise_invalid_usage("this shared state is in use by another call; wait for that first");
  hawserSharedState_t ending = std::exchange(handle_, nullptr);
  Outcome outcome;
  {
    const GilReleased released;
    outcome = outcome_of(hawserSharedStateDestroy(ending));
  }
  if (!outcome.ok()) {
    handle_ = ending;
    raise(outcome);
  }
  tensors_.clear();
}

StateHandle::Use StateHandle::use() {
  if (handle_ == nullptr) raise_closed("this shared state is closed");
  if (process_ != ::getpid())
    raise_invalid_usage("this shared state was made before the process forked, and lives in the parent only");
  return {.handle = handle_, .token = token_};
}

}  // namespace hawser_python
