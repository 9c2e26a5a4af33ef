#include "hostile/stage.hpp"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "churn/reporter.hpp"

namespace hawser::hostile {
namespace {

constexpr std::uint64_t kStartMs = 20'000;
constexpr std::uint64_t kEndMs = 20'000;

std::uint64_t status_bytes(int pid, const std::string& field) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; status >> word;) {
    std::uint64_t kib = 0;
    if (word == field && status >> kib) return kib * 1024;
  }
  return 0;
}

}  // namespace

Stage::Stage(const std::string& log) : began_ns_(churn::now_ns()) {
  uv_loop_init(&loop_);
  timer_ = std::make_unique<churn::LoopTimer>(loop_);
  std::signal(SIGPIPE, SIG_IGN);
  if (log.empty()) return;
  log_ = std::fopen(log.c_str(), "a");
  if (log_ == nullptr) throw std::runtime_error("can't write " + log);
}

Stage::~Stage() {
  end_all();
  timer_->close();
  uv_run(&loop_, UV_RUN_DEFAULT);
  uv_loop_close(&loop_);
  if (log_ != nullptr) std::fclose(log_);
}

void Stage::note(const std::string& line) {
  if (log_ == nullptr) return;
  std::fprintf(log_, "%.3f %s\n", static_cast<double>(churn::now_ns() - began_ns_) / 1e9, line.c_str());
  std::fflush(log_);
}

churn::ChildProcess& Stage::start(const std::string& name, const std::vector<std::string>& arguments, OnLine on_line) {
  auto owned = std::make_unique<Child>();
  Child& child = *owned;
  child.process = std::make_unique<churn::ChildProcess>(
      loop_, arguments,
      churn::ChildProcess::Callbacks{
          .on_line =
              [this, name, &child, on_line = std::move(on_line)](std::string_view line) {
                if (!line.starts_with("step ") && !line.starts_with("synced ")) note(name + " " + std::string(line));
                if (on_line && child.is_heard) on_line(churn::ReportLine(line));
              },
          .on_error_line = [this, name](std::string_view line) { note(name + " " + std::string(line)); },
          .on_unended_line = {},
          .on_end =
              [this, name, &child](const churn::ChildEnd& end) {
                if (child.is_wanted && (end.signal != 0 || end.status != 0)) {
                  ++died_;
                  std::fprintf(stderr, "hawser-hostile: %s ended with status %lld, signal %d\n", name.c_str(),
                               static_cast<long long>(end.status), end.signal);
                  for (const std::string& line : child.process->last_error_lines())
                    std::fprintf(stderr, "  %s\n", line.c_str());
                }
              }});
  children_.push_back(std::move(owned));
  return *child.process;
}

std::string Stage::start_listening(const std::string& name, const std::vector<std::string>& arguments,
                                   churn::ChildProcess** process) {
  const auto address = std::make_shared<std::string>();
  churn::ChildProcess& child = start(name, arguments, [address](const churn::ReportLine& line) {
    if (line.word() == "listening") *address = line.get("address");
  });
  if (!wait([&] { return !address->empty() || child.ended(); }, kStartMs) || address->empty())
    throw std::runtime_error("the " + name + " did not start");
  if (process != nullptr) *process = &child;
  return *address;
}

bool Stage::wait(const std::function<bool()>& done, std::uint64_t limit_ms) {
  bool over = false;
  timer_->once(limit_ms, [&over] { over = true; });
  while (!done() && !over) uv_run(&loop_, UV_RUN_ONCE);
  timer_->stop();
  return done();
}

Stage::Child* Stage::child_of(const churn::ChildProcess& process) {
  for (const auto& child : children_)
    if (child->process.get() == &process) return child.get();
  return nullptr;
}

void Stage::end(churn::ChildProcess& process) {
  if (Child* const child = child_of(process)) child->is_wanted = false;
  process.signal(SIGCONT);
  process.signal(SIGKILL);
  (void)wait([&] { return process.ended(); }, kEndMs);
}

void Stage::end_all() {
  for (const auto& child : children_) {
    child->is_wanted = child->is_heard = false;
    child->process->signal(SIGCONT);
    child->process->signal(SIGKILL);
  }
  (void)wait(
      [&] {
        for (const auto& child : children_)
          if (!child->process->ended()) return false;
        return true;
      },
      kEndMs);
  // Their handles are closed in another turn.
  uv_run(&loop_, UV_RUN_NOWAIT);
}

double cpu_seconds(int pid) {
  double nanoseconds = 0;
  std::error_code error;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", error)) {
    std::ifstream file(thread.path() / "schedstat");
    double of_thread = 0;
    if (file >> of_thread) nanoseconds += of_thread;
  }
  return nanoseconds / 1e9;
}

std::uint64_t resident_bytes(int pid) { return status_bytes(pid, "VmRSS:"); }
std::uint64_t peak_resident_bytes(int pid) { return status_bytes(pid, "VmHWM:"); }

}  // namespace hawser::hostile
