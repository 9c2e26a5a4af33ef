#include "dashboard/metrics_text.hpp"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <map>
#include <string_view>

namespace {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

std::string label(const char* name, std::string_view value) {
  return std::string(name) + "=\"" + escaped(value) + "\"";
}

std::string number(double value) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%.9g", value);
  return text.data();
}

double seconds_of_ms(std::uint64_t ms) { return static_cast<double>(ms) / 1e3; }

class Text {
 public:
  explicit Text(MetricsFormat format) : format_(format) {}

  /// Begins a family. Its samples follow.
  void family(const std::string& name, const char* type, const char* help) {
    const bool counts = std::string_view(type) == "counter";
    name_ = "hawser_" + name + (counts ? "_total" : "");
    const std::string family = counts && format_ == MetricsFormat::open_metrics ? "hawser_" + name : name_;
    text_ += "# HELP " + family + " " + help + "\n# TYPE " + family + " " + type + "\n";
  }
  void sample(const std::string& labels, const std::string& value) {
    text_ += name_ + (labels.empty() ? "" : "{" + labels + "}") + " " + value + "\n";
  }
  void sample(const std::string& labels, std::uint64_t value) { sample(labels, std::to_string(value)); }
  void sample(const std::string& labels, double value) { sample(labels, number(value)); }
  /// A family of one sample.
  template <class Value>
  void gauge(const char* name, const char* help, Value value) {
    family(name, "gauge", help);
    sample("", value);
  }
  std::string finish() { return std::move(text_) + (format_ == MetricsFormat::open_metrics ? "# EOF\n" : ""); }

 private:
  MetricsFormat format_;
  std::string text_;
  std::string name_;
};

/// Of members, by group and rank: names that two of a group have get their rank behind them, as series must differ.
std::vector<std::string> member_labels(const StatusReport& report) {
  std::vector<std::string> labels(report.peers.size());
  for (const hawserStatusGroup_t& group : report.groups) {
    std::map<std::string, int> named;
    for (std::uint32_t rank = 0; rank < group.peers; ++rank) ++named[report.peers[group.first_peer + rank].name];
    for (std::uint32_t rank = 0; rank < group.peers; ++rank) {
      const std::string name = report.peers[group.first_peer + rank].name;
      labels[group.first_peer + rank] = label("group", std::to_string(group.group)) + "," +
                                        label("member", named[name] > 1 ? name + "#" + std::to_string(rank) : name);
    }
  }
  return labels;
}

void add_run(Text& text, const StatusReport& report) {
  const hawserStatusInfo_t& info = report.info;
  std::array<char, 20> run{};
  std::snprintf(run.data(), run.size(), "%016" PRIx64, info.run);
  text.family("master_info", "gauge", "The run, and the version of its master; 1.");
  text.sample(label("run", run.data()) + "," + label("version", info.version) + "," +
                  label("protocol", std::to_string(info.protocol_version)),
              std::uint64_t{1});
  text.gauge("master_uptime_seconds", "Time since the master was started.", seconds_of_ms(info.up_ms));
  text.gauge("master_serves", "1: it serves the run. 0: it stands by.", std::uint64_t{info.standby == 0 ? 1U : 0U});
  text.gauge("master_term", "Grows with each takeover by another master; 0 where there is one only.", info.term);
  text.gauge("members", "Members of all groups.", std::uint64_t{info.world_size});
  text.gauge("groups", "Groups with members.", std::uint64_t{info.group_count});
  text.gauge("members_in_update_topology", "Members that wait in update-topology, which ends when all have called it.",
             std::uint64_t{info.in_update});
  text.gauge("update_topology_wait_seconds", "Time since the first of them called it; 0: nobody has.",
             seconds_of_ms(info.update_ms));
  text.gauge("peers_not_listed", "Peers beyond those that the master lists; series of them are missing.",
             std::uint64_t{info.peers_left_out});
  // Each family at once.
  std::string metric;
  for (const TotalRow& row : total_rows()) {
    if (row.metric != metric) {
      metric = row.metric;
      text.family(metric, "counter",
                  metric == "collectives"      ? "Collectives that ended since this master began to serve, by outcome."
                  : metric == "reduced_bytes"  ? "Size of one member's tensors in the committed reductions."
                  : metric == "members_joined" ? "Members and relays that were admitted."
                                               : "Members and relays that left or were removed.");
    }
    text.sample(row.labels, report.totals.*row.value);
  }
}

void add_groups(Text& text, const StatusReport& report) {
  const auto for_all = [&](const char* name, const char* type, const char* help, const auto& value) {
    text.family(name, type, help);
    for (const hawserStatusGroup_t& group : report.groups)
      text.sample(label("group", std::to_string(group.group)), value(group));
  };
  for_all("group_members", "gauge", "Members of the group.",
          [](const hawserStatusGroup_t& group) { return std::uint64_t{group.group_size}; });
  for_all("group_epoch", "gauge", "Number of the group's view: it grows with each join and loss.",
          [](const hawserStatusGroup_t& group) { return group.epoch; });
  for_all("group_mismatches", "counter", "How often its members called different things.",
          [](const hawserStatusGroup_t& group) { return group.mismatches; });
}

void add_members(Text& text, const StatusReport& report) {
  const std::vector<std::string> labels = member_labels(report);
  std::map<std::size_t, std::uint64_t> held_up;
  std::map<std::size_t, std::uint64_t> straggles;
  std::uint64_t oldest = 0;
  for (const StatusReport::Collective& one : report.collectives) {
    oldest = std::max(oldest, one.call.since_ms);
    for (const hawserStatusGroup_t& group : report.groups) {
      if (group.group != one.call.group) continue;
      for (std::uint32_t rank = 0; rank < std::min<std::size_t>(group.peers, one.parts.size()); ++rank) {
        held_up[group.first_peer + rank] += (one.parts[rank] & HAWSER_STATUS_WAITED_FOR) != 0 ? 1 : 0;
        straggles[group.first_peer + rank] += (one.parts[rank] & HAWSER_STATUS_STRAGGLES) != 0 ? 1 : 0;
      }
    }
  }
  const auto for_all = [&](const char* name, const char* help, const auto& value) {
    text.family(name, "gauge", help);
    for (std::size_t i = 0; i < report.peers.size(); ++i)
      if (!labels[i].empty()) text.sample(labels[i], value(i));
  };
  for_all("member_silence_seconds", "Time since the master last heard of the member.",
          [&](std::size_t i) { return seconds_of_ms(report.peers[i].heard_ms); });
  for_all("member_away", "1: its connection to the master broke, and it may come back.",
          [&](std::size_t i) { return std::uint64_t{report.peers[i].away}; });
  for_all("member_is_relay", "1: it has no tensors, and adds for the members.",
          [&](std::size_t i) { return std::uint64_t{report.peers[i].relay}; });
  for_all("member_waited_for", "Collectives in flight that wait for this member.",
          [&](std::size_t i) { return held_up[i]; });
  for_all("member_straggles", "Collectives in flight that its slow links hold up.",
          [&](std::size_t i) { return straggles[i]; });
  text.gauge("collectives_in_flight", "Collectives that last, and that the master has heard of.",
             std::uint64_t{report.info.collectives} + report.info.collectives_left_out);
  text.gauge("collective_oldest_seconds", "How long the oldest of them lasts; 0: there is none.",
             seconds_of_ms(oldest));
  text.family("peers_pending", "gauge", "Peers that are in no group yet, by what they wait for.");
  std::map<std::string, std::uint64_t> pending;
  for (const hawserStatusPeer_t& peer : report.peers)
    if (peer.member == 0) ++pending[hawserGetAwaitsName(peer.awaits)];
  for (const auto& [awaits, count] : pending) text.sample(label("awaits", awaits), count);
  text.gauge("ways_missing", "Ways from one peer to another that it tells to be none: a third one passes on, or none.",
             std::uint64_t{report.info.unreached});
}

void add_links(Text& text, const StatusReport& report) {
  struct Row {
    const char* name;
    const char* help;
    double (*value)(const hawserMeasuredLink_t&);
  };
  const std::array rows{
      Row{"link_rate_bytes_per_second", "Measured rate of a link while others of the pair's hosts were busy too.",
          [](const hawserMeasuredLink_t& link) { return static_cast<double>(link.bytes_per_second); }},
      Row{"link_delay_seconds", "Measured delay of a link, one way: half a round trip.",
          [](const hawserMeasuredLink_t& link) { return static_cast<double>(link.delay_ns) / 1e9; }}};
  const std::vector<std::string> labels = member_labels(report);
  const auto for_all = [&](const auto& visit) {
    for (const StatusReport::Matrix& matrix : report.matrices)
      for (const hawserStatusGroup_t& group : report.groups)
        if (group.group == matrix.group && matrix.size <= kLinkMembersMax && group.peers >= matrix.size)
          visit(matrix, group);
  };
  const auto named = [&](const hawserStatusGroup_t& group, std::uint32_t rank, const char* role) {
    const std::string& both = labels[group.first_peer + rank];
    return std::string(role) + both.substr(both.find("member=") + 6);
  };
  for (const Row& row : rows) {
    text.family(row.name, "gauge", row.help);
    for_all([&](const StatusReport::Matrix& matrix, const hawserStatusGroup_t& group) {
      for (std::uint32_t from = 0; from < matrix.size; ++from)
        for (std::uint32_t to = 0; to < matrix.size; ++to) {
          const double value = row.value(matrix.links[from * matrix.size + to]);
          if (from == to || value <= 0) continue;
          text.sample(label("group", std::to_string(group.group)) + "," + named(group, from, "from") + "," +
                          named(group, to, "to"),
                      value);
        }
    });
  }
  for (const bool up : {true, false}) {
    text.family(up ? "member_uplink_bytes_per_second" : "member_downlink_bytes_per_second", "gauge",
                up ? "Most that passed over the member's access, from it." : "The same, to it.");
    for_all([&](const StatusReport::Matrix& matrix, const hawserStatusGroup_t& group) {
      for (std::uint32_t rank = 0; rank < matrix.size; ++rank)
        if (const std::uint64_t rate = (up ? matrix.uplinks : matrix.downlinks)[rank]; rate > 0)
          text.sample(labels[group.first_peer + rank], rate);
    });
  }
}

}  // namespace

std::string metrics_text(const StatusReport* report, MetricsFormat format) {
  Text text(format);
  text.gauge("up", "1: the master answers.", std::uint64_t{report != nullptr ? 1U : 0U});
  if (report != nullptr) {
    add_run(text, *report);
    add_groups(text, *report);
    add_members(text, *report);
    add_links(text, *report);
  }
  return text.finish();
}
