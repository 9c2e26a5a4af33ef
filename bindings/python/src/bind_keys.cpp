#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <hawser/keys.hpp>
#include <hawser/operations.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bind.hpp"
#include "failure.hpp"
#include "gil.hpp"
#include "record_class.hpp"

namespace nb = nanobind;

namespace hawser_python {
namespace {

/// What a call of the C++ face returns, or an exception. Needs the GIL.
template <class Value>
Value taken(const hawser::Result<Value>& result) {
  if (!result) raise({.code = result.error().code, .sentence = result.error().sentence});
  if constexpr (!std::is_void_v<Value>) return *result;
}

std::string operate(const std::string& master, hawserOperatorVerb_t verb, const std::string& argument,
                    const std::string& secret_file, std::uint32_t timeout_ms) {
  const auto answered = [&] {
    const GilReleased released;
    return hawser::operate(master, verb, argument, {.timeout_ms = timeout_ms, .secret_file = secret_file});
  }();
  return taken(answered);
}

std::optional<std::int64_t> expiry_of(const hawser::KeyInfo& info) {
  if (!info.expires) return std::nullopt;
  return info.expires->time_since_epoch().count();
}

}  // namespace

void bind_keys(nb::module_& module) {
  nb::enum_<hawserRole_t>(module, "Role", "What the holder of a key may be in its run.")
      .value("MEMBER", hawserRoleMember, "Reduces.")
      .value("NEWCOMER", hawserRoleNewcomer,
             "Takes the shared state, and is a member only once an operator admits its key.")
      .value("READER", hawserRoleReader, "Takes the shared state, and is never a member.")
      .value("OBSERVER", hawserRoleObserver, "Sees the run's status.")
      .value("OPERATOR", hawserRoleOperator, "Everything.");
  nb::enum_<hawserOperatorVerb_t>(module, "OperatorVerb", "What an operator can have a master do.")
      .value("KICK", hawserOperatorKick)
      .value("BAN", hawserOperatorBan)
      .value("UNBAN", hawserOperatorUnban)
      .value("ADMIT", hawserOperatorAdmit)
      .value("DRAIN", hawserOperatorDrain)
      .value("END_DRAIN", hawserOperatorEndDrain);

  using hawser::KeyInfo;
  RecordClass<KeyInfo>(module, "KeyInfo", "What a key file holds.")
      .field("run", &KeyInfo::run, "The run's name: of equal secrets, equal.")
      .field("key", &KeyInfo::key, "What `ban` takes. \"\" for a secret: each process makes a key of its own.")
      .field("name", &KeyInfo::name, "Of whom the key is for. \"\" for a secret.")
      .field("role", &KeyInfo::role, "OPERATOR for a secret.")
      .field("is_secret", &KeyInfo::is_secret, "The file holds the run's secret.")
      .property("expires_unix_s", &expiry_of, "Seconds since 1970. None for a secret.")
      .field("groups", &KeyInfo::groups, "That its holder may be in. Empty: all.")
      .done();

  module.def("keygen", [](const std::string& file) { taken(hawser::create_secret(file)); }, nb::arg("file"));
  module.def(
      "issue_key",
      [](const std::string& file, const std::string& secret_file, const std::string& name, hawserRole_t role,
         std::uint32_t days, const std::vector<std::uint32_t>& groups) {
        taken(hawser::issue_key({.file = file,
                                 .secret_file = secret_file,
                                 .name = name,
                                 .role = role,
                                 .days = days,
                                 .groups = groups}));
      },
      nb::kw_only(), nb::arg("file"), nb::arg("secret_file"), nb::arg("name"), nb::arg("role"), nb::arg("days"),
      nb::arg("groups"));
  module.def("key_info", [](const std::string& file) { return taken(hawser::key_info(file)); }, nb::arg("file"));
  module.def("operate", &operate, nb::kw_only(), nb::arg("master"), nb::arg("verb"), nb::arg("argument"),
             nb::arg("secret_file"), nb::arg("timeout_ms"));
}

}  // namespace hawser_python
