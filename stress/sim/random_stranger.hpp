#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "sim/lies.hpp"
#include "sim/stranger.hpp"

namespace hawser::sim {

/// What strangers that agree with each other invent together.
struct Plot {
  RunId run;
  View view;
};

/// A stranger that says what chance will have it, comes again, or stays for a while without a word.
class RandomStranger : public Stranger {
 public:
  /// How it begins.
  enum class Role {
    silent,         ///< It never says who it is.
    newcomer,       ///< It says hello, and opens no links.
    patient,        ///< Likewise, says nothing else, and comes again at once whenever it is refused.
    poser,          ///< It comes in a member's name, with another token.
    party_guest,    ///< It says hello with the number of a party that is there.
    former_member,  ///< It says that it was in a view that was there, from which it is missing.
    inventor,       ///< It says that it was in a view that never was.
    asker,          ///< It asks for the status.
    babbler,        ///< Its first message is one that only peers may send.
  };
  static constexpr std::size_t kRoles = 9;

  RandomStranger(World& world, std::string name, std::string host, Role role, std::shared_ptr<const Plot> plot);

  void begin(Duration delay);
  void hear(const EngineEvent& event) override;

 private:
  void introduce_itself();
  void steal_introduction();
  void say_hello();
  void say_resume();
  void answer(const Present& asked);
  void note_group_members();
  void note_refusal();
  void next_word();
  void word();
  void end();
  void come_again(Duration delay);
  bool join_some_group();

  const Role role_;
  std::shared_ptr<const Plot> plot_;  ///< Of an inventor.
  View claimed_;                      ///< The view that it says it was in.
  std::uint64_t words_left_ = 0;
  std::uint64_t returns_left_ = 0;
  std::uint64_t visit_ = 0;  ///< Number of its connection, so that what was planned for another one is dropped.
  bool stays_ = false;    ///< It keeps its connection and is heard of, until then.
  Instant stays_until_{};
  // Of a patient one, for one incarnation of the master.
  std::uint64_t incarnation_ = 0;
  std::uint32_t failures_ = 0;
  Instant not_before_{};
  bool is_announced_ = false;
};

}  // namespace hawser::sim
