#pragma once

namespace hawser::churn {

/// Asks the system to kill this process when its parent ends, however the parent ends. Does nothing where the
/// system has no such thing; there the closed standard input must do (see ControlChannel), which a stopped
/// process cannot notice.
void die_with_parent();

}  // namespace hawser::churn
