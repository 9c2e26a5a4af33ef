#include "wan/named_specs.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "wan/spec_text.hpp"

namespace hawser::wan {

Result<Spec> load_spec(const std::string& name_or_file, std::optional<HostIndex> hosts) {
  const auto known = std::ranges::find(named_specs(), name_or_file, &NamedSpec::name);
  if (known != named_specs().end()) return parse_spec(known->text, name_or_file, hosts);
  std::ifstream file(name_or_file, std::ios::binary);
  if (!file)
    return Error{.status = Status::invalid_argument,
                 .sentence = "spec " + name_or_file +
                             ": neither a name (see `hawser-wan list`) nor a file that can be read"};
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return parse_spec(text, name_or_file, hosts);
}

}  // namespace hawser::wan
