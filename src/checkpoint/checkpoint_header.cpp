#include "checkpoint/checkpoint_header.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <numeric>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

#include "base/tensor_name.hpp"
#include "kernels/content_digest.hpp"
#include "base/json_scanner.hpp"
#include "base/loggable_text.hpp"

namespace hawser {
namespace {

constexpr std::string_view kVersion = "1";
constexpr std::string_view kVersionKey = "hawser.checkpoint";
constexpr std::string_view kRevisionKey = "hawser.revision";
constexpr std::string_view kDigestKey = "hawser.digest";
constexpr std::string_view kTensorDigestPrefix = "hawser.digest:";
constexpr std::string_view kMetadataKey = "__metadata__";
constexpr std::size_t kAlignment = 8;

/// As safetensors writes the types, by the number of ours.
constexpr std::array<std::string_view, kDataTypes.size()> kTypeNames{
    "F32", "F64", "F16", "BF16", "I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64"};

Error refused(std::string why) { return {Status::refused, std::move(why)}; }

/// A text out of the file, for a sentence.
std::string quoted(std::string_view text) {
  return "\"" + make_loggable(text, limits::kTensorNameBytesMax) + "\"";
}

std::string_view type_name(DataType type) { return kTypeNames.at(static_cast<std::size_t>(type)); }

std::optional<DataType> parse_type(std::string_view name) {
  const auto found = std::find(kTypeNames.begin(), kTypeNames.end(), name);
  if (found == kTypeNames.end()) return std::nullopt;
  return static_cast<DataType>(found - kTypeNames.begin());
}

std::optional<std::uint64_t> parse_decimal(std::string_view text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const bool zeros_before = text.size() > 1 && text.front() == '0';
  if (error != std::errc{} || stop != end || zeros_before) return std::nullopt;
  return value;
}

/// An entry as it stands in the file, before its digest is known.
struct Placed {
  CheckpointEntry entry;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

struct Parsed {
  std::map<std::string, std::string, std::less<>> metadata;
  bool has_metadata = false;
  std::vector<Placed> tensors;
};

bool scan_metadata(JsonScanner& scanner, Parsed& parsed) {
  if (parsed.has_metadata) return scanner.fail("has __metadata__ twice");
  parsed.has_metadata = true;
  return scanner.object([&](const std::string& key) {
    if (parsed.metadata.size() > limits::kTensorsMax + 3) return scanner.fail("has too much metadata");
    const auto value = scanner.string();
    if (!value) return false;
    return parsed.metadata.emplace(key, *value).second ||
           scanner.fail("has the metadata " + quoted(key) + " twice");
  });
}

/// Numbers of a list of exactly N.
template <std::size_t N>
std::optional<std::array<std::uint64_t, N>> scan_numbers(JsonScanner& scanner, const std::string& what) {
  std::array<std::uint64_t, N> numbers{};
  std::size_t found = 0;
  const bool good = scanner.array([&] {
    const auto number = scanner.number();
    if (!number) return false;
    if (found == N) return scanner.fail("has more than " + std::to_string(N) + " numbers for the " + what);
    numbers[found++] = *number;
    return true;
  });
  if (!good) return std::nullopt;
  if (found == N) return numbers;
  scanner.fail("has fewer than " + std::to_string(N) + " numbers for the " + what);
  return std::nullopt;
}

bool scan_tensor(JsonScanner& scanner, const std::string& name, Parsed& parsed) {
  const std::string of_tensor = " of the tensor " + quoted(name);
  if (parsed.tensors.size() == limits::kTensorsMax)
    return scanner.fail("has more than " + std::to_string(limits::kTensorsMax) + " tensors");
  std::optional<DataType> type;
  std::optional<std::array<std::uint64_t, 1>> shape;
  std::optional<std::array<std::uint64_t, 2>> offsets;
  const bool good = scanner.object([&](const std::string& key) {
    if (key == "dtype" && !type) {
      const auto text = scanner.string();
      if (!text) return false;
      type = parse_type(*text);
      return type.has_value() || scanner.fail("has the unknown type " + quoted(*text) + of_tensor);
    }
    if (key == "shape" && !shape) return (shape = scan_numbers<1>(scanner, "shape" + of_tensor)).has_value();
    if (key == "data_offsets" && !offsets)
      return (offsets = scan_numbers<2>(scanner, "offsets" + of_tensor)).has_value();
    return scanner.fail("has " + quoted(key) + of_tensor + ", unknown or twice");
  });
  if (!good) return false;
  if (!type || !shape || !offsets) return scanner.fail("lacks the type, shape or offsets" + of_tensor);
  parsed.tensors.push_back({.entry = {.name = name, .type = *type, .count = shape->front()},
                            .begin = offsets->front(),
                            .end = offsets->back()});
  return true;
}

Result<Parsed> parse(std::string_view json) {
  // safetensors wants the object first, and lets only spaces follow.
  if (json.empty() || json.front() != '{') return refused("its header does not start with \"{\"");
  JsonScanner scanner(json);
  Parsed parsed;
  const bool good = scanner.object([&](const std::string& key) {
    return key == kMetadataKey ? scan_metadata(scanner, parsed) : scan_tensor(scanner, key, parsed);
  });
  if (!good) return refused("its header " + scanner.failure());
  const std::string_view rest = json.substr(scanner.offset());
  if (rest.find_first_not_of(' ') != std::string_view::npos)
    return refused("its header has something behind the JSON");
  if (!parsed.has_metadata) return refused("its header has no __metadata__: Hawser did not write it");
  return parsed;
}

/// Takes one member of the metadata out.
std::optional<std::string> take(Parsed& parsed, std::string_view key) {
  const auto found = parsed.metadata.find(key);
  if (found == parsed.metadata.end()) return std::nullopt;
  std::string value = std::move(found->second);
  parsed.metadata.erase(found);
  return value;
}

Result<std::uint64_t> take_revision(Parsed& parsed) {
  const auto version = take(parsed, kVersionKey);
  if (!version) return refused("its metadata lacks \"hawser.checkpoint\": Hawser did not write it");
  if (*version != kVersion)
    return refused("its checkpoint version is " + quoted(*version) + ", and only \"1\" is known");
  const auto revision = take(parsed, kRevisionKey);
  const auto number = revision ? parse_decimal(*revision) : std::nullopt;
  if (!number) return refused("its metadata has no number as \"hawser.revision\"");
  return *number;
}

/// From the first byte of the data to its last, without gap or overlap.
Result<void> check_places(std::vector<Placed>& tensors, std::uint64_t data_bytes) {
  std::sort(tensors.begin(), tensors.end(), [](const Placed& a, const Placed& b) {
    return std::tie(a.begin, a.end, a.entry.name) < std::tie(b.begin, b.end, b.entry.name);
  });
  std::uint64_t at = 0;
  for (const Placed& placed : tensors) {
    const std::string tensor = "the tensor " + quoted(placed.entry.name);
    if (placed.begin > placed.end || placed.end > data_bytes)
      return refused(tensor + " lies at bytes " + std::to_string(placed.begin) + " to " +
                     std::to_string(placed.end) + " of " + std::to_string(data_bytes) + " bytes of data");
    if (placed.begin != at)
      return refused(tensor + " begins at byte " + std::to_string(placed.begin) + " of the data, where " +
                     (placed.begin < at ? "another one lies" : "byte " + std::to_string(at) + " is next"));
    const std::uint64_t element = element_bytes(placed.entry.type);
    const std::uint64_t bytes = placed.end - placed.begin;
    if (bytes % element != 0 || bytes / element != placed.entry.count)
      return refused(tensor + " has " + std::to_string(bytes) + " bytes for " +
                     std::to_string(placed.entry.count) + " " + to_string(placed.entry.type));
    at = placed.end;
  }
  if (at == data_bytes) return {};
  return refused("it has " + std::to_string(data_bytes - at) + " bytes of data that belong to no tensor");
}

void append_number(std::vector<std::byte>& bytes, std::uint64_t number) {
  for (unsigned shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<std::byte>(number >> shift));
}

std::string json_string(std::string_view text) {
  std::string json = "\"";
  for (const char character : text) {
    if (character == '"' || character == '\\') json += '\\';
    json += character;
  }
  return json += '"';
}

}  // namespace

Digest128 checkpoint_digest(const CheckpointHeader& header) {
  std::vector<const CheckpointEntry*> by_name;
  for (const CheckpointEntry& entry : header.entries) by_name.push_back(&entry);
  std::sort(by_name.begin(), by_name.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  std::vector<std::byte> bytes;
  append_number(bytes, header.revision);
  append_number(bytes, by_name.size());
  for (const CheckpointEntry* entry : by_name) {
    append_number(bytes, entry->name.size());
    for (const char character : entry->name) bytes.push_back(static_cast<std::byte>(character));
    append_number(bytes, static_cast<std::uint64_t>(entry->type));
    append_number(bytes, entry->count);
    append_number(bytes, entry->digest.low);
    append_number(bytes, entry->digest.high);
  }
  return digest_content(bytes, 0);
}

Result<void> check_checkpoint_header(const CheckpointHeader& header) {
  const auto refuse = [](std::string why) { return Error{Status::invalid_argument, std::move(why)}; };
  if (header.entries.size() > limits::kTensorsMax)
    return refuse("it has " + std::to_string(header.entries.size()) + " tensors; at most " +
                  std::to_string(limits::kTensorsMax) + " are allowed");
  std::vector<std::string_view> names;
  std::uint64_t left = limits::kTensorBytesMax;
  for (const CheckpointEntry& entry : header.entries) {
    if (const auto name = check_tensor_name(entry.name); !name.ok()) return name.error();
    if (entry.name == kMetadataKey) return refuse("no tensor can have the name \"__metadata__\"");
    if (entry.count > left / element_bytes(entry.type))
      return refuse("its tensors have more than " + std::to_string(limits::kTensorBytesMax) + " bytes");
    left -= content_bytes(entry);
    names.push_back(entry.name);
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) return refuse("the tensor " + quoted(*twice) + " is there twice");
  return {};
}

void order_for_file(std::vector<CheckpointEntry>& entries) {
  std::sort(entries.begin(), entries.end(), [](const CheckpointEntry& a, const CheckpointEntry& b) {
    const std::size_t of_a = element_bytes(a.type);
    const std::size_t of_b = element_bytes(b.type);
    return of_a != of_b ? of_a > of_b : a.name < b.name;
  });
}

std::string encode_checkpoint_header(const CheckpointHeader& header) {
  const auto member = [](std::string_view key, std::string_view value) {
    return json_string(key) + ":" + json_string(value);
  };
  std::string json = "{" + json_string(kMetadataKey) + ":{" + member(kVersionKey, kVersion) + "," +
                     member(kRevisionKey, std::to_string(header.revision)) + "," +
                     member(kDigestKey, to_string(checkpoint_digest(header)));
  for (const CheckpointEntry& entry : header.entries)
    json += "," + member(std::string(kTensorDigestPrefix) + entry.name, to_string(entry.digest));
  json += "}";
  std::uint64_t at = 0;
  for (const CheckpointEntry& entry : header.entries) {
    const std::uint64_t end = at + content_bytes(entry);
    json += "," + json_string(entry.name) + ":{" + member("dtype", type_name(entry.type)) + ",\"shape\":[" +
            std::to_string(entry.count) + "],\"data_offsets\":[" + std::to_string(at) + "," +
            std::to_string(end) + "]}";
    at = end;
  }
  json += "}";
  json.resize((json.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  return json;
}

Result<CheckpointHeader> decode_checkpoint_header(std::string_view json, std::uint64_t data_bytes) {
  auto parsed = parse(json);
  if (!parsed.ok()) return parsed.error();
  const auto revision = take_revision(*parsed);
  if (!revision.ok()) return revision.error();
  if (const auto placed = check_places(parsed->tensors, data_bytes); !placed.ok()) return placed.error();

  CheckpointHeader header{.revision = *revision};
  for (Placed& placed : parsed->tensors) {
    const auto text = take(*parsed, std::string(kTensorDigestPrefix) + placed.entry.name);
    const auto digest = text ? parse_digest128(*text) : std::nullopt;
    if (!digest) return refused("its metadata has no digest of the tensor " + quoted(placed.entry.name));
    placed.entry.digest = *digest;
    header.entries.push_back(std::move(placed.entry));
  }
  const auto whole = take(*parsed, kDigestKey);
  if (!whole) return refused("its metadata lacks \"hawser.digest\"");
  if (!parsed->metadata.empty())
    return refused("its metadata has " + quoted(parsed->metadata.begin()->first) +
                   ", which belongs to nothing");
  if (const auto checked = check_checkpoint_header(header); !checked.ok())
    return refused(checked.error().sentence);
  if (*whole != to_string(checkpoint_digest(header)))
    return refused("its header was altered: what it says has another digest than \"hawser.digest\"");
  return header;
}

}  // namespace hawser
