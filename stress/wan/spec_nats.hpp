#pragma once

#include <cstdint>
#include <optional>

#include "wan/spec.hpp"
#include "wan/toml_table.hpp"

namespace hawser::wan {

/// A [[nats]] table, behind those that the spec has.
NatSpec read_nat(TomlTable& table, const Spec& spec);
/// `nat` and `nat_idle_s` of a [[hosts]] table: which of the spec's NATs. That of `nat = true` is added to them.
std::optional<std::uint32_t> read_nat_use(TomlTable& table, Spec& spec);
std::optional<std::uint32_t> read_carrier_use(TomlTable& table, const Spec& spec);

}  // namespace hawser::wan
