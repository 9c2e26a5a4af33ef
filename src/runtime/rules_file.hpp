#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"
#include "membership/admission_rules.hpp"

/// Rules of a run where they outlive its master. Both block for the file system.
namespace hawser {

/// None where there is no such file. Errors: invalid_argument, naming the line that is no rule; system.
Result<std::optional<AdmissionRules>> read_rules(const std::string& path);
/// The whole file or nothing is written, whenever the process ends. Errors: system.
Result<void> write_rules(const std::string& path, const AdmissionRules& rules);

}  // namespace hawser
