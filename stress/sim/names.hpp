#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/frame.hpp"
#include "membership/messages.hpp"

namespace hawser::sim {

/// Random numbers as names that a person can follow: peer ids become the names of their processes, view
/// ids v1, v2 in the order in which they appear.
class Names {
 public:
  void call(PeerId id, const std::string& name) { peers_[id] = name; }
  std::string of(PeerId id) const;
  std::string of(ViewId id) const;
  std::string of(const View& view) const;  ///< "v2 (a b c)"
  std::string of(const OpKey& key) const;  ///< "v2 tag 1 #0"
  std::string of(const std::vector<PeerId>& ids) const;
  std::string of(const PeerMessage& message) const;
  std::string of(const MasterMessage& message) const;
  std::string of(const FrameHeader& header) const;
  std::string of(const MemberChange& change) const;
  std::string of(const Error& error) const;

 private:
  std::map<PeerId, std::string> peers_;
  mutable std::map<ViewId, std::uint64_t> views_;  ///< Numbered when first asked for.
};

/// The message's kind alone: "report", "start-view".
const char* kind_of(const PeerMessage& message);
const char* kind_of(const MasterMessage& message);

}  // namespace hawser::sim
