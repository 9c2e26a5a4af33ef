#include "progress_bar.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "byte_text.hpp"

namespace {

constexpr std::chrono::milliseconds kBetween{100};
constexpr std::size_t kColumnsDefault = 80;
constexpr std::size_t kBarColumnsMax = 40;
/// Less bar than that says nothing.
constexpr std::size_t kBarColumnsMin = 5;

std::size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kColumnsDefault;
  return size.ws_col;
}

std::string time_text(double seconds) {
  const auto all = static_cast<unsigned long long>(std::clamp(seconds, 0.0, 360'000.0) + 0.5);
  std::array<char, 32> text{};
  if (all >= 3600)
    std::snprintf(text.data(), text.size(), "%llu:%02llu:%02llu", all / 3600, all / 60 % 60, all % 60);
  else
    std::snprintf(text.data(), text.size(), "%llu:%02llu", all / 60, all % 60);
  return text.data();
}

/// "[#####.....] " as wide as there is room, or nothing.
std::string bar_text(double share, std::size_t room) {
  constexpr std::size_t kAround = 3;
  if (room < kBarColumnsMin + kAround) return "";
  const std::size_t columns = std::min(kBarColumnsMax, room - kAround);
  const auto full = static_cast<std::size_t>(share * static_cast<double>(columns));
  return "[" + std::string(full, '#') + std::string(columns - full, '.') + "] ";
}

}  // namespace

ProgressBar::ProgressBar(std::string what)
    : what_(std::move(what)), on_terminal_(::isatty(STDERR_FILENO) != 0) {}

void ProgressBar::show(std::uint64_t done, std::uint64_t total) {
  const auto now = Clock::now();
  if (!on_terminal_ || total == 0 || now < drawn_at_ + kBetween) return;
  drawn_at_ = now;
  done = std::min(done, total);
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const double seconds = std::chrono::duration<double>(now - began_).count();
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  std::array<char, 128> figures{};
  std::snprintf(figures.data(), figures.size(), "%3.0f%%  %s of %s  %s/s  %s left", 100 * share,
                byte_text(static_cast<double>(done)).c_str(), byte_text(static_cast<double>(total)).c_str(),
                byte_text(rate).c_str(),
                done > 0 ? time_text(static_cast<double>(total - done) / rate).c_str() : "?");
  const std::string after = figures.data();
  const std::size_t columns =
      terminal_columns() - 1;  // the last one would make some terminals go on to the next line
  const std::size_t taken = what_.size() + 1 + after.size();
  std::string line = what_ + " " + bar_text(share, columns > taken ? columns - taken : 0) + after;
  line.resize(std::min(line.size(), columns));
  draw(line);
}

/// Spaces instead of escape sequences: any terminal knows them.
void ProgressBar::draw(const std::string& line) {
  const std::size_t rest = drawn_columns_ > line.size() ? drawn_columns_ - line.size() : 0;
  std::fprintf(stderr, "\r%s%s", line.c_str(), std::string(rest, ' ').c_str());
  std::fflush(stderr);
  drawn_columns_ = line.size();
}

void ProgressBar::wipe() {
  if (drawn_columns_ == 0) return;
  draw("");
  std::fputs("\r", stderr);
}

void ProgressBar::on_progress(void* bar, std::uint64_t done, std::uint64_t total) noexcept {
  try {
    static_cast<ProgressBar*>(bar)->show(done, total);
  } catch (...) {  // no memory for a line: none is drawn
  }
}
