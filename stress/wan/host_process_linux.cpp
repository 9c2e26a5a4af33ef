#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "churn/die_with_parent.hpp"
#include "wan/file_descriptor.hpp"
#include "wan/host_process.hpp"

namespace hawser::wan {
namespace {

constexpr int kNoNamespaces = 70;

int complain(const char* what) {
  std::fprintf(stderr, "hawser-wan: %s: %s\n", what, std::strerror(errno));
  return kNoNamespaces;
}

sigset_t supervised_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&set, number);
  return set;
}

int status_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

// Ctrl-C reaches the command by itself; its supervisors stay for its end.
int supervise(pid_t child) {
  const sigset_t signals = supervised_signals();
  while (true) {
    int number = 0;
    if (sigwait(&signals, &number) != 0) continue;
    if (number == SIGTERM) ::kill(child, SIGTERM);
    if (number != SIGCHLD) continue;
    int status = 0;
    // The first process of a namespace also inherits orphans.
    for (pid_t ended = 0; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;)
      if (ended == child) return status_of(status);
  }
}

[[noreturn]] void become_command(const HostProcessOptions& options) {
  const sigset_t signals = supervised_signals();
  sigprocmask(SIG_UNBLOCK, &signals, nullptr);
  if (options.no_input) {
    const int nothing = ::open("/dev/null", O_RDONLY);
    if (nothing < 0 || ::dup2(nothing, STDIN_FILENO) < 0) std::_Exit(complain("cannot open /dev/null"));
    ::close(nothing);
  }
  for (const std::string& entry : options.environment) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos) continue;
    ::setenv(entry.substr(0, equals).c_str(), entry.substr(equals + 1).c_str(), 1);
  }
  std::vector<std::string> owned = options.command;
  std::vector<char*> arguments;
  for (std::string& argument : owned) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  const int status = errno == ENOENT ? 127 : 126;
  complain(arguments[0]);
  std::_Exit(status);
}

[[noreturn]] void be_first_process(const HostProcessOptions& options, const FileDescriptor& parent_lives) {
  churn::die_with_parent();
  // The parent may have died before that: then nobody holds the other end any more.
  pollfd end{.fd = parent_lives.number(), .events = POLLIN, .revents = 0};
  if (::poll(&end, 1, 0) != 0) std::_Exit(kNoNamespaces);
  // Only this command is to see its own /proc.
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0)
    std::_Exit(complain("cannot mount /proc for a host"));
  const pid_t command = ::fork();
  if (command < 0) std::_Exit(complain("cannot start a process"));
  if (command == 0) become_command(options);
  std::_Exit(supervise(command));
}

}  // namespace

int run_host_process(const HostProcessOptions& options) {
  churn::die_with_parent();
  if (::getppid() != options.parent_pid) return kNoNamespaces;
  const sigset_t signals = supervised_signals();
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  {
    const FileDescriptor network(::open(options.name_space.c_str(), O_RDONLY | O_CLOEXEC));
    if (!network || ::setns(network.number(), CLONE_NEWNET) != 0)
      return complain("cannot enter a host's network");
  }
  if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) return complain("cannot make a process namespace");
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return complain("no pipe");
  FileDescriptor parent_lives(ends[0]), held(ends[1]);
  const pid_t first = ::fork();
  if (first < 0) return complain("cannot start a process");
  if (first == 0) {
    held = FileDescriptor();
    be_first_process(options, parent_lives);
  }
  return supervise(first);
}

}  // namespace hawser::wan
