#pragma once

namespace hawser::transport {

/// Closes this socket in every child that the process forks off and that does not exec: a child that kept it
/// open would hide this process's death from the peers. Forgets by itself a descriptor that was closed.
/// Safe from any thread.
void close_in_forked_children(int fd) noexcept;

}  // namespace hawser::transport
