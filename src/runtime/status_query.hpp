#pragma once

#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/instant.hpp"
#include "base/result.hpp"
#include "membership/messages.hpp"
#include "runtime/run_access.hpp"

namespace hawser {

struct StatusAnswer {
  RunStatus status;
  std::vector<Measures> matrices;  ///< If asked for: of groups in which something was measured, by their views.
  std::vector<AttestedCollective> attested{};  ///< As many as were asked for, the latest first.
};

/// Asks the master at this address how its run stands, over a connection of its own; the run takes no notice.
/// Blocks for `bound` at most, in the calling thread. Errors, each with a sentence that names the address:
/// master_unreachable (nobody listens there), timeout (no answer within the bound), refused (what listens
/// there is no master, or one of another protocol version, or it is asked too often, or does not tell whoever holds
/// this key); those of open_access().
Result<StatusAnswer> query_status(const Address& master, Duration bound, const StatusRequest& wanted = {},
                                  const AccessChoice& choice = {});

/// The same where several masters may serve the run: of the first that does, else of the first that answers. Blocks for
/// `bound` for each of them.
Result<StatusAnswer> query_status(const std::vector<Address>& masters, Duration bound, const StatusRequest& wanted = {},
                                  const AccessChoice& choice = {});

/// Has each of these masters carry out an operator's command, and answers what it came to. Ends with the first that does
/// not. Blocks and fails as query_status().
Result<std::string> operate(const std::vector<Address>& masters, Duration bound, const OperatorCommand& command,
                            const AccessChoice& choice);

inline Result<std::string> operate(const Address& master, Duration bound, const OperatorCommand& command,
                                   const AccessChoice& choice) {
  return operate(std::vector<Address>{master}, bound, command, choice);
}

}  // namespace hawser
