#pragma once

namespace hawser::hostile {

/// From now on no name server answers this process: each lookup takes the system's whole bound. To be called before it
/// has any thread. Linux, root. Throws std::runtime_error if the system refuses.
void hang_resolver();

}  // namespace hawser::hostile
