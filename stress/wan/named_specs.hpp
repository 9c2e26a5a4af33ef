#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "wan/spec.hpp"

namespace hawser::wan {

/// A spec that the tool brings along: stress/wan/specs/NAME.toml.
struct NamedSpec {
  std::string_view name;
  std::string_view text;
};
std::span<const NamedSpec> named_specs();

/// By name if there is such a one, else from a file. For `hosts` see parse_spec.
Result<Spec> load_spec(const std::string& name_or_file, std::optional<HostIndex> hosts);

}  // namespace hawser::wan
