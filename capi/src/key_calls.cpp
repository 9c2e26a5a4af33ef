#include <algorithm>
#include <string>

#include "boundary.hpp"
#include "hawser_keys.h"
#include "trust/certificate.hpp"
#include "trust/identity.hpp"
#include "trust/private_file.hpp"
#include "trust/tls_context.hpp"

namespace capi = hawser::capi;
namespace trust = hawser::trust;

namespace {

using hawser::Result;
using hawser::Role;

constexpr std::uint32_t kDaysMax = 3650;

static_assert(hawserRoleMember == static_cast<int>(Role::member));
static_assert(hawserRoleNewcomer == static_cast<int>(Role::newcomer));
static_assert(hawserRoleReader == static_cast<int>(Role::reader));
static_assert(hawserRoleObserver == static_cast<int>(Role::observer));
static_assert(hawserRoleOperator == static_cast<int>(Role::run_operator));
static_assert(HAWSER_KEY_GROUPS_MAX == trust::kBadgeGroupsMax);

Result<trust::IssueOrder> order_of(const hawserKeyOptions_t& options) {
  if (options.name == nullptr) return capi::invalid_argument("the name of whom the key is for is null");
  const auto role = capi::enumerator(capi::number_in(options.role), Role::run_operator, "a role");
  if (!role.ok()) return role.error();
  if (options.days > kDaysMax)
    return capi::invalid_argument("a key is valid for at most " + std::to_string(kDaysMax) + " days, not for " +
                                  std::to_string(options.days));
  if (options.group_count != 0 && options.groups == nullptr) return capi::invalid_argument("the groups are null");
  trust::IssueOrder order{.name = options.name, .role = *role};
  order.groups.assign(options.groups, options.groups + options.group_count);
  if (options.days != 0) order.days = options.days;
  return order;
}

Result<void> issue(const hawserKeyOptions_t& callers) {
  const auto options = capi::read_struct(callers, "hawserKeyOptions_t");
  if (!options.ok()) return options.error();
  if (options->file == nullptr || options->secret_file == nullptr)
    return capi::invalid_argument("file or secret_file is null");
  const auto order = order_of(*options);
  if (!order.ok()) return order.error();
  const auto secret = trust::load_run_secret(options->secret_file);
  if (!secret.ok()) return secret.error();
  const auto content = trust::issue_key(*secret, *order, trust::unix_time_now());
  if (!content.ok()) return content.error();
  return trust::write_private_file(options->file, *content);
}

hawserKeyInfo_t key_info_of(const trust::Identity& identity) {
  hawserKeyInfo_t info = HAWSER_KEY_INFO_INIT;
  const hawser::Badge& badge = identity.badge();
  capi::copy_text(identity.run(), info.run);
  info.role = static_cast<hawserRole_t>(badge.role);
  info.is_secret = badge.holds_secret ? 1 : 0;
  if (badge.holds_secret) return info;
  capi::copy_text(to_string(badge.key), info.key);
  capi::copy_text(badge.name, info.name);
  info.expires_unix_s = badge.expires_unix_s;
  info.group_count = static_cast<std::uint32_t>(badge.groups.size());
  std::copy(badge.groups.begin(), badge.groups.end(), info.groups);
  return info;
}

hawserResult_t null_file() { return capi::report(capi::invalid_argument("the path of the file is null")); }

}  // namespace

extern "C" {

const char* hawserGetRoleName(hawserRole_t role) {
  const int number = capi::number_in(role);
  if (number < 0 || number > hawserRoleOperator) return "unknown";
  return hawser::role_name(static_cast<Role>(number));
}

hawserResult_t hawserSecretCreate(const char* file) {
  return capi::guarded([&] {
    if (file == nullptr) return null_file();
    const auto secret = trust::RunSecret::draw();
    if (!secret.ok()) return capi::report(secret.error());
    return capi::report(trust::write_private_file(file, secret->text()));
  });
}

hawserResult_t hawserKeyIssue(const hawserKeyOptions_t* options) {
  return capi::guarded([&] {
    if (options == nullptr) return capi::report(capi::invalid_argument("the options are null"));
    return capi::report(issue(*options));
  });
}

hawserResult_t hawserKeyGetInfo(const char* file, hawserKeyInfo_t* info) {
  return capi::guarded([&] {
    if (file == nullptr) return null_file();
    if (info == nullptr) return capi::null_output();
    if (const auto read = capi::read_struct(*info, "hawserKeyInfo_t", capi::Rest::waits_for_answer); !read.ok())
      return capi::report(read.error());
    const auto identity = trust::Identity::load(file, trust::unix_time_now());
    if (!identity.ok()) return capi::report(identity.error());
    capi::write_struct(key_info_of(*identity), *info);
    return hawserSuccess;
  });
}

}  // extern "C"
