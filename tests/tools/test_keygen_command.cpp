/// `hawser keygen`, as a person calls it.
#include <sys/stat.h>

#include <cstdint>
#include <cstdlib>
#include <hawser/hawser.hpp>
#include <string>
#include <vector>

#include "catch.hpp"
#include "scratch_folder.hpp"
#include "tool_command.hpp"

namespace {

/// Calls of `hawser keygen` with files in a folder of their own.
class KeygenCalls {
 public:
  std::string path(const std::string& name) const { return folder_ / name; }
  hawser::test::Said secret() const { return hawser::test::run("keygen " + path("run.secret")); }
  hawser::test::Said issue(const std::string& options, const std::string& name) const {
    return hawser::test::run("keygen --issue ada --secret-file " + path("run.secret") + " " + options + " " +
                             path(name));
  }

 private:
  hawser::test::ScratchFolder folder_;
};

}  // namespace

TEST_CASE("keygen makes a secret that only its owner may read, and overwrites nothing") {
  const KeygenCalls keygen;
  const auto made = keygen.secret();
  INFO(made.text);
  CHECK(made.exit_status == 0);
  struct stat found {};
  REQUIRE(::stat(keygen.path("run.secret").c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0600);
  CHECK(hawser::test::has(made.text, hawser::key_info(keygen.path("run.secret"))->run));
  CHECK(keygen.secret().exit_status == 1);
}

TEST_CASE("keygen issues a key with a role, groups and an end") {
  const KeygenCalls keygen;
  REQUIRE(keygen.secret().exit_status == 0);
  const auto made = keygen.issue("--role reader --groups 0,2 --days 7", "ada.key");
  INFO(made.text);
  CHECK(made.exit_status == 0);
  const auto info = hawser::key_info(keygen.path("ada.key"));
  REQUIRE(info);
  CHECK(info->role == hawserRoleReader);
  CHECK((info->groups == std::vector<std::uint32_t>{0, 2}));
  CHECK(hawser::test::has(made.text, info->key));
  CHECK(hawser::test::has(made.text, "role reader, groups 0,2"));
  CHECK(keygen.issue("--role king", "eve.key").exit_status != 0);
  CHECK(keygen.issue("--groups 2,0", "eve.key").exit_status == 1);
  CHECK(hawser::test::run("keygen --issue ada " + keygen.path("eve.key")).exit_status != 0);
  // A name that a script forgot to set makes no secret.
  const std::string rest = " --secret-file " + keygen.path("run.secret") + " " + keygen.path("eve.key");
  for (const std::string name : {"''", "site/gpu0"})
    CHECK(hawser::test::run("keygen --issue " + name + rest).exit_status != 0);
  CHECK_FALSE(hawser::key_info(keygen.path("eve.key")));
}
