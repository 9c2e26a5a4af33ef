#include "hostile/bench_lab.hpp"

#include "wan/commands.hpp"
#include "wan/named_specs.hpp"
#include "wan/spec_text.hpp"

namespace hawser::hostile {
namespace {

wan::Spec checked(Result<wan::Spec> spec) {
  if (!spec) throw NoLab{.why = spec.error().sentence, .exit_status = wan::kExitUsage};
  return *spec;
}

}  // namespace

BenchLab::BenchLab(const wan::Spec& spec) {
  auto lab = wan::Lab::make(spec, "");
  if (!lab)
    throw NoLab{.why = lab.error().sentence,
                .exit_status = lab.error().status == Status::refused ? wan::kExitNoPermission : wan::kExitSystem};
  lab_ = std::move(*lab);
}

BenchLab::BenchLab(const std::string& spec) : BenchLab(checked(wan::parse_spec(spec, "of this measurement"))) {}

BenchLab BenchLab::of(const std::string& name_or_file) { return BenchLab(checked(wan::load_spec(name_or_file, {}))); }

std::string BenchLab::address(wan::HostIndex host) const { return wan::address_text(lab_->addresses().inside(host)); }

}  // namespace hawser::hostile
