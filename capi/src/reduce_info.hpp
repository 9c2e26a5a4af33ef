#pragma once

#include <algorithm>
#include <optional>

#include "boundary.hpp"
#include "collective/collective_info.hpp"
#include "hawser.h"

namespace hawser::capi {

/// The caller's info struct, checked before anything is done.
class InfoOut {
 public:
  explicit InfoOut(hawserReduceInfo_t* callers);
  const Result<void>& fine() const { return fine_; }
  void write(const CollectiveInfo& info) const;

 private:
  hawserReduceInfo_t* callers_;
  std::optional<hawserReduceInfo_t> asked_;
  Result<void> fine_;
};

}  // namespace hawser::capi
