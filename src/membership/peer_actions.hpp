#pragma once

#include <string>

#include "membership/messages.hpp"

namespace hawser {

/// Connect to the master; answered by MasterUp or MasterDown.
struct DialMaster {};
/// Close the control connection, or give up dialling. No MasterDown is reported for it.
struct CloseMaster {
  std::string reason;
};
struct SendMaster {
  PeerMessage message;
};

}  // namespace hawser
