#pragma once

#include <algorithm>
#include <deque>

#include "membership/view.hpp"

namespace hawser::sim {

/// What a stranger may know of the run: whoever asks for the status, or was a member once, knows it. Tokens of others
/// are not among it.
struct Hearsay {
  RunId run;
  std::deque<View> views;  ///< Started lately, the newest last.

  void started(const View& view) {
    constexpr std::size_t kKept = 8;
    if (std::any_of(views.begin(), views.end(), [&](const View& known) { return known.id == view.id; })) return;
    views.push_back(view);
    if (views.size() > kKept) views.pop_front();
  }
};

}  // namespace hawser::sim
