#include "checkpoint/checkpoint_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"
#include "kernels/content_digest.hpp"
#include "scratch_folder.hpp"

namespace hawser {
namespace {

namespace fs = std::filesystem;
using test::ScratchFolder;

std::size_t files_in(const ScratchFolder& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()));
}

struct TestTensor {
  std::string name;
  DataType type;
  std::uint64_t count;
  std::vector<std::byte> content;
};

TestTensor random_tensor(const std::string& name, DataType type, std::uint64_t count,
                         std::uint64_t seed = 1) {
  Random random(seed);
  TestTensor tensor{name, type, count, std::vector<std::byte>(count * element_bytes(type))};
  for (std::byte& byte : tensor.content) byte = static_cast<std::byte>(random.next());
  return tensor;
}

std::vector<TestTensor> small_model(std::uint64_t seed = 1) {
  return {random_tensor("w", DataType::float32, 7, seed), random_tensor("b", DataType::bfloat16, 3, seed + 1),
          random_tensor("größe", DataType::int64, 2, seed + 2), random_tensor("empty", DataType::uint8, 0)};
}

Result<void> save(const std::string& path, std::uint64_t revision, const std::vector<TestTensor>& tensors) {
  std::vector<CheckpointSource> sources;
  for (const TestTensor& tensor : tensors)
    sources.push_back(
        {.name = tensor.name, .type = tensor.type, .count = tensor.count, .data = tensor.content.data()});
  return save_checkpoint(path, revision, sources);
}

Result<std::uint64_t> load(const std::string& path, std::vector<TestTensor>& tensors) {
  std::vector<CheckpointTarget> targets;
  for (TestTensor& tensor : tensors)
    targets.push_back(
        {.name = tensor.name, .type = tensor.type, .count = tensor.count, .data = tensor.content.data()});
  return load_checkpoint(path, targets);
}

bool same_content(const std::vector<TestTensor>& a, const std::vector<TestTensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& one, const auto& other) { return one.content == other.content; });
}

std::string read_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Loads what must be refused into memory that must stay as it is.
Error refused_load(const std::string& path, std::vector<TestTensor> targets = small_model(100)) {
  const std::vector<TestTensor> before = targets;
  const auto loaded = load(path, targets);
  REQUIRE_FALSE(loaded.ok());
  REQUIRE(same_content(targets, before));
  REQUIRE(contains(loaded.error().sentence, path));
  return loaded.error();
}

std::string damage(const std::string& path, const std::string& content) {
  write_file(path, content);
  const Error error = refused_load(path);
  REQUIRE(error.status == Status::refused);
  const auto verified = verify_checkpoint(path);
  REQUIRE_FALSE(verified.ok());
  CHECK(verified.status() == Status::refused);
  CHECK(verified.error().sentence == error.sentence);
  return error.sentence;
}

std::string length_bytes(std::uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes;
}

/// No file may grow beyond so many bytes while it lives: as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(std::uint64_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
    const rlimit limit{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

}  // namespace

TEST_CASE("a checkpoint comes back as it was saved") {
  const ScratchFolder folder;
  const std::string path = folder / "model.safetensors";
  const auto saved = small_model();
  REQUIRE(save(path, 42, saved).ok());
  CHECK(files_in(folder) == 1);
  auto loaded = small_model(100);
  REQUIRE_FALSE(same_content(loaded, saved));
  // The order of the caller's tensors does not matter.
  std::swap(loaded[0], loaded[2]);
  const auto revision = load(path, loaded);
  INFO((revision.ok() ? "" : revision.error().sentence));
  REQUIRE(revision.ok());
  CHECK(*revision == 42);
  std::swap(loaded[0], loaded[2]);
  CHECK(same_content(loaded, saved));
}

TEST_CASE("every type and sizes around a slice come back") {
  const ScratchFolder folder;
  const std::string path = folder / "model";
  std::vector<TestTensor> saved;
  for (const DataType type : kDataTypes) saved.push_back(random_tensor(to_string(type), type, 1001));
  for (const std::uint64_t bytes :
       {kDigestSliceBytes - 1, kDigestSliceBytes, kDigestSliceBytes + 1, 2 * kDigestSliceBytes})
    saved.push_back(random_tensor("bytes " + std::to_string(bytes), DataType::uint8, bytes, bytes));
  constexpr std::uint64_t kMost = ~std::uint64_t{0};
  REQUIRE(save(path, kMost, saved).ok());
  auto loaded = saved;
  for (TestTensor& tensor : loaded) std::fill(tensor.content.begin(), tensor.content.end(), std::byte{0x5a});
  const auto revision = load(path, loaded);
  REQUIRE(revision.ok());
  CHECK(*revision == kMost);
  CHECK(same_content(loaded, saved));
}

TEST_CASE("a checkpoint without tensors holds a revision") {
  const ScratchFolder folder;
  REQUIRE(save(folder / "empty", 3, {}).ok());
  std::vector<TestTensor> none;
  const auto revision = load(folder / "empty", none);
  REQUIRE(revision.ok());
  CHECK(*revision == 3);
}

TEST_CASE("the file is laid out as safetensors wants it") {
  const ScratchFolder folder;
  const std::string path = folder / "model";
  const auto saved = small_model();
  REQUIRE(save(path, 42, saved).ok());
  const std::string file = read_file(path);
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  CHECK(length % 8 == 0);
  CHECK(file[8] == '{');
  CHECK(file.size() == 8 + length + 28 + 6 + 16);
  const auto header = read_checkpoint_header(path);
  REQUIRE(header.ok());
  CHECK(header->revision == 42);
  REQUIRE(header->entries.size() == 4);
  std::size_t offset = 8 + static_cast<std::size_t>(length);
  for (const CheckpointEntry& entry : header->entries) {
    const auto tensor =
        std::find_if(saved.begin(), saved.end(), [&](const auto& other) { return other.name == entry.name; });
    REQUIRE(tensor != saved.end());
    CHECK(offset % element_bytes(entry.type) == 0);
    const auto bytes = std::as_bytes(std::span(file)).subspan(offset, tensor->content.size());
    CHECK(std::equal(bytes.begin(), bytes.end(), tensor->content.begin()));
    CHECK(entry.digest == digest_content(tensor->content, 0));
    offset += tensor->content.size();
  }
}

TEST_CASE("the same state makes the same file") {
  const ScratchFolder folder;
  auto tensors = small_model();
  REQUIRE(save(folder / "one", 42, tensors).ok());
  std::swap(tensors[0], tensors[3]);
  REQUIRE(save(folder / "other", 42, tensors).ok());
  CHECK(read_file(folder / "one") == read_file(folder / "other"));
}

TEST_CASE("a file that is cut anywhere is refused") {
  const ScratchFolder folder;
  const std::string path = folder / "model";
  REQUIRE(save(path, 42, small_model()).ok());
  const std::string whole = read_file(path);
  for (std::size_t length = 0; length < whole.size(); ++length) damage(path, whole.substr(0, length));
  CHECK(contains(damage(path, ""), "only 0 bytes"));
  CHECK(contains(damage(path, whole.substr(0, 7)), "only 7 bytes"));
  CHECK(contains(damage(path, whole.substr(0, 100)), "cut off"));
  CHECK(contains(damage(path, whole + '\0'), "belong to no tensor"));
}

TEST_CASE("a file with any bit flipped is refused") {
  const ScratchFolder folder;
  const std::string path = folder / "model";
  REQUIRE(save(path, 42, small_model()).ok());
  const std::string whole = read_file(path);
  Random random(3);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string altered = whole;
    altered[at] = static_cast<char>(altered[at] ^ (1 << random.below(8)));
    damage(path, altered);
  }
  std::string altered = whole;
  altered.back() = static_cast<char>(altered.back() ^ 1);
  CHECK(contains(damage(path, altered), "\"b\" is damaged"));
}

TEST_CASE("verifying reads all of a good file and tells how far it is") {
  const ScratchFolder folder;
  const std::string path = folder / "model";
  auto saved = small_model();
  saved.push_back(random_tensor("large", DataType::uint8, 2 * kDigestSliceBytes + 17));
  REQUIRE(save(path, 42, saved).ok());
  std::vector<std::uint64_t> told;
  std::uint64_t total = 0;
  const auto verified = verify_checkpoint(path, [&](std::uint64_t done, std::uint64_t all) {
    told.push_back(done);
    total = all;
  });
  REQUIRE(verified.ok());
  CHECK(*verified == *read_checkpoint_header(path));
  CHECK(total == 50 + 2 * kDigestSliceBytes + 17);
  CHECK(std::is_sorted(told.begin(), told.end()));
  CHECK(told.size() == 6);  // three of the large one, one of each that is small
  CHECK(told.back() == total);
}

TEST_CASE("verifying finds a single damaged bit in the last of several slices, and what is not there") {
  const ScratchFolder folder;
  const std::string path = folder / "model";
  REQUIRE(save(path, 1, {random_tensor("large", DataType::uint8, 3 * kDigestSliceBytes + 17)}).ok());
  std::string file = read_file(path);
  file.back() = static_cast<char>(file.back() ^ 0x10);
  write_file(path, file);
  const auto verified = verify_checkpoint(path);
  REQUIRE_FALSE(verified.ok());
  CHECK(verified.status() == Status::refused);
  CHECK(contains(verified.error().sentence, "\"large\" is damaged"));
  CHECK(verify_checkpoint(folder / "nothing").status() == Status::system);
  REQUIRE(save(folder / "empty", 3, {}).ok());
  CHECK(verify_checkpoint(folder / "empty").ok());
}

TEST_CASE("damage deep in a large tensor is found before anything is written") {
  const ScratchFolder folder;
  const std::string path = folder / "model";
  const auto saved = std::vector{random_tensor("a", DataType::float32, 10),
                                 random_tensor("large", DataType::uint8, 3 * kDigestSliceBytes + 17)};
  REQUIRE(save(path, 1, saved).ok());
  std::string file = read_file(path);
  file[file.size() - 5] = static_cast<char>(file[file.size() - 5] ^ 0x10);
  write_file(path, file);
  auto targets = saved;
  for (TestTensor& tensor : targets) std::fill(tensor.content.begin(), tensor.content.end(), std::byte{0});
  CHECK(contains(refused_load(path, targets).sentence, "\"large\" is damaged"));
  // The header alone is good.
  CHECK(read_checkpoint_header(path).ok());
}

TEST_CASE("lengths that lie are refused before memory is taken") {
  const ScratchFolder folder;
  const std::string path = folder / "model";
  REQUIRE(save(path, 42, small_model()).ok());
  const std::string rest = read_file(path).substr(8);
  CHECK(contains(damage(path, length_bytes(~std::uint64_t{0}) + rest), "18446744073709551615"));
  CHECK(contains(damage(path, length_bytes(kCheckpointHeaderBytesMax + 1) + rest), "at most 100000000"));
  CHECK(contains(damage(path, length_bytes(kCheckpointHeaderBytesMax) + rest), "cut off"));
  CHECK(contains(damage(path, length_bytes(rest.size() + 1) + rest), "cut off"));
  damage(path, length_bytes(rest.size()) + rest);
  damage(path, length_bytes(0) + rest);
}

TEST_CASE("other files than Hawser's are refused") {
  const ScratchFolder folder;
  const std::string json = "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
  CHECK(contains(damage(folder / "other", length_bytes(json.size()) + json + "abcd"),
                 "Hawser did not write it"));
  damage(folder / "text", "This is no checkpoint, and long enough to have a header's length.");
}

TEST_CASE("a file with other tensors than the caller's is a mismatch") {
  const ScratchFolder folder;
  const std::string path = folder / "model";
  REQUIRE(save(path, 42, small_model()).ok());
  auto targets = small_model(100);
  const auto mismatch = [&] {
    const Error error = refused_load(path, targets);
    CHECK(error.status == Status::mismatch);
    return error.sentence;
  };
  SECTION("one that the file lacks") {
    targets.push_back(random_tensor("more", DataType::int8, 1));
    CHECK(contains(mismatch(), "\"more\" is missing in the file"));
  }
  SECTION("one that the caller lacks") {
    targets.erase(targets.begin());
    CHECK(contains(mismatch(), "\"w\" is in the file"));
  }
  SECTION("another count") {
    targets[0] = random_tensor("w", DataType::float32, 8);
    CHECK(contains(mismatch(), "\"w\" is 7 float32 in the file, and 8 float32"));
  }
  SECTION("another type of the same size") {
    targets[0] = random_tensor("w", DataType::int32, 7);
    CHECK(contains(mismatch(), "\"w\" is 7 float32 in the file, and 7 int32"));
  }
}

TEST_CASE("a caller's mistakes are told and leave no file") {
  const ScratchFolder folder;
  const std::string path = folder / "model";
  const auto status = [&](const std::vector<TestTensor>& tensors) { return save(path, 1, tensors).status(); };
  CHECK(status({random_tensor("a", DataType::int8, 1), random_tensor("a", DataType::int8, 1)}) ==
        Status::invalid_argument);
  CHECK(status({random_tensor("", DataType::int8, 1)}) == Status::invalid_argument);
  CHECK(status({random_tensor("__metadata__", DataType::int8, 1)}) == Status::invalid_argument);
  CHECK(status({random_tensor("a\n", DataType::int8, 1)}) == Status::invalid_argument);
  const CheckpointSource null{.name = "a", .count = 1};
  CHECK(save_checkpoint(path, 1, std::span(&null, 1)).status() == Status::invalid_argument);
  const CheckpointTarget null_target{.name = "a", .count = 1};
  CHECK(load_checkpoint(path, std::span(&null_target, 1)).status() == Status::invalid_argument);
  CHECK(files_in(folder) == 0);
}

TEST_CASE("a later save takes the place of an earlier one") {
  const ScratchFolder folder;
  const std::string path = folder / "model";
  REQUIRE(save(path, 1, {random_tensor("large", DataType::uint8, 100000)}).ok());
  // What a process that died left behind.
  write_file(path + ".partial", std::string(200000, 'x'));
  REQUIRE(save(path, 2, small_model()).ok());
  CHECK(files_in(folder) == 1);
  auto loaded = small_model(100);
  const auto revision = load(path, loaded);
  REQUIRE(revision.ok());
  CHECK(*revision == 2);
}

TEST_CASE("a save that fails leaves the old file as it was and nothing beside it") {
  const ScratchFolder folder;
  const std::string path = folder / "model";
  REQUIRE(save(path, 1, small_model()).ok());
  const std::string before = read_file(path);
  const std::uint64_t header_bytes = before.size() - 50;
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{5}, std::uint64_t{8}, std::uint64_t{100},
                                    header_bytes, header_bytes + 20, before.size() - 1}) {
    Result<void> saved;
    {
      const FileSizeLimit full(bytes);
      saved = save(path, 1, small_model(7));
    }
    INFO(bytes << " bytes");
    REQUIRE_FALSE(saved.ok());
    CHECK(saved.status() == Status::system);
    CHECK(contains(saved.error().sentence, path));
    CHECK(read_file(path) == before);
    CHECK(files_in(folder) == 1);
  }
  REQUIRE(save(path, 1, small_model(7)).ok());
  CHECK(read_file(path) != before);
}

TEST_CASE("a place that cannot be written is an error") {
  const ScratchFolder folder;
  const auto saved = save(folder / "no such folder/model", 1, small_model());
  REQUIRE_FALSE(saved.ok());
  CHECK(saved.status() == Status::system);
  CHECK(contains(saved.error().sentence, "no such folder/model"));

  SECTION("a folder in the partial file's place") {
    fs::create_directory(folder / "model.partial");
    CHECK(save(folder / "model", 1, small_model()).status() == Status::system);
    CHECK(files_in(folder) == 1);
  }
  SECTION("a folder in the file's place") {
    fs::create_directory(folder / "model");
    CHECK(save(folder / "model", 1, small_model()).status() == Status::system);
    CHECK(fs::is_directory(folder / "model"));
    CHECK(files_in(folder) == 1);
  }
  SECTION("a link in the partial file's place is not followed") {
    write_file(folder / "precious", "precious");
    fs::create_symlink(folder / "precious", folder / "model.partial");
    CHECK(save(folder / "model", 1, small_model()).status() == Status::system);
    CHECK(read_file(folder / "precious") == "precious");
  }
  SECTION("a pipe in the partial file's place does not block") {
    REQUIRE(::mkfifo((folder / "model.partial").c_str(), 0600) == 0);
    CHECK(save(folder / "model", 1, small_model()).status() == Status::system);
  }
  SECTION("a folder without the right to write") {
    if (::geteuid() == 0) return;  // root has every right
    fs::create_directory(folder / "locked");
    fs::permissions(folder / "locked", fs::perms::owner_read | fs::perms::owner_exec);
    CHECK(save(folder / "locked/model", 1, small_model()).status() == Status::system);
  }
}

TEST_CASE("two saves to one path at once: the second is refused") {
  const ScratchFolder folder;
  const std::string path = folder / "model";
  const int other = ::open((path + ".partial").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(other >= 0);
  REQUIRE(::flock(other, LOCK_EX | LOCK_NB) == 0);
  const auto saved = save(path, 1, small_model());
  CHECK(saved.status() == Status::invalid_usage);
  CHECK(files_in(folder) == 1);
  ::close(other);
  CHECK(save(path, 1, small_model()).ok());
  CHECK(files_in(folder) == 1);
}

TEST_CASE("what is no regular file is not loaded, and does not block") {
  const ScratchFolder folder;
  CHECK(refused_load(folder / "nothing").status == Status::system);
  fs::create_directory(folder / "folder");
  CHECK(refused_load(folder / "folder").status == Status::refused);
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(refused_load(folder / "pipe").status == Status::refused);
  CHECK(refused_load("/dev/zero").status == Status::refused);
  CHECK(read_checkpoint_header(folder / "nothing").status() == Status::system);
}

TEST_CASE("a path without a folder is one in the working folder") {
  const ScratchFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder / ".");
  const bool good = save("model", 9, small_model()).ok();
  fs::current_path(before);
  CHECK(good);
  CHECK(fs::exists(folder / "model"));
}

}  // namespace hawser
