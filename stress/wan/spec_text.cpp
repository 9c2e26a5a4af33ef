#include "wan/spec_text.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>
#include <vector>

#include "wan/fine_instant.hpp"
#include "wan/spec_events.hpp"
#include "wan/spec_nats.hpp"
#include "wan/toml_table.hpp"

namespace hawser::wan {
namespace {

constexpr std::size_t kTextBytesMax = 1 << 20;
constexpr std::size_t kEntriesMax = 10'000;
/// Less could not hold one burst of a sender.
constexpr std::uint64_t kQueueBytesMin = 64 << 10;
/// What Debian 12 has; newer kernels allow more, and the lab should measure the same on all.
constexpr std::pair<const char*, const char*> kSysctls[] = {{"net.ipv4.tcp_rmem", "4096 131072 6291456"},
                                                            {"net.ipv4.tcp_wmem", "4096 16384 4194304"}};

/// The sizes that a queue may be given in; none: one bandwidth-delay product, filled in at the end.
struct QueueSize {
  std::optional<double> ms;
  std::optional<double> kib;

  std::uint64_t bytes(std::uint64_t bits_per_s, Duration round_trip) const {
    if (kib) return static_cast<std::uint64_t>(*kib * 1024);
    const double s = ms ? *ms / 1e3 : static_cast<double>(round_trip.count()) / 1e6;
    const auto bytes = static_cast<std::uint64_t>(static_cast<double>(bits_per_s) / 8 * s);
    return ms ? bytes : std::max(bytes, kQueueBytesMin);
  }
};

QueueSize read_queue(TomlTable& table) {
  const QueueSize queue{.ms = table.number("queue_ms", {0.001, 60'000}),
                        .kib = table.number("queue_kib", {1, 4 << 20})};
  if (queue.ms && queue.kib) table.fail("give queue_ms or queue_kib, not both");
  return queue;
}

/// One [[hosts]], [[cables]] ... after the other.
template <class Read>
void each_table(TomlTable& root, const char* key, Read read) {
  const toml::node* node = root.node(key);
  if (node == nullptr) return;
  const toml::array* tables = node->as_array();
  if (tables == nullptr || !std::ranges::all_of(*tables, [](const auto& one) { return one.is_table(); }))
    root.fail_at(*node, std::string(key) + " must be tables: [[" + key + "]]");
  if (tables->size() > kEntriesMax) root.fail_at(*node, std::string("too many ") + key);
  for (const toml::node& one : *tables) {
    TomlTable table(*one.as_table(), std::string("[[") + key + "]]");
    read(table);
    table.done();
  }
}

class SpecReader {
 public:
  SpecReader(const toml::table& root, std::optional<HostIndex> hosts)
      : root_(root, "the top level"), hosts_wanted_(hosts) {}

  Spec read() {
    spec_.summary = root_.text("summary").value_or("");
    spec_.seed = static_cast<std::uint64_t>(root_.whole("seed", {0, 9e15}).value_or(1));
    spec_.mtu = static_cast<std::uint32_t>(root_.whole("mtu", {kMtuMin, kMtuMax}).value_or(1500));
    read_sysctls();
    each_table(root_, "nats", [this](TomlTable& table) { spec_.nats.push_back(read_nat(table, spec_)); });
    read_hosts();
    each_table(root_, "cables", [this](TomlTable& table) { read_cable(table); });
    read_paths();
    size_queues();
    each_table(root_, "events",
               [this](TomlTable& table) { spec_.events.push_back(read_event(table, spec_)); });
    std::ranges::stable_sort(spec_.events, {}, &Event::at);
    root_.done();
    return std::move(spec_);
  }

 private:
  struct HostEntry {
    HostSpec host;
    QueueSize queue;
    std::uint64_t count = 1;
  };
  void read_sysctls();
  void read_hosts();
  std::vector<std::uint64_t> share_out(const std::vector<HostEntry>& entries);
  void read_cable(TomlTable& table);
  void read_paths();
  void read_path(TomlTable& table, std::set<std::size_t>& given);
  std::optional<PathSpec::CableUse> read_cable_use(TomlTable& table);
  void size_queues();

  TomlTable root_;
  std::optional<HostIndex> hosts_wanted_;
  Spec spec_;
  std::vector<QueueSize> host_queues_, cable_queues_, path_queues_;
};

void SpecReader::read_sysctls() {
  for (const auto& [name, value] : kSysctls) spec_.sysctls[name] = value;
  const toml::node* node = root_.node("sysctls");
  if (node == nullptr) return;
  if (!node->is_table()) root_.fail_at(*node, "sysctls must be a table: [sysctls]");
  for (const auto& [key, value] : *node->as_table()) {
    const std::string name(key.str());
    const bool inside = name.starts_with("net.") && name.find('/') == std::string::npos &&
                        name.find("..") == std::string::npos;
    if (!inside) root_.fail_at(value, "sysctl " + name + " must be one of net.*");
    if (!value.is_string()) root_.fail_at(value, "the value of " + name + " must be a text in quotes");
    spec_.sysctls[name] = *value.value<std::string>();
  }
}

void SpecReader::read_hosts() {
  std::vector<HostEntry> entries;
  each_table(root_, "hosts", [&](TomlTable& table) {
    HostEntry entry;
    entry.count = static_cast<std::uint64_t>(table.whole("count", {1, kHostsMax}).value_or(1));
    entry.host.group = table.text("group").value_or("");
    const auto up = read_rate(table, "up_mbit");
    const auto down = read_rate(table, "down_mbit");
    if (!up || !down) table.fail("up_mbit and down_mbit are needed");
    entry.host.up_bits_per_s = *up;
    entry.host.down_bits_per_s = *down;
    entry.queue = read_queue(table);
    entry.host.nat = read_nat_use(table, spec_);
    entry.host.carrier = read_carrier_use(table, spec_);
    entries.push_back(std::move(entry));
  });
  const std::vector<std::uint64_t> counts = share_out(entries);
  for (std::size_t i = 0; i < entries.size(); ++i)
    for (std::uint64_t k = 0; k < counts[i]; ++k) {
      spec_.hosts.push_back(entries[i].host);
      host_queues_.push_back(entries[i].queue);
    }
}

// By largest remainder: each table gets its share, rounded down, and the rest goes to those that lost most.
std::vector<std::uint64_t> SpecReader::share_out(const std::vector<HostEntry>& entries) {
  std::uint64_t total = 0;
  for (const HostEntry& entry : entries) total += entry.count;
  const std::uint64_t wanted =
      hosts_wanted_.value_or(static_cast<HostIndex>(std::min<std::uint64_t>(total, 1'000'000)));
  if (wanted < 2 || wanted > kHostsMax)
    root_.fail(std::to_string(wanted) + " hosts, but there must be 2 to " + std::to_string(kHostsMax));
  if (wanted < entries.size())
    root_.fail("has hosts of " + std::to_string(entries.size()) + " kinds, so it needs as many at least");
  std::vector<std::uint64_t> counts;
  std::vector<std::pair<std::uint64_t, std::size_t>> remainders;
  std::uint64_t given = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    counts.push_back(std::max<std::uint64_t>(1, wanted * entries[i].count / total));
    given += counts.back();
    remainders.emplace_back(wanted * entries[i].count % total, i);
  }
  std::ranges::stable_sort(remainders, std::greater{}, &std::pair<std::uint64_t, std::size_t>::first);
  for (std::size_t i = 0; given < wanted; ++i, ++given) ++counts[remainders[i % remainders.size()].second];
  while (given > wanted) {
    --*std::ranges::max_element(counts);
    --given;
  }
  return counts;
}

void SpecReader::read_cable(TomlTable& table) {
  const auto name = table.text("name");
  const auto rate = read_rate(table, "rate_mbit");
  if (!name || !rate) table.fail("name and rate_mbit are needed");
  if (std::ranges::find(spec_.cables, *name, &CableSpec::name) != spec_.cables.end())
    table.fail("there are two cables with the name " + *name);
  spec_.cables.push_back({.name = *name, .bits_per_s = *rate});
  cable_queues_.push_back(read_queue(table));
}

void SpecReader::read_paths() {
  const std::size_t hosts = spec_.hosts.size();
  spec_.paths.resize(hosts * hosts);
  path_queues_.resize(hosts * hosts);
  std::set<std::size_t> given;
  each_table(root_, "paths", [&](TomlTable& table) { read_path(table, given); });
  for (HostIndex from = 0; from < hosts; ++from)
    for (HostIndex to = 0; to < hosts; ++to)
      if (from != to && !given.contains(from * hosts + to))
        root_.fail("no [[paths]] tells how host " + std::to_string(from) + " reaches host " +
                   std::to_string(to));
}

std::optional<PathSpec::CableUse> SpecReader::read_cable_use(TomlTable& table) {
  const auto name = table.text("cable");
  if (!name) return std::nullopt;
  return PathSpec::CableUse{.cable = find_cable(table, spec_, *name), .direction = Direction::there};
}

// A later table replaces an earlier one for the pairs that both name.
void SpecReader::read_path(TomlTable& table, std::set<std::size_t>& given) {
  const std::vector<HostIndex> from = read_hosts_of(table, "from", spec_);
  const std::vector<HostIndex> to = read_hosts_of(table, "to", spec_);
  const bool one_way = table.flag("one_way").value_or(false);
  const auto delay = table.number("delay_ms", kDelayRangeMs);
  if (!delay) table.fail("delay_ms is needed");
  PathSpec path{.delay = duration_of(*delay),
                .jitter = duration_of(table.number("jitter_ms", kDelayRangeMs).value_or(0)),
                .reorder = table.flag("reorder").value_or(false),
                .loss = table.number("loss", kLossRange).value_or(0),
                .bits_per_s = read_rate(table, "rate_mbit").value_or(0),
                .cable = read_cable_use(table)};
  const QueueSize queue = read_queue(table);
  if (path.bits_per_s == 0 && (queue.ms || queue.kib)) table.fail("a queue needs a rate_mbit");
  const auto set = [&](HostIndex a, HostIndex b, Direction direction) {
    if (a == b) return;
    const std::size_t index = a * spec_.hosts.size() + b;
    given.insert(index);
    spec_.path(a, b) = path;
    if (path.cable) spec_.path(a, b).cable->direction = direction;
    path_queues_[index] = queue;
  };
  for (const HostIndex a : from)
    for (const HostIndex b : to) {
      if (!one_way) set(b, a, Direction::back);
      set(a, b, Direction::there);
    }
}

// The delay in "bandwidth-delay product" is the longest round trip of those who use the link.
void SpecReader::size_queues() {
  const HostIndex hosts = spec_.host_count();
  std::vector<Duration> of_host(hosts), of_cable(spec_.cables.size());
  for (HostIndex from = 0; from < hosts; ++from)
    for (HostIndex to = 0; to < hosts; ++to) {
      if (from == to) continue;
      PathSpec& path = spec_.path(from, to);
      const Duration round_trip = path.delay + spec_.path(to, from).delay;
      of_host[from] = std::max(of_host[from], round_trip);
      of_host[to] = std::max(of_host[to], round_trip);
      if (path.cable) of_cable[path.cable->cable] = std::max(of_cable[path.cable->cable], round_trip);
      if (path.bits_per_s != 0)
        path.queue_bytes = path_queues_[from * hosts + to].bytes(path.bits_per_s, round_trip);
    }
  for (HostIndex i = 0; i < hosts; ++i) {
    HostSpec& host = spec_.hosts[i];
    host.up_queue_bytes = host_queues_[i].bytes(host.up_bits_per_s, of_host[i]);
    host.down_queue_bytes = host_queues_[i].bytes(host.down_bits_per_s, of_host[i]);
  }
  for (std::size_t i = 0; i < spec_.cables.size(); ++i)
    spec_.cables[i].queue_bytes = cable_queues_[i].bytes(spec_.cables[i].bits_per_s, of_cable[i]);
}

}  // namespace

Result<Spec> parse_spec(std::string_view text, const std::string& name, std::optional<HostIndex> hosts) {
  const auto refuse = [&](const std::string& why) {
    return Error{.status = Status::invalid_argument, .sentence = "spec " + name + ": " + why};
  };
  if (text.size() > kTextBytesMax) return refuse("is larger than 1 MiB");
  try {
    const toml::table root = toml::parse(text);
    Spec spec = SpecReader(root, hosts).read();
    spec.name = name;
    return spec;
  } catch (const toml::parse_error& error) {
    return refuse("line " + std::to_string(error.source().begin.line) + ": " +
                  std::string(error.description()));
  } catch (const SpecError& error) {
    return refuse(error.what());
  }
}

}  // namespace hawser::wan
