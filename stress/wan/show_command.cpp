#include <cstdio>

#include "wan/bounds.hpp"
#include "wan/commands.hpp"
#include "wan/missing_pairs.hpp"
#include "wan/named_specs.hpp"
#include "wan/planning.hpp"

namespace hawser::wan {

std::optional<Spec> spec_of(const LabOptions& options) {
  auto spec = load_spec(options.spec, options.hosts);
  if (!spec) {
    std::fprintf(stderr, "hawser-wan: %s\n", spec.error().sentence.c_str());
    return std::nullopt;
  }
  if (options.seed) spec->seed = *options.seed;
  cut_pairs(*spec, options.missing_percent);
  return std::move(*spec);
}

int exit_of(const Error& no_lab) {
  std::fprintf(stderr, "hawser-wan: %s\n", no_lab.sentence.c_str());
  switch (no_lab.status) {
    case Status::refused: return kExitNoPermission;
    case Status::invalid_argument: return kExitUsage;
    default: return kExitSystem;
  }
}

int show_spec(const LabOptions& options) {
  const auto spec = spec_of(options);
  if (!spec) return kExitUsage;
  std::printf("%s", describe(*spec).c_str());
  return 0;
}

int show_plans(const PlanOptions& options) {
  const auto spec = spec_of(options.lab);
  if (!spec) return kExitUsage;
  const auto plans = describe_plans(*spec, options.sizes);
  if (!plans) {
    std::fprintf(stderr, "hawser-wan: %s\n", plans.error().sentence.c_str());
    return kExitUsage;
  }
  std::printf("%s", plans->c_str());
  return 0;
}

int list_specs() {
  int status = 0;
  for (const NamedSpec& named : named_specs()) {
    const auto spec = load_spec(std::string(named.name), {});
    if (!spec) status = 1;
    std::printf("%-14s %s\n", std::string(named.name).c_str(),
                spec ? spec->summary.c_str() : spec.error().sentence.c_str());
  }
  return status;
}

}  // namespace hawser::wan
