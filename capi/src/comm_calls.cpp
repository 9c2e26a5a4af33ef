#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/limits.hpp"
#include "access.hpp"
#include "boundary.hpp"
#include "handles.hpp"

namespace capi = hawser::capi;
using hawser::Result;

namespace {

constexpr std::uint32_t kWaitDefault_ms = 600'000;
constexpr std::uint32_t kRelayMemoryMib = 256;

std::string default_name() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  const std::string process = ":" + std::to_string(::getpid());
  std::string name = host[0] != '\0' ? host.data() : "peer";
  name.resize(std::min(name.size(), hawser::limits::kNameBytesMax - process.size()));
  return name + process;
}

/// Names end in logs and tables, and on the wire as text: printable, and UTF-8 beyond ASCII.
bool is_text(const std::string& text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::size_t length = byte < 0x80         ? 1
                               : byte >> 5 == 0x6  ? 2
                               : byte >> 4 == 0xe  ? 3
                               : byte >> 3 == 0x1e ? 4
                                                   : 0;
    if (length == 0 || i + length > text.size()) return false;
    if (length == 1 && (byte < 0x20 || byte == 0x7f)) return false;
    std::uint32_t code = length == 1 ? byte : byte & (0x7fU >> length);
    for (std::size_t k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if (next >> 6 != 0x2) return false;
      code = code << 6 | (next & 0x3fU);
    }
    constexpr std::array<std::uint32_t, 5> kFirst{0, 0, 0x80, 0x800, 0x10000};
    if (code < kFirst[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
    if (length == 2 && code < 0xa0) return false;
    i += length;
  }
  return true;
}

Result<void> check_text(const std::string& text, std::size_t bytes_max, const std::string& what) {
  if (text.size() > bytes_max)
    return capi::invalid_argument(what + " has " + std::to_string(text.size()) + " bytes; " +
                                  std::to_string(bytes_max) + " are the most");
  if (!is_text(text)) return capi::invalid_argument(what + " is not printable UTF-8 text");
  return {};
}

/// "10.0.0.1", "fe80::1", "[::1]" or "example.org".
Result<std::string> host_of(const char* text, const char* what) {
  std::string host = text;
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  const bool plain = std::all_of(host.begin(), host.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (host.empty() || host.size() > hawser::limits::kHostBytesMax || !plain ||
      host.find_first_of("[]/") != std::string::npos || std::count(host.begin(), host.end(), ':') == 1)
    return capi::invalid_argument(
        std::string(what) + " \"" + text +
        "\" is not a host: write an IPv4 or IPv6 address or a host name");
  return host;
}

/// The same, or with a port: "10.0.0.1:4000", "[fe80::1]:4000" or "example.org:4000". Port 0: none is given.
Result<hawser::Address> advertised_place(const char* text, const char* what) {
  const std::string place = text;
  const bool has_port = place.find("]:") != std::string::npos ||
                        (!place.empty() && place.front() != '[' && std::count(place.begin(), place.end(), ':') == 1);
  if (!has_port) {
    auto host = host_of(text, what);
    if (!host.ok()) return host.error();
    return hawser::Address{.host = std::move(*host), .port = 0};
  }
  auto address = hawser::parse_address(place);
  if (!address.ok()) return capi::invalid_argument(std::string(what) + ": " + address.error().sentence);
  if (address->port == 0)
    return capi::invalid_argument(std::string(what) + ", " + place + ", has the port 0, which nobody can dial");
  if (const auto host = host_of(address->host.c_str(), what); !host.ok()) return host.error();
  return address;
}

Result<hawser::CommunicatorConfig> config_of(const hawserCommConfig_t& callers) {
  const auto config = capi::read_struct(callers, "hawserCommConfig_t");
  if (!config.ok()) return config.error();
  hawser::CommunicatorConfig out;
  if (config->master == nullptr)
    return capi::invalid_argument("the config names no master; set it to \"HOST:PORT\"");
  auto masters = hawser::parse_addresses(config->master);
  if (!masters.ok()) return masters.error();
  out.master = masters->front();
  out.other_masters.assign(masters->begin() + 1, masters->end());

  out.engine.name = config->name != nullptr && config->name[0] != '\0' ? config->name : default_name();
  if (const auto fine = check_text(out.engine.name, hawser::limits::kNameBytesMax, "the name"); !fine.ok())
    return fine.error();
  out.engine.group = config->group;
  if ((config->party != 0) != (config->party_size != 0) || config->party_size > hawser::limits::kPartySizeMax)
    return capi::invalid_argument("party and party_size belong together: a number drawn at random, and how many "
                                  "peers share it (" + std::to_string(hawser::limits::kPartySizeMax) +
                                  " are the most)");
  out.engine.party = {.id = hawser::PartyId{config->party}, .size = config->party_size};

  if (config->advertise_address != nullptr) {
    auto place = advertised_place(config->advertise_address, "the address to advertise");
    if (!place.ok()) return place.error();
    if (hawser::kind_of(place->host) == hawser::HostKind::any)
      return capi::invalid_argument("the address to advertise is " + place->host +
                                    ", which means every interface of a machine and can't be dialled; give the "
                                    "address by which other machines reach this one, or none");
    out.advertise_host = std::move(place->host);
    out.advertise_port = place->port;
  }
  if (config->listen_address != nullptr) {
    auto host = host_of(config->listen_address, "the address to listen on");
    if (!host.ok()) return host.error();
    out.listen_host = std::move(*host);
  }
  if (config->min_peers > hawser::limits::kGroupSizeMax)
    return capi::invalid_argument("min_peers is " + std::to_string(config->min_peers) + "; " +
                                  std::to_string(hawser::limits::kGroupSizeMax) + " are the most members of a group");
  out.engine.min_peers = config->min_peers;
  if (config->io_threads > hawser::limits::kLanesMax + 1)
    return capi::invalid_argument("io_threads is " + std::to_string(config->io_threads) + "; " +
                                  std::to_string(hawser::limits::kLanesMax + 1) + " are the most");
  if (config->io_threads != 0) out.lanes = config->io_threads - 1;
  out.port_first = config->port_first;
  out.port_last = config->port_last != 0 ? config->port_last : config->port_first;
  out.connections_per_link = config->connections_per_link;
  if (config->congestion_control != nullptr) out.tcp.congestion_control = config->congestion_control;
  out.tcp.send_buffer_bytes = config->send_buffer_bytes;
  out.tcp.receive_buffer_bytes = config->receive_buffer_bytes;
  if (config->check_same_host > 1) return capi::invalid_argument("check_same_host is 0 or 1");
  out.check_same_host = config->check_same_host != 0;
  out.access = capi::access_of(config->secret_file, config->insecure);
  if (config->insecure > 1 || config->tls_same_host > 1 || config->attest > 1 || config->relay > 1)
    return capi::invalid_argument("insecure, tls_same_host, attest and relay are 0 or 1");
  if (config->relay == 0 && (config->relay_mbit != 0 || config->relay_memory_mib != 0))
    return capi::invalid_argument("relay_mbit and relay_memory_mib are a relay's: set relay to 1");
  if (config->relay == 1 && (config->party != 0 || config->attest == 1))
    return capi::invalid_argument("a relay has no tensors: it is of no party, and attests nothing");
  if (config->relay_memory_mib > hawser::limits::kRelayMemoryMibMax)
    return capi::invalid_argument("relay_memory_mib is " + std::to_string(config->relay_memory_mib) + "; " +
                                  std::to_string(hawser::limits::kRelayMemoryMibMax) + " are the most");
  out.engine.is_relay = config->relay == 1;
  out.engine.relay_bytes_per_second = std::uint64_t{config->relay_mbit} * 125'000;
  if (out.engine.is_relay)
    out.engine.collective_memory_bytes =
        std::size_t{config->relay_memory_mib == 0 ? kRelayMemoryMib : config->relay_memory_mib} << 20;
  out.tls_same_host = config->tls_same_host != 0;
  out.attest = config->attest != 0;
  if (config->prefetch_share_percent > 100)
    return capi::invalid_argument("prefetch_share_percent is 1 to 100 (0: default), not " +
                                  std::to_string(config->prefetch_share_percent));
  if (config->prefetch_share_percent != 0) out.engine.prefetch_share = config->prefetch_share_percent / 100.0;
  capi::set_bound(out.engine.connect, config->connect_ms);
  capi::set_bound(out.engine.master_redial, config->master_redial_ms);
  capi::set_bound(out.engine.silence, config->silence_ms);
  capi::set_bound(out.engine.stall, config->stall_ms);
  return out;
}

/// The first entry tells the size of all: that is how far apart they lie.
Result<void> check_entries(const hawserMember_t& first) {
  if (const auto read = capi::read_struct(first, "hawserMember_t", capi::Rest::waits_for_answer); !read.ok())
    return read.error();
  if (first.size % alignof(hawserMember_t) == 0) return {};
  return capi::invalid_argument("the size in hawserMember_t is not a size; use its initialiser macro");
}

void write_entry(const hawserMember_t& ours, hawserMember_t* first, std::size_t index) {
  const std::size_t size = first->size;
  auto* const entry = reinterpret_cast<hawserMember_t*>(reinterpret_cast<std::byte*>(first) + index * size);
  entry->size = size;
  capi::write_struct(ours, *entry);
}

}  // namespace

extern "C" {

hawserResult_t hawserCommCreate(const hawserCommConfig_t* config, hawserComm_t* comm) {
  return capi::guarded([&] {
    if (config == nullptr) return capi::report(capi::invalid_argument("the config is null"));
    if (comm == nullptr) return capi::null_output();
    auto read = config_of(*config);
    if (!read.ok()) return capi::report(read.error());
    auto handle = std::make_unique<hawserComm>();
    auto created = hawser::Communicator::create(std::move(*read));
    if (!created.ok()) return capi::report(created.error());
    handle->communicator = std::move(*created);
    *comm = handle.release();
    return hawserSuccess;
  });
}

hawserResult_t hawserCommSetTerm(hawserComm_t comm, const char* name, const char* value) {
  return capi::guarded([&] {
    if (comm == nullptr) return capi::null_comm();
    if (name == nullptr) return capi::report(capi::invalid_argument("the term's name is null"));
    const std::string text = name;
    if (text.empty()) return capi::report(capi::invalid_argument("the term's name is empty"));
    if (const auto fine = check_text(text, hawser::limits::kTermNameBytesMax, "the term's name"); !fine.ok())
      return capi::report(fine.error());
    std::optional<std::string> content;
    if (value != nullptr) {
      content = value;
      if (const auto fine = check_text(*content, hawser::limits::kTermValueBytesMax, "the value of term " + text);
          !fine.ok())
        return capi::report(fine.error());
    }
    return capi::report(comm->communicator->set_term(text, content));
  });
}

hawserResult_t hawserCommConnect(hawserComm_t comm) {
  return capi::guarded(
      [&] { return comm == nullptr ? capi::null_comm() : capi::report(comm->communicator->connect()); });
}

hawserResult_t hawserCommClose(hawserComm_t comm) {
  return capi::guarded(
      [&] { return comm == nullptr ? capi::null_comm() : capi::report(comm->communicator->close()); });
}

hawserResult_t hawserCommDestroy(hawserComm_t comm) {
  return capi::guarded([&] {
    delete comm;
    return hawserSuccess;
  });
}

hawserResult_t hawserCommGetInfo(hawserComm_t comm, hawserCommInfo_t* info) {
  return capi::guarded([&] {
    if (comm == nullptr) return capi::null_comm();
    if (info == nullptr) return capi::null_output();
    if (const auto read = capi::read_struct(*info, "hawserCommInfo_t", capi::Rest::waits_for_answer); !read.ok())
      return capi::report(read.error());
    const auto known = comm->communicator->info();
    if (!known.ok()) return capi::report(known.error());
    const hawser::EngineInfo& from = **known;
    hawserCommInfo_t ours = HAWSER_COMM_INFO_INIT;
    ours.peer_id = from.self.value;
    ours.epoch = from.view.epoch.value;
    ours.world_size = from.world.size;
    ours.rank = from.view.rank_of(from.self).value_or(0);
    ours.group = from.view.group;
    ours.group_size = from.view.size();
    ours.largest_group_size = from.world.largest_group_size;
    ours.group_count = from.world.group_count;
    capi::write_struct(ours, *info);
    return hawserSuccess;
  });
}

hawserResult_t hawserCommGetMembers(hawserComm_t comm, hawserMember_t* members, uint32_t capacity,
                                    uint32_t* count) {
  return capi::guarded([&] {
    if (comm == nullptr) return capi::null_comm();
    if (count == nullptr || (members == nullptr && capacity > 0)) return capi::null_output();
    if (capacity > 0)
      if (const auto fine = check_entries(*members); !fine.ok()) return capi::report(fine.error());
    const auto known = comm->communicator->info();
    if (!known.ok()) return capi::report(known.error());
    const hawser::View& view = (*known)->view;
    std::vector<hawserMember_t> ours;
    for (std::uint32_t rank = 0; rank < std::min(view.size(), capacity); ++rank) {
      const hawser::Member& from = view.members[rank];
      hawserMember_t& member = ours.emplace_back(hawserMember_t HAWSER_MEMBER_INIT);
      member.peer_id = from.id.value;
      capi::copy_text(from.name, member.name);
      capi::copy_text(to_string(from.address), member.address);
    }
    for (std::size_t rank = 0; rank < ours.size(); ++rank) write_entry(ours[rank], members, rank);
    *count = view.size();
    return hawserSuccess;
  });
}

hawserResult_t hawserCommArePeersPending(hawserComm_t comm, int* pending) {
  return capi::guarded([&] {
    if (comm == nullptr) return capi::null_comm();
    if (pending == nullptr) return capi::null_output();
    const auto known = comm->communicator->info();
    if (!known.ok()) return capi::report(known.error());
    *pending = (*known)->pending > 0 ? 1 : 0;
    return hawserSuccess;
  });
}

hawserResult_t hawserCommUpdateTopology(hawserComm_t comm) {
  return capi::guarded(
      [&] { return comm == nullptr ? capi::null_comm() : capi::report(comm->communicator->update_topology()); });
}

hawserResult_t hawserCommWait(hawserComm_t comm, const hawserWaitOptions_t* options, uint32_t* met) {
  return capi::guarded([&] {
    if (comm == nullptr) return capi::null_comm();
    if (options == nullptr) return capi::report(capi::invalid_argument("the options are null"));
    const auto read = capi::read_struct(*options, "hawserWaitOptions_t");
    if (!read.ok()) return capi::report(read.error());
    if (read->joiner > 1) return capi::report(capi::invalid_argument("joiner is 0 or 1"));
    hawser::MembershipWish wish{.joiner = read->joiner == 1, .group_size = read->group_size};
    if (read->epoch != 0) wish.other_than = hawser::Epoch{read->epoch};
    if (!wish.joiner && !wish.other_than && wish.group_size == 0)
      return capi::report(capi::invalid_argument("nothing is waited for; set joiner, group_size or epoch"));
    std::optional<std::chrono::milliseconds> bound;
    if (read->timeout_ms != UINT32_MAX)
      bound = std::chrono::milliseconds(read->timeout_ms != 0 ? read->timeout_ms : kWaitDefault_ms);
    const auto ended = comm->communicator->wait(wish, bound);
    if (!ended.ok()) return capi::report(ended.error());
    if (met != nullptr)
      *met = (ended->joiner ? HAWSER_MET_JOINER : 0) | (ended->group_size ? HAWSER_MET_GROUP_SIZE : 0) |
             (ended->other_view ? HAWSER_MET_EPOCH : 0);
    return hawserSuccess;
  });
}

}  // extern "C"
