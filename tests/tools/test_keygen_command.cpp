/// `hawser keygen` as a person calls it.
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "tool_command.hpp"

using namespace hawser::test;

namespace {

/// A folder that is gone with its owner.
class KeyFolder {
 public:
  KeyFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "hawser_keygen_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  KeyFolder(const KeyFolder&) = delete;
  KeyFolder& operator=(const KeyFolder&) = delete;
  ~KeyFolder() { std::filesystem::remove_all(path_); }
  std::string file(const char* name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("a secret is made once, and keys are issued from it") {
  const KeyFolder folder;
  const std::string secret = folder.file("run.key"), key = folder.file("madrid.key");
  const Said made = run("keygen " + secret);
  CHECK(made.exit_status == 0);
  CHECK(has(made.text, "holds the secret of run "));
  struct stat found {};
  REQUIRE(::stat(secret.c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0600);
  CHECK(run("keygen " + secret).exit_status == 1);

  const std::string issue = "keygen --issue 'madrid 1' --secret-file " + secret + " --role reader --groups 0,2 --days 3 ";
  const Said issued = run(issue + key);
  CHECK(issued.exit_status == 0);
  CHECK(has(issued.text, "for madrid 1, role reader, groups 0,2, valid for 3 days"));
  CHECK(has(run(issue + key).text, "exists already"));

  CHECK(has(run("keygen --issue x --secret-file " + key + " " + folder.file("x")).text, "holds no run secret"));
  CHECK(has(run("keygen --issue x --groups 2,0 --secret-file " + secret + " " + folder.file("x")).text, "ascending"));
  CHECK(run("keygen --issue x " + folder.file("x")).exit_status != 0);
  CHECK(run("keygen --issue '' --secret-file " + secret + " " + folder.file("x")).exit_status == 1);
  CHECK(run("keygen --role reader " + folder.file("x")).exit_status != 0);
  REQUIRE(::chmod(secret.c_str(), 0644) == 0);
  CHECK(has(run("keygen --issue x --secret-file " + secret + " " + folder.file("x")).text, "chmod 600 " + secret));
  CHECK_FALSE(std::filesystem::exists(folder.file("x")));
}
