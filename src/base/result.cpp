#include "base/result.hpp"

namespace hawser {

const char* status_name(Status status) {
  switch (status) {
    case Status::success: return "success";
    case Status::invalid_argument: return "invalid argument";
    case Status::invalid_usage: return "invalid usage";
    case Status::too_few_peers: return "too few peers";
    case Status::peer_lost: return "peer lost";
    case Status::mismatch: return "mismatch";
    case Status::timeout: return "timeout";
    case Status::master_unreachable: return "master unreachable";
    case Status::expelled: return "expelled";
    case Status::refused: return "refused";
    case Status::master_restarted: return "master restarted";
    case Status::system: return "system error";
    case Status::closed: return "closed";
    case Status::internal: return "internal error";
  }
  return "unknown result";
}

}  // namespace hawser
