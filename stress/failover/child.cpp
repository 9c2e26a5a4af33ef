#include "failover/child.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace hawser::failover {
namespace {

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

}  // namespace

Child::Child(const std::vector<std::string>& command, const std::string& output) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& one : command) arguments.push_back(const_cast<char*>(one.c_str()));
  arguments.push_back(nullptr);
  const int file = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) fail("cannot write " + output);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(file, STDOUT_FILENO);
    ::dup2(file, STDERR_FILENO);
    ::execvp(arguments.front(), arguments.data());
    ::_exit(127);
  }
  ::close(file);
  if (pid_ < 0) fail("cannot start " + command.front());
}

Child::~Child() { kill(); }

void Child::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}
void Child::end() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}
void Child::stop() { ::kill(pid_, SIGSTOP); }
void Child::go_on() { ::kill(pid_, SIGCONT); }

std::uint16_t free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  const bool done = socket >= 0 && ::bind(socket, reinterpret_cast<sockaddr*>(&address), bytes) == 0 &&
                    ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &bytes) == 0;
  if (socket >= 0) ::close(socket);
  if (!done) fail("no free port");
  return ntohs(address.sin_port);
}

ScratchFolder::ScratchFolder() : path_(std::filesystem::temp_directory_path() / "hawser-failover-XXXXXX") {
  if (::mkdtemp(path_.data()) == nullptr) fail("cannot make a folder like " + path_);
}
ScratchFolder::~ScratchFolder() {
  std::error_code ignored;  // Whatever is left lies in the system's temporary folder.
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace hawser::failover
