/// What a checkpoint file says about itself, through the C face.
#include <hawser_shared_state.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "catch.hpp"
#include "scratch_folder.hpp"

namespace {

/// A folder with one checkpoint of two tensors at revision 7, gone with its owner.
class SavedCheckpoint {
 public:
  SavedCheckpoint() {
    std::vector<float> weights(1000, 1.5F);
    std::vector<std::uint16_t> ids(5, 3);
    const std::vector<hawserStateTensor_t> tensors{
        {"weights", weights.data(), weights.size(), hawserFloat32, hawserMemoryByAddress, 0},
        {"ids", ids.data(), ids.size(), hawserUint16, hawserMemoryByAddress, 0}};
    hawserSharedState_t state = nullptr;
    REQUIRE(hawserSharedStateCreate(tensors.data(), tensors.size(), &state) == hawserSuccess);
    REQUIRE(hawserSharedStateSetRevision(state, 7) == hawserSuccess);
    REQUIRE(hawserSharedStateSave(state, path().c_str()) == hawserSuccess);
    REQUIRE(hawserSharedStateDestroy(state) == hawserSuccess);
  }

  std::string path() const { return folder_ / "model.safetensors"; }
  void damage_last_byte() const {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(-1, std::ios::end);
    const char last = static_cast<char>(file.get() ^ 1);
    file.seekp(-1, std::ios::end);
    file.put(last);
  }

 private:
  hawser::test::ScratchFolder folder_;
};

struct Shown {
  std::string name;
  hawserDataType_t type;
  std::uint64_t count, bytes;
  std::string digest;
};

void keep(void* user, const hawserCheckpointTensor_t* tensor) {
  static_cast<std::vector<Shown>*>(user)->push_back(
      {tensor->name, tensor->type, tensor->count, tensor->bytes, tensor->digest});
}

void keep_progress(void* user, std::uint64_t done, std::uint64_t total) {
  CHECK(done <= total);
  *static_cast<std::uint64_t*>(user) = done;
}

bool last_error_has(const std::string& part) {
  return std::string(hawserGetLastError()).find(part) != std::string::npos;
}

TEST_CASE("a checkpoint is described and verified") {
  const SavedCheckpoint saved;
  std::vector<Shown> shown;
  hawserCheckpointInfo_t described = HAWSER_CHECKPOINT_INFO_INIT;
  REQUIRE(hawserCheckpointDescribe(saved.path().c_str(), keep, &shown, &described) == hawserSuccess);
  CHECK(described.revision == 7);
  CHECK(described.tensors == 2);
  CHECK(described.bytes == 4010);
  CHECK(std::string(described.digest).size() == HAWSER_DIGEST_BYTES - 1);
  REQUIRE(shown.size() == 2);
  CHECK(shown[0].name == "weights");  // larger elements first
  CHECK(shown[0].type == hawserFloat32);
  CHECK(shown[0].count == 1000);
  CHECK(shown[0].bytes == 4000);
  CHECK(shown[0].digest.size() == HAWSER_DIGEST_BYTES - 1);
  CHECK(shown[1].name == "ids");
  CHECK(shown[1].type == hawserUint16);
  CHECK(shown[1].digest != shown[0].digest);

  std::uint64_t done = 0;
  hawserCheckpointInfo_t verified = HAWSER_CHECKPOINT_INFO_INIT;
  REQUIRE(hawserCheckpointVerify(saved.path().c_str(), keep_progress, &done, &verified) == hawserSuccess);
  CHECK(done == 4010);
  CHECK(verified.revision == 7);
  CHECK(std::string(verified.digest) == described.digest);
  CHECK(hawserCheckpointDescribe(saved.path().c_str(), nullptr, nullptr, nullptr) == hawserSuccess);
  CHECK(hawserCheckpointVerify(saved.path().c_str(), nullptr, nullptr, nullptr) == hawserSuccess);
}

TEST_CASE("a damaged checkpoint is still described, and not verified") {
  const SavedCheckpoint saved;
  saved.damage_last_byte();
  hawserCheckpointInfo_t info = HAWSER_CHECKPOINT_INFO_INIT;
  CHECK(hawserCheckpointDescribe(saved.path().c_str(), nullptr, nullptr, &info) == hawserSuccess);
  info.revision = 99;
  CHECK(hawserCheckpointVerify(saved.path().c_str(), nullptr, nullptr, &info) == hawserErrorRefused);
  CHECK(last_error_has("\"ids\" is damaged"));
  CHECK(info.revision == 99);
}

TEST_CASE("what is no checkpoint shows no tensor") {
  const SavedCheckpoint saved;
  std::filesystem::resize_file(saved.path(), 100);
  std::vector<Shown> shown;
  CHECK(hawserCheckpointDescribe(saved.path().c_str(), keep, &shown, nullptr) == hawserErrorRefused);
  CHECK(last_error_has("cut off"));
  CHECK(shown.empty());
  CHECK(hawserCheckpointVerify("/nowhere/at all", nullptr, nullptr, nullptr) == hawserErrorSystem);
  CHECK(hawserCheckpointVerify(nullptr, nullptr, nullptr, nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserCheckpointDescribe("", nullptr, nullptr, nullptr) == hawserErrorInvalidArgument);
  hawserCheckpointInfo_t unset{};
  CHECK(hawserCheckpointVerify(saved.path().c_str(), nullptr, nullptr, &unset) == hawserErrorInvalidArgument);
}

}  // namespace
