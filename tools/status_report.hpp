#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hawser_status.h"

/// What a master told, read out of its handle, as a table for a person and as JSON.
struct StatusReport {
  struct Collective {
    hawserStatusCollective_t call;
    std::vector<std::uint32_t> parts;  ///< By rank.
  };
  std::string master;  ///< Its address, as it was asked.
  hawserStatusInfo_t info;
  std::vector<hawserStatusGroup_t> groups;
  std::vector<hawserStatusPeer_t> peers;
  std::vector<Collective> collectives;
};

/// Texts in it are valid as long as `status` is.
StatusReport read_status(const std::string& master, hawserStatus_t status);

std::string status_table(const StatusReport& report);
std::string status_json(const StatusReport& report);
