#pragma once

namespace hawser::hostile {

/// As many open files as this process may have.
void raise_descriptor_limit();

}  // namespace hawser::hostile
