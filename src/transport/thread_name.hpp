#pragma once

#include <string>

namespace hawser::transport {

/// What tools such as top call this thread; at most 15 characters are kept. Nothing happens where the system has no
/// names.
void name_this_thread(const std::string& name) noexcept;

}  // namespace hawser::transport
