#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hawser.h"
#include "hawser_shared_state.h"
#include "hawser_status.h"
#include "membership/messages.hpp"
#include "runtime/communicator.hpp"
#include "runtime/master.hpp"
#include "collective/residual.hpp"
#include "runtime/shared_state.hpp"

struct hawserMaster {
  std::unique_ptr<hawser::Master> master;
};

struct hawserComm {
  std::unique_ptr<hawser::Communicator> communicator;
};

struct hawserOp {
  hawser::AsyncCollective operation;
};

struct hawserResidual {
  std::shared_ptr<hawser::Residual> residual;
};

struct hawserSharedState {
  std::unique_ptr<hawser::SharedState> state;
};

struct hawserStatus {
  hawser::RunStatus status;
  std::vector<hawser::Measures> matrices;
  std::vector<std::string> descriptions;  ///< Of its collectives.
  std::vector<hawser::AttestedCollective> attested;
  std::vector<std::string> attested_descriptions;
};
