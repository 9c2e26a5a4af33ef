#include "sim/random_stranger.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "sim/violation.hpp"
#include "sim/world.hpp"

namespace hawser::sim {
namespace {

/// A newcomer that has failed waits so long, then twice as long, and so on up to the last.
constexpr Duration kPauses[] = {seconds(10), seconds(20), seconds(40)};

}  // namespace

RandomStranger::RandomStranger(World& world, std::string name, std::string host, Role role,
                               std::shared_ptr<const Plot> plot)
    : Stranger(world, std::move(name), std::move(host)), role_(role), plot_(std::move(plot)) {
  Random& random = world.random;
  door = random.chance(1, 2) ? Door::closed : Door::no_answer;
  returns_left_ = random.below(4);
  if (role_ == Role::inventor) {
    for (const Member& member : plot_->view.members)
      if (member.name == this->name()) who.id = member.id;
    who.group = plot_->view.group;
  }
}

void RandomStranger::begin(Duration delay) {
  in_process(delay, [this] { dial(); });
}

void RandomStranger::come_again(Duration delay) {
  if (returns_left_ == 0) return;
  if (role_ != Role::patient) --returns_left_;
  world().coverage.saw("stranger: comes again");
  in_process(delay, [this] { dial(); });
}

void RandomStranger::hear(const EngineEvent& event) {
  Stranger::hear(event);
  if (std::holds_alternative<MasterUp>(event)) {
    ++visit_;
    is_announced_ = false;
    words_left_ = role_ == Role::patient || role_ == Role::silent ? 0 : world().random.below(8);
    stays_ = role_ == Role::patient || (role_ != Role::silent && world().random.chance(1, 2));
    stays_until_ = world().queue.now() + seconds(world().random.between(0, 30));
    introduce_itself();
    return next_word();
  }
  if (std::holds_alternative<MasterDown>(event))
    return come_again(role_ == Role::patient ? milliseconds(100) : Duration(world().random.between(0, 3000000)));
  const auto* said = std::get_if<MasterSaid>(&event);
  if (!said) return;
  if (const auto* asked = std::get_if<Present>(&said->message)) return answer(*asked);
  if (std::holds_alternative<GroupMembers>(said->message)) return note_group_members();
  if (const auto* refused = std::get_if<Refused>(&said->message); refused && refused->error.status == Status::refused)
    return note_refusal();
}

// --------------------------------------------------------------------------------------- how it begins

void RandomStranger::introduce_itself() {
  Random& random = world().random;
  switch (role_) {
    case Role::silent: return world().coverage.saw("stranger: silent");
    case Role::newcomer:
    case Role::patient:
    case Role::party_guest: return say_hello();
    case Role::poser: {
      Lies lies(world());
      who.id = lies.any_id();
      who.token = random.next();
      if (world().profile.network.keys) steal_introduction();
      const View view = lies.true_view();
      who.group = view.group;
      claimed_ = random.chance(3, 4) ? view : lies.invented_view({}, view.group);
      world().coverage.saw("stranger: in a member's name");
      if (random.chance(1, 2)) return say(Hello{.who = who, .prefetches = random.chance(1, 3)});
      return say_resume();
    }
    case Role::former_member: {
      Lies lies(world());
      claimed_ = lies.true_view();
      who.group = claimed_.group;
      world().coverage.saw("stranger: in a view without it");
      return say_resume();
    }
    case Role::inventor:
      claimed_ = plot_->view;
      world().coverage.saw(plot_->view.members.size() > 1 ? "stranger: in an invented view of several"
                                                          : "stranger: in an invented view of its own");
      return say_resume();
    case Role::asker:
      world().coverage.saw("stranger: asks for the status");
      return say(StatusRequest{.matrix = random.chance(1, 2)});
    case Role::babbler: world().coverage.saw("stranger: does not say who it is"); return word();
  }
}

/// All that a member says of itself, with its token: what nobody has but a thief, and of no use without its key.
void RandomStranger::steal_introduction() {
  auto living = world().living();
  // Nobody knows the id of one whose hello is still on its way.
  std::erase_if(living, [](const Process* one) { return !one->info().connected; });
  if (living.empty()) return;
  const Process& victim = *living[static_cast<std::size_t>(world().random.below(living.size()))];
  who = victim.introduction();
  who.connection = 1ULL << 40;
  world().coverage.saw("stranger: with a stolen token");
}

/// A group without members admits anybody, who then is a member. So a stranger goes to groups that have some.
bool RandomStranger::join_some_group() {
  if (!world().master.running()) return false;
  const auto views = world().master.machine().snapshot().views;
  if (views.empty()) return false;
  who.group = views[static_cast<std::size_t>(world().random.below(views.size()))].group;
  return true;
}

void RandomStranger::say_hello() {
  Random& random = world().random;
  if (!join_some_group()) return word();
  if (role_ != Role::patient && random.chance(1, 2)) who.id = {random.next()};
  if (role_ == Role::party_guest) {
    who.party = world().known_party();
    if (!who.party.exists()) return word();
    if (random.chance(1, 4)) ++who.party.size;
    world().coverage.saw("stranger: with the number of a party");
  } else {
    world().coverage.saw(role_ == Role::patient ? "stranger: hello, and nothing else" : "stranger: hello");
  }
  say(Hello{.who = who, .prefetches = role_ != Role::patient && random.chance(1, 3)});
}

void RandomStranger::say_resume() {
  Random& random = world().random;
  const RunId run = plot_ ? plot_->run : random.chance(3, 4) ? world().hearsay.run : RunId{random.next()};
  Resume resume = Lies::resume(who, run, claimed_);
  resume.in_update = random.chance(1, 3);
  resume.first = random.chance(1, 3);
  resume.update_round = random.chance(1, 4) ? 1ULL << 62 : random.below(10);
  if (random.chance(1, 16)) resume.view.size += 1;
  say(std::move(resume));
}

// -------------------------------------------------------------------------------------- what it answers

void RandomStranger::answer(const Present& asked) {
  Random& random = world().random;
  Lies lies(world());
  if (random.chance(1, 8)) return world().coverage.saw("stranger: does not answer");
  if (asked.view) {
    const bool as_claimed = random.chance(3, 4);
    world().coverage.saw(as_claimed ? "stranger: presents its view" : "stranger: presents another view");
    say(as_claimed ? ViewPresented{claimed_} : lies.view_presented(who.group));
  }
  if (asked.outcomes) {
    world().coverage.saw("stranger: presents outcomes");
    say(lies.outcomes());
  }
}

/// It was announced to the members: not before its pause is over, if it has failed before.
void RandomStranger::note_group_members() {
  if (role_ != Role::patient || is_announced_) return;
  is_announced_ = true;
  if (incarnation_ != world().master.incarnation()) {
    incarnation_ = world().master.incarnation();
    failures_ = 0;
  }
  // What it was told lately may have been on its way for a while.
  const Instant now = world().queue.now() + milliseconds(500);
  if (failures_ > 0 && now < not_before_)
    throw Violation(name() + " was refused for want of links, and is tried again " +
                    std::to_string(whole_milliseconds(not_before_ - now)) + " ms too early");
  if (failures_ > 0) world().coverage.saw("stranger: tried again after its pause");
}

void RandomStranger::note_refusal() {
  if (role_ != Role::patient || !std::exchange(is_announced_, false)) return;
  if (incarnation_ != world().master.incarnation()) return;
  not_before_ = world().queue.now() + kPauses[std::min<std::size_t>(failures_, std::size(kPauses) - 1)];
  ++failures_;
}

// ---------------------------------------------------------------------------------------- and says later

void RandomStranger::next_word() {
  const Duration delay(world().random.between(0, world().random.chance(1, 4) ? 2000000 : 50000));
  in_process(delay, [this, visit = visit_] {
    if (visit != visit_ || !is_connected()) return;
    if (words_left_ == 0) return end();
    --words_left_;
    word();
    next_word();
  });
}

void RandomStranger::word() {
  Random& random = world().random;
  Lies lies(world());
  world().coverage.saw("stranger: any message");
  switch (random.below(14)) {
    case 0: return say(lies.linked());
    case 1:
      return say(Linked{.all = true,
                        .up = lies.true_view().members.empty() ? std::vector<PeerId>{} : lies.any_ids(),
                        .down = {},
                        .refused = {}});
    case 2: return say(lies.complaint());
    case 3: return say(lies.measured());
    case 4: return say(lies.begun());
    case 5: return say(lies.report());
    case 6: return say(lies.outcomes());
    case 7: return say(lies.view_presented(who.group));
    case 8:
      return say(UpdateCall{.first = random.chance(1, 2),
                            .update_round = random.below(5),
                            .was_over = random.chance(1, 2),
                            .waits = random.chance(1, 2),
                            .after_error = random.chance(1, 4)});
    case 9: return say(PrefetchOver{});
    case 10: return say(Leave{});
    case 11: {
      for (std::uint64_t i = random.below(20); i > 0; --i) say(Ping{});
      return;
    }
    case 12: {
      Introduction other = who;
      if (random.chance(1, 2)) other.id = lies.any_id();
      if (random.chance(1, 2)) return say(Hello{.who = other});
      return say(Lies::resume(other, world().hearsay.run, lies.true_view()));
    }
    default: return say(StatusRequest{});
  }
}

/// It goes, stays without a word until it is closed, or stays as long as it likes.
void RandomStranger::end() {
  Random& random = world().random;
  if (!stays_) {
    if (random.chance(1, 2)) return world().coverage.saw("stranger: stays silent");
    hang_up();
    return come_again(Duration(random.between(0, 3000000)));
  }
  if (role_ != Role::patient && world().queue.now() > stays_until_) return hang_up();
  say(Ping{});
  in_process(world().profile.master.silence / 4, [this, visit = visit_] {
    if (visit == visit_ && is_connected()) end();
  });
}

}  // namespace hawser::sim
