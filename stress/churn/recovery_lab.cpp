#include "recovery_lab.hpp"

#include <algorithm>
#include <csignal>
#include <stdexcept>

#include "reporter.hpp"

namespace hawser::churn {

RecoveryLab::RecoveryLab(const RecoveryOptions& options)
    : options_(options), bound_((uv_loop_init(&loop_), loop_)) {
  std::signal(SIGPIPE, SIG_IGN);
  if (!options.log.empty() && (log_ = std::fopen(options.log.c_str(), "w")) == nullptr) {
    throw std::runtime_error("can't write " + options.log);
  }
}

RecoveryLab::~RecoveryLab() {
  if (log_ != nullptr) std::fclose(log_);
}

void RecoveryLab::log_line(const std::string& who, std::string_view line) {
  if (log_ != nullptr)
    std::fprintf(log_, "%s %.*s\n", who.c_str(), static_cast<int>(line.size()), line.data());
}

bool RecoveryLab::turn_until(std::uint64_t bound_ms, const std::function<bool()>& holds) {
  bool late = false;
  uv_update_time(&loop_);
  bound_.once(bound_ms, [&late] { late = true; });
  while (!holds() && !late) uv_run(&loop_, UV_RUN_ONCE);
  bound_.stop();
  return holds();
}

bool RecoveryLab::wait_for(const std::string& what, const std::function<bool()>& holds) {
  if (turn_until(static_cast<std::uint64_t>(options_.hang_bound_s * 1000), holds)) return true;
  for (const auto& w : workers_) {
    if (!w->process->ended()) w->process->tell("where");
  }
  rest_ms(1000);
  violations_.add("hang", "waited for " + what + " longer than the bound");
  return false;
}

void RecoveryLab::rest_ms(std::uint64_t ms) {
  turn_until(ms, [] { return false; });
}

bool RecoveryLab::start() {
  std::vector<std::string> arguments{"master", "--listen", "127.0.0.1:0"};
  add_bounds(arguments, options_.bounds);
  master_ = std::make_unique<ChildProcess>(
      loop_, arguments,
      ChildProcess::Callbacks{.on_line =
                                  [this](std::string_view text) {
                                    const ReportLine line(text);
                                    if (line.word() == "listening") master_address_ = line.get("address");
                                  },
                              .on_error_line = [this](std::string_view line) { log_line("master", line); },
                              .on_end =
                                  [this](const ChildEnd& end) {
                                    if (!ending_ || end.status != 0 || end.signal != 0) {
                                      violations_.add("crash", "the master ended");
                                    }
                                  }});
  if (!wait_for("the master's address", [this] { return !master_address_.empty() || master_->ended(); }))
    return false;
  if (master_address_.empty()) return false;
  for (std::uint32_t i = 0; i < options_.peers; ++i) spawn_worker();
  // Whoever was too late for the first view waits for an admission.
  return refill();
}

LabWorker& RecoveryLab::spawn_worker() {
  workers_.push_back(std::make_unique<LabWorker>());
  LabWorker& worker = *workers_.back();
  worker.name = "w" + std::to_string(workers_.size() - 1);
  std::vector<std::string> arguments{"worker", "--recovery", "--master",   master_address_,
                                     "--name", worker.name,  "--elements", std::to_string(options_.elements)};
  add_bounds(arguments, options_.bounds);
  worker.process = std::make_unique<ChildProcess>(
      loop_, arguments,
      ChildProcess::Callbacks{
          .on_line = [this, &worker](std::string_view line) { on_worker_line(worker, ReportLine(line)); },
          .on_error_line = [this, &worker](std::string_view line) { log_line(worker.name, line); },
          .on_end = [this, &worker](const ChildEnd& end) { on_worker_end(worker, end); }});
  return worker;
}

void RecoveryLab::on_worker_line(LabWorker& w, const ReportLine& line) {
  const std::string_view word = line.word();
  const std::uint64_t key = line.number("key").value_or(0);
  const std::uint64_t at_ns = line.number("t").value_or(0);
  if (word == "joined") {
    w.member = true;
  } else if (word == "ready") {
    w.ready_key = key;
  } else if (word == "begin") {
    w.begin_key = key;
    w.begin_ns = at_ns;
  } else if (word == "done") {
    w.done_key = key;
    w.done_ns = at_ns;
    w.attempts = line.number("attempts").value_or(0);
    w.first_error_ms = line.real("first_error_ms").value_or(0);
    w.size = line.number("size").value_or(0);
  } else if (word == "verified") {
    w.verified_key = key;
  } else if (word == "updated") {
    ++w.updates;
  } else if (word == "error") {
    w.last_error_kind = line.get("kind");
    w.last_error_text = line.get("text");
  } else if (word == "told") {
    w.member = false;
    w.told_kind = line.get("kind");
    w.told_text = line.get("text");
    w.told_ns = at_ns;
  } else if (word == "violation") {
    violations_.add(std::string(line.get("what")), w.name + ": " + std::string(line.get("text")));
  } else if (word == "where") {
    std::printf("  %s is in %s\n", w.name.c_str(), std::string(line.get("text")).c_str());
  }
}

void RecoveryLab::on_worker_end(LabWorker& worker, const ChildEnd& end) {
  worker.member = false;
  if (worker.gone_wanted) return;
  std::string words;
  for (const std::string& line : worker.process->last_error_lines()) words += " | " + line;
  violations_.add("crash", worker.name + " ended with status " + std::to_string(end.status) + ", signal " +
                               std::to_string(end.signal) + words);
}

std::vector<LabWorker*> RecoveryLab::members() {
  std::vector<LabWorker*> found;
  for (const auto& w : workers_) {
    if (w->member && !w->gone_wanted) found.push_back(w.get());
  }
  return found;
}

std::optional<std::uint64_t> RecoveryLab::begin_reduce() {
  const std::uint64_t key = ++key_;
  const auto all = members();
  for (LabWorker* w : all) w->process->tell("prepare key=" + std::to_string(key));
  const auto ready = [&] {
    return std::all_of(all.begin(), all.end(), [&](LabWorker* w) { return w->ready_key == key; });
  };
  if (!wait_for("all to be ready", ready)) return std::nullopt;
  for (LabWorker* w : all) w->process->tell("reduce");
  const auto begun = [&] {
    return std::all_of(all.begin(), all.end(), [&](LabWorker* w) { return w->begin_key == key; });
  };
  if (!wait_for("all to begin", begun)) return std::nullopt;
  return key;
}

bool RecoveryLab::finish_reduce(const std::vector<LabWorker*>& who, std::uint64_t key) {
  return wait_for("the result of the reduce", [&] {
    return std::all_of(who.begin(), who.end(), [&](LabWorker* w) { return w->verified_key == key; });
  });
}

bool RecoveryLab::refill() {
  const auto alive = [this] {
    return std::count_if(workers_.begin(), workers_.end(),
                         [](const auto& w) { return !w->gone_wanted && !w->process->ended(); });
  };
  while (alive() < static_cast<std::ptrdiff_t>(options_.peers)) spawn_worker();
  const std::uint64_t deadline_ns = now_ns() + static_cast<std::uint64_t>(options_.hang_bound_s * 1e9);
  // The members can't know when a newcomer has dialled: they look again and again, together.
  while (members().size() < options_.peers) {
    if (now_ns() > deadline_ns) {
      violations_.add("hang", "newcomers were not admitted within the bound");
      return false;
    }
    const auto all = members();
    std::vector<std::uint64_t> before;
    for (LabWorker* w : all) {
      before.push_back(w->updates);
      w->process->tell("update");
    }
    const auto updated = [&] {
      for (std::size_t i = 0; i < all.size(); ++i) {
        if (all[i]->member && all[i]->updates == before[i]) return false;
      }
      return true;
    };
    if (!wait_for("the members to update their topology", updated)) return false;
    rest_ms(20);
  }
  return true;
}

void RecoveryLab::end() {
  ending_ = true;
  for (const auto& w : workers_) {
    w->gone_wanted = true;
    w->process->tell("leave");
  }
  const auto all_gone = [this] {
    return std::all_of(workers_.begin(), workers_.end(), [](const auto& w) { return w->process->ended(); });
  };
  if (!wait_for("all workers to leave", all_gone)) {
    for (const auto& w : workers_) w->process->signal(SIGKILL);
  }
  if (master_) {
    master_->tell("leave");
    if (!wait_for("the master to end", [this] { return master_->ended(); })) master_->signal(SIGKILL);
  }
  bound_.close();
  uv_run(&loop_, UV_RUN_DEFAULT);
  uv_loop_close(&loop_);
}

}  // namespace hawser::churn
