/// `hawser keygen`, as a person calls it.
#include <sys/stat.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <hawser/hawser.hpp>
#include <string>

#include "catch.hpp"

namespace {

/// Calls of `hawser keygen` in a folder of their own.
class KeygenCalls {
 public:
  KeygenCalls() {
    std::string pattern = (std::filesystem::temp_directory_path() / "hawser-keygen-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
  }
  ~KeygenCalls() { std::filesystem::remove_all(folder_); }
  KeygenCalls(const KeygenCalls&) = delete;
  KeygenCalls& operator=(const KeygenCalls&) = delete;

  struct Answer {
    int status = -1;
    std::string said;
  };
  Answer call(const std::string& arguments) const {
    const std::string command = "cd " + folder_ + " && " + HAWSER_TOOL + " keygen " + arguments + " 2>&1";
    FILE* const pipe = ::popen(command.c_str(), "r");
    REQUIRE(pipe != nullptr);
    Answer answer;
    std::array<char, 256> piece{};
    while (std::fgets(piece.data(), piece.size(), pipe) != nullptr) answer.said += piece.data();
    const int status = ::pclose(pipe);
    answer.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return answer;
  }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }

 private:
  std::string folder_;
};

}  // namespace

TEST_CASE("keygen makes a secret that only its owner may read, and overwrites nothing") {
  const KeygenCalls keygen;
  const auto made = keygen.call("run.secret");
  INFO(made.said);
  CHECK(made.status == 0);
  struct stat found {};
  REQUIRE(::stat(keygen.path("run.secret").c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0600);
  CHECK(made.said.find(hawser::key_info(keygen.path("run.secret"))->run) != std::string::npos);
  CHECK(keygen.call("run.secret").status == 1);
}

TEST_CASE("keygen issues a key with a role, groups and an end") {
  const KeygenCalls keygen;
  REQUIRE(keygen.call("run.secret").status == 0);
  const auto made = keygen.call("--issue ada --role reader --groups 0,2 --days 7 --secret-file run.secret ada.key");
  INFO(made.said);
  CHECK(made.status == 0);
  const auto info = hawser::key_info(keygen.path("ada.key"));
  REQUIRE(info);
  CHECK(info->role == hawserRoleReader);
  CHECK((info->groups == std::vector<std::uint32_t>{0, 2}));
  CHECK(made.said.find(info->key) != std::string::npos);
  CHECK(made.said.find("role reader, groups 0,2") != std::string::npos);
  CHECK(keygen.call("--issue ada eve.key").status != 0);
  CHECK(keygen.call("--issue ada --role king --secret-file run.secret eve.key").status != 0);
  CHECK(keygen.call("--issue ada --groups 2,0 --secret-file run.secret eve.key").status == 1);
}
