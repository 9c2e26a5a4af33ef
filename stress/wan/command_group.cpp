#include "wan/command_group.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <limits>
#include <utility>

namespace hawser::wan {

CommandGroup::CommandGroup(const Lab& lab) : lab_(lab) {
  uv_loop_init(&loop_);
  timer_ = std::make_unique<churn::LoopTimer>(loop_);
  watch_signal(interrupt_, SIGINT);
  watch_signal(terminate_, SIGTERM);
}

void CommandGroup::watch_signal(uv_signal_t& handle, int number) {
  uv_signal_init(&loop_, &handle);
  handle.data = this;
  uv_signal_start(
      &handle,
      [](uv_signal_t* signal, int) { static_cast<CommandGroup*>(signal->data)->interrupted_ = true; },
      number);
  uv_unref(reinterpret_cast<uv_handle_t*>(&handle));
}

CommandGroup::~CommandGroup() {
  end_all(0);
  timer_->close();
  for (uv_signal_t* handle : {&interrupt_, &terminate_})
    uv_close(reinterpret_cast<uv_handle_t*>(handle), nullptr);
  uv_run(&loop_, UV_RUN_DEFAULT);
  uv_loop_close(&loop_);
}

churn::ChildProcess& CommandGroup::start(const Command& command, churn::ChildProcess::Callbacks callbacks) {
  std::vector<std::string> arguments{"host", "--net", lab_.name_space_path(command.host), "--parent",
                                     std::to_string(::getpid())};
  if (command.no_input) arguments.emplace_back("--no-input");
  for (const std::string& entry : command.environment) {
    arguments.emplace_back("--env");
    arguments.push_back(entry);
  }
  arguments.emplace_back("--");
  arguments.insert(arguments.end(), command.arguments.begin(), command.arguments.end());
  children_.push_back(std::make_unique<churn::ChildProcess>(loop_, arguments, std::move(callbacks)));
  return *children_.back();
}

bool CommandGroup::all_ended() const {
  return std::ranges::all_of(children_, [](const auto& child) { return child->ended(); });
}

bool CommandGroup::wait(const std::function<bool()>& done, std::uint64_t limit_ms) {
  bool over = false;
  timer_->once(limit_ms, [&over] { over = true; });
  while (!done() && !over) uv_run(&loop_, UV_RUN_ONCE);
  timer_->stop();
  return done();
}

void CommandGroup::end_all(std::uint64_t grace_ms) {
  const auto signal_all = [this](int number) {
    for (const auto& child : children_) child->signal(number);
  };
  if (grace_ms > 0) {
    signal_all(SIGTERM);
    if (wait([this] { return all_ended(); }, grace_ms)) return;
  }
  signal_all(SIGKILL);
  // The kernel ends them; their pipes close with them.
  wait([this] { return all_ended(); }, std::numeric_limits<std::uint32_t>::max());
}

}  // namespace hawser::wan
