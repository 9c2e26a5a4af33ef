#include "bench/worker_group.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "bench/process_usage.hpp"

extern char** environ;

namespace hawser::bench {
namespace {

constexpr int kSilenceMs = 300'000;

}  // namespace

WorkerGroup::WorkerGroup(std::uint32_t count, const std::vector<std::string>& arguments) {
  add(count, arguments);
}

// One pipe for all: lines are shorter than PIPE_BUF and written at once, so they don't mix.
void WorkerGroup::add(std::uint32_t count, const std::vector<std::string>& arguments) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) throw std::runtime_error(std::string("no pipe: ") + std::strerror(errno));
  for (const int end : ends) ::fcntl(end, F_SETFD, FD_CLOEXEC);
  inputs_.push_back({.descriptor = ends[0], .partial = {}});
  try {
    for (std::uint32_t i = 0; i < count; ++i) start(arguments, ends[1]);
  } catch (...) {
    ::close(ends[1]);
    end_all();
    throw;
  }
  ::close(ends[1]);
}

void WorkerGroup::start(const std::vector<std::string>& arguments, int output) {
  std::string path = own_path();
  std::vector<std::string> owned = arguments;
  std::vector<char*> argv{path.data()};
  for (std::string& argument : owned) argv.push_back(argument.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, path.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error(std::string("can't start a process: ") + std::strerror(error));
  running_.push_back(pid);
}

WorkerGroup::~WorkerGroup() { end_all(); }

void WorkerGroup::end_all() {
  for (const pid_t pid : running_) ::kill(pid, SIGKILL);
  for (const pid_t pid : running_) ::waitpid(pid, nullptr, 0);
  running_.clear();
  for (const Input& input : inputs_) ::close(input.descriptor);
  inputs_.clear();
}

std::optional<std::string> WorkerGroup::whole_line() {
  for (Input& input : inputs_) {
    const std::size_t newline = input.partial.find('\n');
    if (newline == std::string::npos) continue;
    std::string line = input.partial.substr(0, newline);
    input.partial.erase(0, newline + 1);
    return line;
  }
  return std::nullopt;
}

void WorkerGroup::read_from(Input& input) {
  std::array<char, 4096> bytes;
  const ssize_t size = ::read(input.descriptor, bytes.data(), bytes.size());
  if (size > 0) {
    input.partial.append(bytes.data(), static_cast<std::size_t>(size));
  } else if (size == 0 || errno != EINTR) {
    ::close(input.descriptor);
    input.descriptor = -1;
  }
}

std::optional<std::string> WorkerGroup::next_line() {
  while (true) {
    if (auto line = whole_line()) return line;
    std::erase_if(inputs_, [](const Input& input) { return input.descriptor < 0; });
    if (inputs_.empty()) return std::nullopt;
    std::vector<pollfd> readable;
    for (const Input& input : inputs_)
      readable.push_back({.fd = input.descriptor, .events = POLLIN, .revents = 0});
    const int ready = ::poll(readable.data(), readable.size(), kSilenceMs);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      std::fprintf(stderr, "hawser bench: no worker said anything for %d s\n", kSilenceMs / 1000);
      silent_ = true;
      return std::nullopt;
    }
    for (std::size_t i = 0; i < readable.size(); ++i)
      if (readable[i].revents != 0) read_from(inputs_[i]);
  }
}

bool WorkerGroup::wait_for_end(std::uint32_t killed) {
  if (silent_) return false;
  bool well = true;
  for (const pid_t pid : running_) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (killed > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
      --killed;
      continue;
    }
    if (WIFSIGNALED(status))
      std::fprintf(stderr, "hawser bench: worker %d ended by signal %d\n", pid, WTERMSIG(status));
    well = well && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  running_.clear();
  return well;
}

}  // namespace hawser::bench
