#pragma once

#include <memory>
#include <string>

#include "hawser.h"
#include "runtime/communicator.hpp"
#include "runtime/master.hpp"

struct hawserMaster {
  std::unique_ptr<hawser::Master> master;
};

struct hawserComm {
  std::unique_ptr<hawser::Communicator> communicator;
};
