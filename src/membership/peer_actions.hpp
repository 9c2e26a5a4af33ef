#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "membership/messages.hpp"

namespace hawser {

/// Connect to the master; answered by MasterUp or MasterDown.
struct DialMaster {
  std::size_t which = 0;  ///< Of the list.
};
/// Close the control connection, or give up dialling. No MasterDown is reported for it.
struct CloseMaster {
  std::string reason;
};
struct SendMaster {
  PeerMessage message;
};
/// The master has told this peer and another one to dial each other at once. These are its addresses, the likeliest
/// first.
struct DialPeer {
  PeerId peer;
  std::vector<Address> to;
};

}  // namespace hawser
