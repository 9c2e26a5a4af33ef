#include "reporter.hpp"

#include <uv.h>

#include <cstdio>

namespace hawser::churn {

void Reporter::append(const LineBuilder& line) { kept_.append(line.line()).push_back('\n'); }

void Reporter::keep(const LineBuilder& line) {
  const std::scoped_lock lock(mutex_);
  append(line);
}

void Reporter::say(const LineBuilder& line) {
  const std::scoped_lock lock(mutex_);
  append(line);
  std::fwrite(kept_.data(), 1, kept_.size(), stdout);
  std::fflush(stdout);
  kept_.clear();
}

void Reporter::violation(std::string_view what, std::string_view sentence) {
  if (devices_are_broken_) return;
  say(LineBuilder("violation").add("what", what).text(sentence));
}

std::uint64_t now_ns() { return uv_hrtime(); }

}  // namespace hawser::churn
