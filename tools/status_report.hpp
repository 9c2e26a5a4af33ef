#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hawser_status.h"

namespace hawser {
class JsonWriter;
}

/// What a master told, read out of its handle, as a table for a person and as JSON.
struct StatusReport {
  struct Collective {
    hawserStatusCollective_t call;
    std::vector<std::uint32_t> parts;  ///< By rank.
  };
  /// Of a group, what its members have measured.
  struct Matrix {
    std::uint32_t group = 0;
    std::uint32_t size = 0;
    std::uint64_t version = 0;
    std::uint64_t age_ms = 0;
    std::vector<std::string> names;           ///< By rank.
    std::vector<hawserMeasuredLink_t> links;  ///< from * size + to
    std::vector<std::uint64_t> uplinks;       ///< Bytes per second, by rank; 0: unknown.
    std::vector<std::uint64_t> downlinks;
  };
  std::string master;  ///< Its address, as it was asked.
  hawserStatusInfo_t info;
  hawserStatusTotals_t totals = HAWSER_STATUS_TOTALS_INIT;
  std::vector<hawserStatusGroup_t> groups;
  std::vector<hawserStatusPeer_t> peers;
  std::vector<Collective> collectives;
  std::vector<hawserStatusUnreached_t> unreached;
  std::vector<Matrix> matrices;  ///< If it was asked for them: of groups in which something is known.
};

/// Texts in it are valid as long as `status` is.
StatusReport read_status(const std::string& master, hawserStatus_t status);

/// A number that only grows: its name in JSON, and in metrics, with labels.
struct TotalRow {
  const char* name;
  const char* metric;
  const char* labels;
  std::uint64_t hawserStatusTotals_t::*value;
};
const std::vector<TotalRow>& total_rows();

std::string status_table(const StatusReport& report);
/// The key of each peer, after its name; a word instead in a run without keys.
std::string keys_table(const StatusReport& report);
/// Pairs of peers without a straight way: how they are linked, and how both sides' last tries ended.
std::string reach_table(const StatusReport& report);
/// The matrices, rates in Mbit/s and delays in ms; a word instead if there are none.
std::string matrix_tables(const StatusReport& report);
std::string status_json(const StatusReport& report);
/// In its place, if the master does not answer.
std::string error_json(const std::string& why);

/// "312 ms", "4.2 s", "3 min 12 s", "2 h 5 min".
std::string time_text(std::uint64_t ms);
/// Rows of texts as columns; the last one, of any characters, is not padded.
std::string columns(const std::vector<std::vector<std::string>>& rows);
/// What the handle has of a group's matrix.
StatusReport::Matrix read_matrix(hawserStatus_t status, std::uint32_t index, const hawserStatusGroup_t& group,
                                 const StatusReport& report);
void add_matrices(hawser::JsonWriter& json, const StatusReport& report);
