#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wan/spec.hpp"
#include "wan/toml_table.hpp"

namespace hawser::wan {

inline constexpr NumberRange kDelayRangeMs{0, 60'000};
inline constexpr NumberRange kLossRange{0, 0.9};
inline constexpr NumberRange kPassesRangeBytes{0, 65'535};

/// To whole microseconds.
Duration duration_of(double ms);
/// In bits per second.
std::optional<std::uint64_t> read_rate(TomlTable& table, std::string_view key);
/// A host's number, a group's name, "*" for all, or a list of these. Fails if the key is missing.
std::vector<HostIndex> read_hosts_of(TomlTable& table, std::string_view key, const Spec& spec);
std::uint32_t find_cable(const TomlTable& table, const Spec& spec, const std::string& name);

/// An [[events]] table, against a spec whose hosts, cables and paths stand.
Event read_event(TomlTable& table, const Spec& spec);

}  // namespace hawser::wan
