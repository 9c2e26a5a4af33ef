#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "wan/spec.hpp"

namespace hawser::wan {

/// Reads a spec (TOML; the format is in docs/wan.md) and checks all of it. Errors name the line and the key.
/// `hosts`: as many of them instead of the spec's number, shared among its host tables in proportion.
Result<Spec> parse_spec(std::string_view text, const std::string& name, std::optional<HostIndex> hosts = {});

}  // namespace hawser::wan
