#include "bench/master_rig.hpp"

#include <algorithm>
#include <ctime>
#include <span>
#include <stdexcept>
#include <string>

#include "wire/control_codec.hpp"
#include "wire/control_frame.hpp"

namespace hawser::bench {
namespace {

/// Before they have said who they are: fewer than limits::kStrangersMax.
constexpr std::size_t kOpenedAtOnce = 64;

class CpuTimer {
 public:
  explicit CpuTimer(double& sum_s) : sum_s_(sum_s), begun_(std::clock()) {}
  ~CpuTimer() { sum_s_ += static_cast<double>(std::clock() - begun_) / CLOCKS_PER_SEC; }
  CpuTimer(const CpuTimer&) = delete;
  CpuTimer& operator=(const CpuTimer&) = delete;

 private:
  double& sum_s_;
  std::clock_t begun_;
};

std::string host_of(std::uint64_t peer) {
  return "10." + std::to_string(peer >> 16 & 255) + "." + std::to_string(peer >> 8 & 255) + "." +
         std::to_string(peer & 255);
}

void expect_fit(bool fits) {
  if (!fits) throw std::runtime_error("a list came as a change of another one");
}

}  // namespace

// ------------------------------------------------------------------------------------------ what peers do

void MasterRig::hello(const Numbers& numbers, std::uint32_t group) {
  Words hellos;
  for (const std::uint64_t number : numbers) {
    peers_[number].who = {.id = {number},
                          .token = number * 11,
                          .group = group,
                          .name = "member-" + std::to_string(number),
                          .address = {.host = host_of(number), .port = 40000},
                          .machine = number};
    open(number);
    hellos.emplace_back(number, Hello{.who = peers_[number].who});
  }
  hear(hellos);
}

bool MasterRig::say_links() {
  Words words;
  for (auto& [number, peer] : peers_)
    if (!peer.news.up.empty()) words.emplace_back(number, std::exchange(peer.news, {}));
  hear(words);
  return !words.empty();
}

void MasterRig::say(const Numbers& numbers, const PeerMessage& message) {
  Words words;
  for (const std::uint64_t number : numbers) words.emplace_back(number, message);
  hear(words);
}

void MasterRig::kill(const Numbers& numbers) {
  std::vector<MasterEvent> closed;
  for (const std::uint64_t number : numbers) {
    const ConnectionId connection = peers_.at(number).connection;
    closed.emplace_back(ConnectionClosed{.connection = connection, .reason = "connection reset"});
    numbers_.erase(connection);
    peers_.erase(number);
  }
  step(closed);
}

void MasterRig::reconnect() {
  std::vector<MasterEvent> closed;
  for (const auto& [connection, number] : std::exchange(numbers_, {}))
    closed.emplace_back(ConnectionClosed{.connection = connection, .reason = "connection reset"});
  step(closed);
  Words resumes;
  for (const std::uint64_t number : members()) {
    open(number);
    const Peer& peer = peers_.at(number);
    const View& view = peer.view;
    const ViewMark mark{.epoch = view.epoch, .id = view.id, .size = view.size(), .fingerprint = fingerprint(view)};
    resumes.emplace_back(number, Resume{.who = peer.who, .run = peer.run, .view = mark});
    if (resumes.size() == kOpenedAtOnce) hear(std::exchange(resumes, {}));
  }
  hear(resumes);
}

void MasterRig::restart_master() {
  numbers_.clear();
  machine_ = MasterMachine(kConfig, connections_ + 1, now_);
  reconnect();
  // All claims have been heard by then, and nobody's silence is too long.
  pass(kConfig.silence / 4);
}

/// Over another connection than before.
void MasterRig::open(std::uint64_t number) {
  Peer& peer = peers_.at(number);
  peer.connection = {++connections_};
  peer.who.connection = connections_;
  numbers_[peer.connection] = number;
  step({ConnectionOpened{.connection = peer.connection, .remote_host = host_of(number)}});
}

MasterRig::Numbers MasterRig::members() const {
  Numbers numbers;
  for (const auto& [number, peer] : peers_)
    if (peer.is_member()) numbers.push_back(number);
  return numbers;
}

// ----------------------------------------------------------------------------------------- what the master does

std::uint64_t MasterRig::pass(Duration time) {
  std::uint64_t ticks = 0;
  const Instant until = now_ + time;
  for (auto next = machine_.next_deadline(); next && *next <= until; next = machine_.next_deadline()) {
    now_ = std::max(now_, *next);
    step({Tick{}});
    if (!answers_.empty()) hear(std::exchange(answers_, {}));
    ++ticks;
  }
  now_ = until;
  return ticks;
}

void MasterRig::hear(const Words& words) {
  std::vector<std::string> bytes;
  for (const auto& [number, message] : words) bytes.push_back(encode(message));
  std::vector<MasterEvent> events;
  events.reserve(words.size());
  {
    const CpuTimer timer(cost_.decode_s);
    for (std::size_t i = 0; i < words.size(); ++i) {
      auto decoded = decode_peer_message(std::as_bytes(std::span(bytes[i])));
      if (!decoded) throw std::runtime_error(decoded.error().sentence);
      events.emplace_back(PeerSaid{peers_.at(words[i].first).connection, std::move(*decoded)});
    }
  }
  cost_.messages_in += words.size();
  step(events);
  if (!answers_.empty()) hear(std::exchange(answers_, {}));
}

/// All events, then all that follows from them, so that the clock is asked twice for many.
void MasterRig::step(const std::vector<MasterEvent>& events) {
  MasterActions actions;
  {
    const CpuTimer timer(cost_.machine_s);
    for (const MasterEvent& event : events) {
      machine_.step(now_, event, actions);
      (void)machine_.next_deadline();  // As the driver does.
    }
  }
  perform(actions);
}

void MasterRig::perform(const MasterActions& actions) {
  const auto count = [this](std::size_t receivers, std::size_t framed_bytes) {
    cost_.messages_out += receivers;
    cost_.bytes_out += receivers * framed_bytes;
  };
  {
    const CpuTimer timer(cost_.encode_s);
    for (const MasterAction& action : actions) {
      if (const auto* const send = std::get_if<SendToPeer>(&action))
        count(1, frame_control(encode(send->message)).size());
      else if (const auto* const to_many = std::get_if<SendToPeers>(&action))
        count(to_many->connections.size(), frame_control(encode(to_many->message)).size());
    }
  }
  const auto deliver = [this](ConnectionId connection, const MasterMessage& message) {
    if (const auto known = numbers_.find(connection); known != numbers_.end())
      take(known->second, peers_.at(known->second), message);
  };
  for (const MasterAction& action : actions) {
    if (const auto* const send = std::get_if<SendToPeer>(&action))
      deliver(send->connection, send->message);
    else if (const auto* const to_many = std::get_if<SendToPeers>(&action))
      for (const ConnectionId connection : to_many->connections) deliver(connection, to_many->message);
  }
}

void MasterRig::take(std::uint64_t number, Peer& peer, const MasterMessage& message) {
  const auto open_links = [&](const std::vector<Member>& came) {
    for (const Member& member : came)
      if (member.id.value != number) peer.news.up.push_back(member.id);
  };
  if (const auto* const welcome = std::get_if<Welcome>(&message)) {
    peer.run = welcome->run;
  } else if (const auto* const start = std::get_if<StartView>(&message)) {
    expect_fit(start->members.whole || start->base == peer.view.id);
    expect_fit(apply(start->members, peer.view.members));
    peer.view.epoch = start->epoch;
    peer.view.id = start->id;
    peer.view.group = start->group;
    peer.view.link_secret = start->link_secret;
    ++told_.views;
    // All of a group would find the same: the first of it checks.
    if (peer.view.members.front().id.value == number) expect_fit(fingerprint(peer.view) == start->fingerprint);
  } else if (const auto* const group_members = std::get_if<GroupMembers>(&message)) {
    expect_fit(apply(group_members->members, peer.group_members));
    open_links(group_members->members.came);
  } else if (const auto* const visitors = std::get_if<Visitors>(&message)) {
    open_links(visitors->visitors.came);
  } else if (const auto* const present = std::get_if<Present>(&message)) {
    if (present->view) answers_.emplace_back(number, ViewPresented{peer.view});
    if (present->outcomes) answers_.emplace_back(number, OutcomesPresented{});
    Linked all{.all = true};
    for (const Member& member : peer.view.members)
      if (member.id.value != number) all.up.push_back(member.id);
    if (present->outcomes) answers_.emplace_back(number, std::move(all));
  } else if (std::holds_alternative<Committed>(message)) {
    ++told_.committed;
  } else if (std::holds_alternative<Measures>(message)) {
    ++told_.measures;
  } else if (const auto* const refused = std::get_if<Refused>(&message)) {
    throw std::runtime_error(refused->error.sentence);
  } else if (const auto* const expelled = std::get_if<Expelled>(&message)) {
    peers_.at(number).view = {};
  }
}

}  // namespace hawser::bench
