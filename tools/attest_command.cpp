#include "attest_command.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "hawser_status.h"
#include "json/json_writer.hpp"
#include "status_report.hpp"

namespace {

/// Beyond so many times the median of all members' norms a contribution is pointed out.
constexpr double kFarFromOthers = 10;

struct AttestArguments {
  std::string master = "127.0.0.1:48500";
  std::uint32_t last = 8;
  bool json = false;
  std::string secret_file;
  std::uint32_t timeout_ms = 5000;
};

struct Attested {
  hawserStatusAttested_t collective;
  std::vector<hawserContribution_t> members;  ///< By rank.
};

std::string number_text(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4g", value);
  return text.data();
}

double median_norm(const Attested& one) {
  std::vector<double> norms;
  for (const hawserContribution_t& member : one.members)
    if (member.is_signed == hawserSignedBy) norms.push_back(member.norm);
  if (norms.empty()) return 0;
  const auto middle = norms.begin() + static_cast<std::ptrdiff_t>((norms.size() - 1) / 2);
  std::nth_element(norms.begin(), middle, norms.end());
  return *middle;
}

/// What a person should look at; empty if nothing.
std::string remark(const hawserContribution_t& member, double median) {
  if (member.is_signed == hawserSignedNot) return "NOT SIGNED: nothing came from this member";
  if (member.is_signed == hawserSignedWrong) return "WRONG SIGNATURE: do not rely on it";
  if (member.late != 0) return "LATE: signed when it could know the result";
  if (member.not_finite > 0) return "NOT FINITE: " + std::to_string(member.not_finite) + " infinities or NaNs";
  if (median > 0 && member.norm > kFarFromOthers * median)
    return "its norm is " + number_text(member.norm / median) + " times the median";
  return {};
}

std::vector<Attested> read(hawserStatus_t status) {
  hawserStatusInfo_t info = HAWSER_STATUS_INFO_INIT;
  // None of these can fail: the handle is good, and the indices are those that it has.
  (void)hawserStatusGetInfo(status, &info);
  std::vector<Attested> all(info.attested);
  for (std::uint32_t i = 0; i < info.attested; ++i) {
    all[i].collective = HAWSER_STATUS_ATTESTED_INIT;
    (void)hawserStatusGetAttested(status, i, &all[i].collective);
    all[i].members.assign(all[i].collective.members, HAWSER_CONTRIBUTION_INIT);
    for (std::uint32_t rank = 0; rank < all[i].collective.members; ++rank)
      (void)hawserStatusGetContribution(status, i, rank, &all[i].members[rank]);
  }
  return all;
}

std::string as_table(const Attested& one) {
  const hawserStatusAttested_t& what = one.collective;
  std::string text = "\ngroup " + std::to_string(what.group) + ", " + what.what + ", tag " +
                     std::to_string(what.tag) + ", number " + std::to_string(what.sequence) + " of epoch " +
                     std::to_string(what.epoch) + ", " + time_text(what.age_ms) + " ago\n";
  std::vector<std::vector<std::string>> rows{{"member", "SHA-256", "bytes", "norm", "largest", ""}};
  const double median = median_norm(one);
  for (const hawserContribution_t& member : one.members) {
    const std::string digest(member.sha256);
    rows.push_back({member.name, digest.empty() ? "-" : digest.substr(0, 16), std::to_string(member.bytes),
                    number_text(member.norm), number_text(member.largest), remark(member, median)});
  }
  return text + columns(rows);
}

std::string as_json(const std::string& master, const std::vector<Attested>& all) {
  hawser::JsonWriter json;
  json.open().add("master", std::string_view(master)).open_list("collectives");
  for (const Attested& one : all) {
    json.open()
        .add("group", std::uint64_t{one.collective.group})
        .add("what", std::string_view(one.collective.what))
        .add("epoch", one.collective.epoch)
        .add("tag", one.collective.tag)
        .add("sequence", one.collective.sequence)
        .add("age_ms", one.collective.age_ms)
        .open_list("members");
    const double median = median_norm(one);
    for (const hawserContribution_t& member : one.members) {
      json.open()
          .add("name", std::string_view(member.name))
          .add("key", std::string_view(member.key))
          .add("signed", std::string_view(member.is_signed == hawserSignedBy    ? "yes"
                                          : member.is_signed == hawserSignedNot ? "no"
                                                                                : "wrong"))
          .add("late", member.late != 0)
          .add("sha256", std::string_view(member.sha256))
          .add("bytes", member.bytes)
          .add("not_finite", member.not_finite)
          .add("norm", member.norm)
          .add("largest", member.largest)
          .add("remark", std::string_view(remark(member, median)))
          .close();
    }
    json.close_list().close();
  }
  json.close_list().close();
  return json.text();
}

int show(const AttestArguments& arguments) {
  hawserStatus_t handle = nullptr;
  hawserQueryOptions_t options = HAWSER_QUERY_OPTIONS_INIT;
  options.timeout_ms = arguments.timeout_ms;
  options.attested = arguments.last;
  options.secret_file = arguments.secret_file.empty() ? nullptr : arguments.secret_file.c_str();
  if (hawserStatusQueryWith(arguments.master.c_str(), &options, &handle) != hawserSuccess) {
    std::fprintf(stderr, "hawser attest: %s\n", hawserGetLastError());
    return 1;
  }
  const std::unique_ptr<hawserStatus, decltype(&hawserStatusDestroy)> owner(handle, hawserStatusDestroy);
  const std::vector<Attested> all = read(handle);
  if (arguments.json) {
    std::printf("%s\n", as_json(arguments.master, all).c_str());
    return 0;
  }
  if (all.empty()) std::printf("no collective has signed contributions: members need attest = 1 and a key\n");
  // The latest one last, where a person looks first.
  for (auto one = all.rbegin(); one != all.rend(); ++one) std::printf("%s", as_table(*one).c_str());
  return 0;
}

}  // namespace

void add_attest_command(CLI::App& app, int& status) {
  const auto arguments = std::make_shared<AttestArguments>();
  CLI::App* command = app.add_subcommand(
      "attest", "Show what members have signed of their contributions to the latest collectives, and check it");
  command->add_option("master", arguments->master, "ADDRESS:PORT of the master")->capture_default_str();
  command->add_option("--last", arguments->last, "So many collectives")
      ->capture_default_str()
      ->check(CLI::Range(1U, 1024U));
  command->add_flag("--json", arguments->json, "JSON instead of tables, the latest collective first");
  command->add_option("--secret-file", arguments->secret_file,
                      "The run's secret, or a key of an observer, member or operator (default: HAWSER_SECRET_FILE)");
  command->add_option("--timeout-ms", arguments->timeout_ms, "How long to wait for an answer")
      ->capture_default_str()
      ->check(CLI::Range(1U, 600'000U));
  command->footer(
      "Members sign if their communicators have attest = 1 (docs/security.md).\n"
      "Exit status: 0 if the master answered, otherwise 1, and a sentence on stderr says why.");
  command->callback([arguments, &status] { status = show(*arguments); });
}
