#pragma once

#include <functional>
#include <string>

#include "sim/control_client.hpp"

namespace hawser::sim {

class World;

/// What becomes of a dial to the address that a stranger gives.
enum class Door {
  closed,   ///< It is refused.
  no_answer,  ///< Nothing answers it, or something that never says a word.
};

/// A process that is not part of the run and has a control connection to its master all the same. It has no engine: it
/// says what it is told to say, and opens no links.
class Stranger : public ControlClient {
 public:
  Stranger(World& world, std::string name, std::string host);

  const std::string& name() const override { return name_; }
  std::string host() const override { return host_; }
  bool gone() const override { return false; }
  bool stopped() const override { return false; }
  bool may_lie() const override { return true; }
  std::optional<Badge> badge() const override { return badge_; }
  void in_process(Duration delay, EventQueue::Task task) override;
  void hear(const EngineEvent& event) override;

  /// Unless it has a connection, or dials.
  void dial();
  /// Nothing happens where it has no connection.
  void say(PeerMessage message);
  void hang_up();
  /// It hangs up, and never comes again.
  void go();
  bool is_connected() const;

  Introduction who;  ///< As it introduces itself.
  Door door = Door::closed;

 protected:
  World& world() { return world_; }

  /// In a run with keys: it may join, as any member may.
  bool may_join() const { return !badge_ || badge_->role == Role::member; }

 private:
  void draw_badge();
  void check_what_it_is_told(const MasterMessage& message) const;

  World& world_;
  const std::string name_;
  const std::string host_;
  bool has_gone_ = false;
  std::optional<Badge> badge_;
};

}  // namespace hawser::sim
