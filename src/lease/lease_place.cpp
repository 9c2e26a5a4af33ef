#include "lease/lease_place.hpp"

#include <algorithm>
#include <cctype>

#include "base/address.hpp"

namespace hawser::lease {
namespace {

constexpr std::size_t kNameBytesMax = 128;

bool may_be_in_name(char character) {
  return std::isalnum(static_cast<unsigned char>(character)) != 0 ||
         std::string_view("-_.").find(character) != std::string_view::npos;
}

}  // namespace

Result<LeasePlace> parse_lease_place(const std::string& text) {
  const auto wrong = [&](const std::string& what) {
    return Error{Status::invalid_argument,
                 "the lease '" + text + "' " + what +
                     "; write it as etcd://HOST:PORT,HOST:PORT/NAME, or with etcds:// for TLS"};
  };
  const std::size_t scheme_ends = text.find("://");
  const std::string scheme = text.substr(0, std::min(scheme_ends, text.size()));
  if (scheme_ends == std::string::npos || (scheme != "etcd" && scheme != "etcds"))
    return wrong("names no service that this release knows");
  const std::size_t begin = scheme_ends + 3;
  const std::size_t slash = text.find('/', begin);
  if (slash == std::string::npos || slash + 1 == text.size()) return wrong("has no name of a run");
  LeasePlace place{.endpoints = {}, .name = text.substr(slash + 1)};
  if (place.name.size() > kNameBytesMax || !std::all_of(place.name.begin(), place.name.end(), may_be_in_name))
    return wrong("has a name with more than letters, digits, '-', '_' and '.', or one of more than 128 bytes");
  const auto hosts = parse_addresses(text.substr(begin, slash - begin));
  if (!hosts.ok()) return wrong("has no list of endpoints: " + hosts.error().sentence);
  for (const Address& one : *hosts)
    place.endpoints.push_back((scheme == "etcds" ? "https://" : "http://") + to_string(one));
  return place;
}

}  // namespace hawser::lease
