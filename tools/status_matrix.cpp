#include <array>
#include <cstdio>
#include <string_view>

#include "json/json_writer.hpp"
#include "status_report.hpp"

/// What the members of a group have measured of the links between them, for a person and for programs.
namespace {

std::string number_text(double number) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), number < 10 ? "%.1f" : "%.0f", number);
  return text.data();
}

std::string rate_text(std::uint64_t bytes_per_second) {
  return bytes_per_second == 0 ? "?" : number_text(static_cast<double>(bytes_per_second) * 8 / 1e6);
}

std::string rate_text(const hawserMeasuredLink_t& link) {
  return (link.lower_bound == 1 ? ">" : "") + rate_text(link.bytes_per_second) + (link.probed == 1 ? "p" : "") +
         (link.detour == 1 ? "~" : "");
}

std::string delay_text(std::uint64_t ns) { return ns == 0 ? "?" : number_text(static_cast<double>(ns) / 1e6); }

/// One row for each member that sends, one column for each that receives.
template <class Cell>
std::vector<std::vector<std::string>> table_of(const StatusReport::Matrix& matrix, const Cell& cell) {
  std::vector<std::vector<std::string>> rows{{"from"}};
  for (std::uint32_t to = 0; to < matrix.size; ++to) rows.front().push_back("to " + std::to_string(to));
  for (std::uint32_t from = 0; from < matrix.size; ++from) {
    auto& row = rows.emplace_back(std::vector{std::to_string(from)});
    for (std::uint32_t to = 0; to < matrix.size; ++to)
      row.push_back(from == to ? "-" : cell(matrix.links[from * matrix.size + to]));
  }
  return rows;
}

std::string tables_of(const StatusReport::Matrix& matrix) {
  auto rates = table_of(matrix, [](const hawserMeasuredLink_t& link) { return rate_text(link); });
  auto delays = table_of(matrix, [](const hawserMeasuredLink_t& link) { return delay_text(link.delay_ns); });
  rates.front().insert(rates.front().end(), {"up", "down", "name"});
  delays.front().push_back("name");
  for (std::uint32_t rank = 0; rank < matrix.size; ++rank) {
    rates[rank + 1].insert(rates[rank + 1].end(),
                           {rate_text(matrix.uplinks[rank]), rate_text(matrix.downlinks[rank]), matrix.names[rank]});
    delays[rank + 1].push_back(matrix.names[rank]);
  }
  return "\nlinks of group " + std::to_string(matrix.group) + ", version " + std::to_string(matrix.version) +
         ", announced " + time_text(matrix.age_ms) + " ago; ? unknown, p by a probe, > at least, " +
         "~ by a go-between\nMbit/s\n" + columns(rates) + "delay, one way, ms\n" + columns(delays);
}

}  // namespace

StatusReport::Matrix read_matrix(hawserStatus_t status, std::uint32_t index, const hawserStatusGroup_t& group,
                                 const StatusReport& report) {
  StatusReport::Matrix matrix{.group = group.group,
                              .size = group.group_size,
                              .version = group.measures,
                              .age_ms = group.measures_age_ms,
                              .names = {},
                              .links = {},
                              .uplinks = std::vector<std::uint64_t>(group.group_size),
                              .downlinks = std::vector<std::uint64_t>(group.group_size)};
  // None of these can fail, see read_status.
  for (std::uint32_t from = 0; from < matrix.size; ++from) {
    // The last members may not be listed.
    matrix.names.emplace_back(from < group.peers ? report.peers[group.first_peer + from].name : "");
    (void)hawserStatusGetMeasuredAccess(status, index, from, &matrix.uplinks[from], &matrix.downlinks[from]);
    for (std::uint32_t to = 0; to < matrix.size; ++to) {
      matrix.links.push_back(HAWSER_MEASURED_LINK_INIT);
      (void)hawserStatusGetMeasuredLink(status, index, from, to, &matrix.links.back());
    }
  }
  return matrix;
}

std::string matrix_tables(const StatusReport& report) {
  if (report.matrices.empty()) return "\nnothing has been measured of the links yet\n";
  std::string text;
  for (const StatusReport::Matrix& matrix : report.matrices) text += tables_of(matrix);
  return text;
}

void add_matrices(hawser::JsonWriter& json, const StatusReport& report) {
  json.open_list("matrices");
  for (const StatusReport::Matrix& matrix : report.matrices) {
    json.open()
        .add("group", std::uint64_t{matrix.group})
        .add("version", matrix.version)
        .add("age_ms", matrix.age_ms)
        .open_list("access");
    for (std::uint32_t rank = 0; rank < matrix.size; ++rank) {
      json.open().add("rank", std::uint64_t{rank}).add("name", std::string_view(matrix.names[rank]));
      if (matrix.uplinks[rank] != 0) json.add("uplink_bytes_per_second", matrix.uplinks[rank]);
      if (matrix.downlinks[rank] != 0) json.add("downlink_bytes_per_second", matrix.downlinks[rank]);
      json.close();
    }
    json.close_list().open_list("links");
    for (std::uint32_t from = 0; from < matrix.size; ++from)
      for (std::uint32_t to = 0; to < matrix.size; ++to) {
        const hawserMeasuredLink_t& link = matrix.links[from * matrix.size + to];
        if (from == to) continue;
        json.open().add("from", std::uint64_t{from}).add("to", std::uint64_t{to});
        if (link.bytes_per_second != 0)
          json.add("bytes_per_second", link.bytes_per_second)
              .add("probed", link.probed == 1)
              .add("lower_bound", link.lower_bound == 1);
        if (link.delay_ns != 0) json.add("delay_ns", link.delay_ns);
        if (link.detour == 1) {
          json.add("detour", true);
          if (link.detour_by < matrix.size) json.add("detour_by", std::uint64_t{link.detour_by});
        }
        json.close();
      }
    json.close_list().close();
  }
  json.close_list();
}
