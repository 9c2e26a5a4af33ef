#include "checkpoints.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>

#include "hawser_shared_state.h"

namespace hawser::churn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrefix = "state-";
constexpr const char* kSuffix = ".safetensors";
constexpr std::size_t kKept = 2;
constexpr double kDamageChance = 0.25;

// Cut off somewhere, or one bit of it turned.
void damage(const fs::path& file, std::mt19937_64& random) {
  const std::uint64_t at = random() % fs::file_size(file);
  if (random() % 2 == 0) return fs::resize_file(file, at);
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(at));
  const int byte = stream.get();
  stream.seekp(static_cast<std::streamoff>(at));
  stream.put(static_cast<char>(byte ^ (1 << random() % 8)));
}

}  // namespace

std::vector<std::uint64_t> Checkpoints::numbers() const {
  std::vector<std::uint64_t> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    std::uint64_t number = 0;
    if (std::from_chars(name.data() + std::char_traits<char>::length(kPrefix), name.data() + name.size(),
                        number)
            .ec == std::errc{})
      found.push_back(number);
  }
  std::ranges::sort(found);
  return found;
}

fs::path Checkpoints::path_of(std::uint64_t number) const {
  return folder_ / (kPrefix + std::to_string(number) + kSuffix);
}

void Checkpoints::tell(const char* did) const { reporter_.say(LineBuilder("checkpoint").add("did", did)); }

void Checkpoints::save(const TrainedState& state) {
  const std::vector<std::uint64_t> before = numbers();
  const fs::path path = path_of(before.empty() ? 1 : before.back() + 1);
  if (hawserSharedStateSave(state.handle(), path.c_str()) != hawserSuccess)
    return reporter_.violation("checkpoint", std::string("not saved: ") + hawserGetLastError());
  tell("saved");
  for (std::size_t i = 0; i + kKept <= before.size(); ++i) fs::remove(path_of(before[i]));
}

bool Checkpoints::is_complete(const TrainedState& state) {
  const fs::path path = folder_ / "probe";
  const hawserResult_t result = hawserSharedStateSave(state.handle(), path.c_str());
  if (result != hawserSuccess && result != hawserErrorInvalidUsage)
    reporter_.violation("checkpoint", std::string("not saved: ") + hawserGetLastError());
  std::error_code none_there;
  fs::remove(path, none_there);
  return result == hawserSuccess;
}

bool Checkpoints::load_newest(TrainedState& state, std::mt19937_64& random) {
  const std::vector<std::uint64_t> there = numbers();
  if (there.empty()) return false;
  const fs::path newest = path_of(there.back());
  if (std::bernoulli_distribution(kDamageChance)(random)) try_damaged(state, newest, random);
  std::uint64_t revision = 0;
  // A file is there whole or not at all, whenever its writer was killed.
  if (hawserSharedStateLoad(state.handle(), newest.c_str(), &revision) != hawserSuccess) {
    reporter_.violation("checkpoint", std::string("not loaded: ") + hawserGetLastError());
    return false;
  }
  state.fetch_back();
  state.settled();
  if (revision != state.revision())
    reporter_.violation("checkpoint", "it says revision " + std::to_string(revision) + ", the state " +
                                          std::to_string(state.revision()));
  tell("loaded");
  return true;
}

void Checkpoints::try_damaged(TrainedState& state, const fs::path& original, std::mt19937_64& random) {
  const fs::path copy = folder_ / "damaged";
  fs::copy_file(original, copy, fs::copy_options::overwrite_existing);
  damage(copy, random);
  const std::uint64_t content = state.content();
  const std::uint64_t revision = state.revision();
  const hawserResult_t result = hawserSharedStateLoad(state.handle(), copy.c_str(), nullptr);
  state.fetch_back();
  if (result != hawserErrorRefused)
    reporter_.violation("checkpoint", std::string("a damaged one gave: ") + hawserGetResultName(result));
  if (state.content() != content || state.revision() != revision)
    reporter_.violation("lost_input", "a checkpoint that was refused has changed the state");
  fs::remove(copy);
  tell("refused");
}

}  // namespace hawser::churn
