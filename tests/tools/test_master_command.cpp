/// `hawser master` as a person starts it: what it says of where it listens.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <hawser/hawser.hpp>
#include <string>

#include "catch.hpp"

namespace {

/// The command in a process of its own, until it is ended by a signal, as a service is.
class MasterProcess {
 public:
  /// `option`: one more, or none.
  explicit MasterProcess(const std::string& listen, const char* option = nullptr) {
    std::array<int, 2> ends{-1, -1};
    REQUIRE(::pipe(ends.data()) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::close(ends[0]);
      ::close(ends[1]);
      ::execl(HAWSER_TOOL, HAWSER_TOOL, "master", "--listen", listen.c_str(), option, static_cast<char*>(nullptr));
      ::_exit(127);
    }
    ::close(ends[1]);
    FILE* const said = ::fdopen(ends[0], "r");
    REQUIRE(said != nullptr);
    for (int c = std::fgetc(said); c != EOF && c != '\n'; c = std::fgetc(said)) first_line_ += static_cast<char>(c);
    std::fclose(said);
  }
  ~MasterProcess() {
    if (pid_ > 0) (void)end();
  }
  MasterProcess(const MasterProcess&) = delete;
  MasterProcess& operator=(const MasterProcess&) = delete;

  const std::string& first_line() const { return first_line_; }
  bool says(const std::string& part) const { return first_line_.find(part) != std::string::npos; }
  int end() {
    int status = -1;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t pid_ = -1;
  std::string first_line_;
};

}  // namespace

TEST_CASE("a master says over which families it listens") {
  MasterProcess everywhere(":0", "--insecure");
  INFO(everywhere.first_line());
  CHECK(everywhere.first_line().starts_with("listening on "));
  CHECK(everywhere.says("IPv4 and IPv6"));
  CHECK(everywhere.end() == 0);
  const MasterProcess v4("0.0.0.0:0", "--insecure");
  INFO(v4.first_line());
  CHECK(v4.says("0.0.0.0:"));
  CHECK(v4.says("IPv4 only"));
  const MasterProcess here("127.0.0.1:0");
  CHECK(here.first_line().starts_with("listening on 127.0.0.1:"));
  CHECK_FALSE(here.says("IPv"));
}

TEST_CASE("a master without a key says that it listens on this machine only") {
  const MasterProcess here(":0");
  INFO(here.first_line());
  CHECK(here.says("of this machine only"));
}

TEST_CASE("a master that says its address can be dialled there") {
  const MasterProcess here("127.0.0.1:0");
  const std::string address = here.first_line().substr(std::string("listening on ").size());
  auto comm = hawser::Communicator::create({.master = address, .connect_ms = 20'000});
  REQUIRE(comm);
  CHECK(comm->connect());
}
