#pragma once

#include <hawser.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hawser::bench {

/// What is reduced and how, in the words of the command line.
struct CollectiveNames {
  std::string type = "float32";
  std::string op = "sum";
  std::string plan = "auto";
  std::string quantize = "none";
};

/// The words that are known, for the command line's checks and help.
std::vector<std::string> type_names();
std::vector<std::string> op_names();
std::vector<std::string> plan_names();
std::vector<std::string> quantize_names();

/// The same in the C API's terms.
struct CollectiveKind {
  hawserDataType_t type = hawserFloat32;
  std::size_t element_bytes = sizeof(float);
  hawserAllReduceOptions_t options = HAWSER_ALL_REDUCE_OPTIONS_INIT;
  /// How far a value may be from the exact result. 0: the bits must be equal.
  double tolerance = 0;
};

/// Names that are none of the above mean the first of their list.
CollectiveKind kind_of(const CollectiveNames& names);

const char* plan_name(hawserPlan_t plan);

/// Small integers, which every type holds exactly, to and from one element's bytes.
void write_element(hawserDataType_t type, double value, std::byte* to);
double read_element(hawserDataType_t type, const std::byte* from);

/// The result for members that put these in.
double reduced_value(hawserReduceOp_t op, std::span<const double> inputs);

}  // namespace hawser::bench
