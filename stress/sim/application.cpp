#include "sim/application.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "sim/world.hpp"

namespace hawser::sim {

void TrainingApplication::start(Duration delay) {
  process_.in_process(delay, [this] { connect(); });
}

void TrainingApplication::connect() {
  ++open_;
  view_ = {};
  epoch_ = {};
  if (world_.profile.application.shared_state && world_.random.chance(1, 2)) return process_.connect_prefetching();
  process_.connect();
}

std::uint64_t TrainingApplication::Round::hash() const {
  std::uint64_t mixed = update ? 1 : sync ? 3 : optimize ? 4 : 2;
  for (const CollectiveWish& wish : collectives)
    mixed += Random(wish.tag ^ fingerprint(wish.signature)).next();  // In whatever order.
  return mixed;
}

/// Where not all members have links to each other, these are not measured.
bool TrainingApplication::may_optimize(const View& view) const {
  return world_.profile.engine.links.has_all_links(view.size());
}

/// All members of a view have the same. Where nothing but relays goes it stays, as calls go on there.
std::uint64_t TrainingApplication::seed_of(const EngineInfo& info) const {
  return world_.profile.relays == 0 ? info.view.id.value : info.calls_since.value;
}

TrainingApplication::Round TrainingApplication::rule(const EngineInfo& info, std::uint64_t position) const {
  const ApplicationProfile& profile = world_.profile.application;
  const View& view = info.view;
  Random random(profile.rule_seed ^ (seed_of(info) + 0x9e3779b97f4a7c15ULL * (position + 1)));
  Round round;
  // What goes on after a loss goes on as the first thing of the next view, with those who begin there.
  round.sync = profile.shared_state && view.size() > 1 && (position == 0 || random.chance(1, 6));
  if (round.sync) return round;
  round.update = random.below(256) < profile.update_per_256 || (view.size() == 1 && !random.chance(1, 8));
  if (round.update) return round;
  round.optimize = random.chance(1, 24) && may_optimize(view);
  if (round.optimize) return round;
  const auto tags = static_cast<std::uint64_t>(random.between(1, profile.tags_most));
  const std::uint64_t first = random.below(4);
  const bool has_relays = world_.profile.relays > 0;
  for (std::uint64_t i = 0; i < tags; ++i)
    round.collectives.push_back(has_relays && random.chance(1, 3) ? relayed_by_rule(random, first + i, view)
                                                                  : collective_by_rule(random, first + i, view));
  return round;
}

CollectiveWish TrainingApplication::collective_by_rule(Random& random, std::uint64_t tag,
                                                      const View& view) const {
  const ApplicationProfile& profile = world_.profile.application;
  CollectiveWish wish{.tag = tag, .signature = {}, .in_place = false};
  Signature& signature = wish.signature;
  signature.plan = static_cast<PlanKind>(random.below(4));
  const std::uint64_t which = random.below(16);
  if (which < 4) signature.collective = static_cast<Collective>(1 + which);
  const std::uint64_t kind = random.below(8);
  if (random.below(256) < profile.big_per_256)
    signature.count = 4000 + random.below(profile.big_elements);
  else if (kind == 0)
    signature.count = 1;
  else if (kind == 1)
    signature.count = 1 + random.below(std::max<std::uint64_t>(view.size(), 2) - 1);
  else if (kind <= 5)
    signature.count = 1 + random.below(100);
  else
    signature.count = 1 + random.below(profile.element_limit);
  if (signature.collective == Collective::barrier) {
    signature.count = 0;
    return wish;
  }
  if (random.chance(1, 2)) signature.type = kDataTypes[random.below(kDataTypes.size())];
  // No more bytes than an all-reduce of float32 has: what the thin links here can carry in time.
  const bool in_shares =
      signature.collective == Collective::all_gather || signature.collective == Collective::reduce_scatter;
  if (element_bytes(signature.type) > 4) signature.count = (signature.count + 1) / 2;
  if (in_shares) signature.count = (signature.count - 1) / view.size() + 1;
  if (signature.collective == Collective::broadcast)
    signature.root = static_cast<std::uint32_t>(random.below(view.size()));
  if (!hawser::reduces(signature.collective)) return wish;
  // A product of what is put in fits into no type.
  constexpr std::array ops{ReduceOp::sum, ReduceOp::avg, ReduceOp::max, ReduceOp::min};
  signature.op = ops[random.below(random.chance(1, 2) ? 2 : ops.size())];
  if (is_float(signature.type) && random.chance(1, 4)) quantise_by_rule(random, wish);
  return wish;
}

/// An all-reduce of more chunks than there are members and relays. A view with fewer relays has the same rule.
CollectiveWish TrainingApplication::relayed_by_rule(Random& random, std::uint64_t tag, const View& view) const {
  constexpr std::uint64_t kChunkBytes = 16 << 10;
  CollectiveWish wish{.tag = tag, .signature = {}, .in_place = false};
  Signature& signature = wish.signature;
  signature.plan = random.chance(1, 2) ? PlanKind::automatic : PlanKind::direct;
  if (random.chance(1, 2)) signature.type = kDataTypes[random.below(kDataTypes.size())];
  constexpr std::array ops{ReduceOp::sum, ReduceOp::avg, ReduceOp::max, ReduceOp::min};
  signature.op = ops[random.below(ops.size())];
  const std::uint64_t chunks = view.size() + 3 + random.below(3);
  signature.count = chunks * kChunkBytes / element_bytes(signature.type) - random.below(100);
  if (is_float(signature.type) && random.chance(1, 4)) {
    const std::uint64_t count = signature.count;
    quantise_by_rule(random, wish);
    signature.count = count;
  }
  return wish;
}

void TrainingApplication::quantise_by_rule(Random& random, CollectiveWish& wish) const {
  struct Scheme {
    Quantization quantization;
    const char* name;
  };
  using enum QuantizationScheme;
  using enum QuantizedType;
  static constexpr Scheme kSchemes[] = {
      {{.scheme = min_max, .type = uint8}, "sim: quantised, min_max"},
      {{.scheme = min_max, .type = int8}, "sim: quantised, min_max"},
      {{.scheme = min_max, .type = uint16}, "sim: quantised, min_max to 16 bits"},
      {{.scheme = zero_point_scale, .type = uint8}, "sim: quantised, zero_point_scale"},
      {{.scheme = zero_point_scale, .type = int8}, "sim: quantised, zero_point_scale"},
      {{.scheme = zero_point_scale, .type = uint16}, "sim: quantised, zero_point_scale to 16 bits"},
      {{.scheme = blockwise, .type = int8, .block = 64}, "sim: quantised, blockwise"},
      {{.scheme = blockwise, .type = int8, .block = 256}, "sim: quantised, blockwise"},
      {{.scheme = blockwise, .type = int4, .block = 128}, "sim: quantised, blockwise to 4 bits"},
      {{.scheme = cast, .type = bfloat16}, "sim: quantised, cast"},
      {{.scheme = cast, .type = float16}, "sim: quantised, cast"},
  };
  Signature& signature = wish.signature;
  Scheme scheme = kSchemes[random.below(std::size(kSchemes))];
  scheme.quantization.stochastic = random.chance(1, 4);
  if (!check(scheme.quantization, signature.type).ok()) scheme = kSchemes[0];
  signature.quantization = scheme.quantization;
  world_.coverage.saw(scheme.name);
  const bool sums = signature.op == ReduceOp::sum || signature.op == ReduceOp::avg;
  wish.feedback = signature.collective == Collective::all_reduce && sums && random.chance(1, 2);
  // Few shapes, so that what one call loses is fed to another.
  if (wish.feedback) signature.count = 1 + Random(world_.profile.application.rule_seed ^ random.below(2)).below(400);
}

void TrainingApplication::deviate(Round& round) {
  world_.coverage.saw("sim: call that differs on purpose");
  Random& random = world_.random;
  if (round.update || round.sync || round.optimize) {
    round = {.update = false, .sync = false, .collectives = {{.tag = 0, .signature = {.count = 7}, .in_place = false}}};
    return;
  }
  CollectiveWish& wish = round.collectives[static_cast<std::size_t>(random.below(round.collectives.size()))];
  if (wish.signature.collective == Collective::barrier) {
    wish.signature = {.count = 5};
    return;
  }
  switch (random.below(5)) {
    case 0: wish.signature.count += 1 + random.below(9); break;
    case 1:
      wish.signature.collective = Collective::all_reduce;
      wish.signature.count += 1;
      wish.signature.root = 0;
      wish.signature.op = wish.signature.op == ReduceOp::sum ? ReduceOp::avg : ReduceOp::sum;
      break;
    case 2: wish.tag += 100; break;
    case 3:
      wish.signature.plan = wish.signature.plan == PlanKind::ring ? PlanKind::direct : PlanKind::ring;
      break;
    default:
      round = {.update = random.chance(1, 2), .sync = false, .collectives = {}};
      round.optimize = !round.update;
      break;
  }
}

/// Calls that make no sense are refused at once, and change nothing for anybody.
void TrainingApplication::misuse() {
  world_.coverage.saw("sim: misuse");
  process_.in_process(short_think(), [this] {
    if (world_.random.chance(1, 3)) return process_.misuse_connect();
    if (world_.random.chance(1, 2)) return process_.misuse_arguments();
    process_.misuse_second_call();
  });
}

/// Of one size for each tag, so that whoever receives from anybody has a buffer that fits.
void TrainingApplication::send_a_message() {
  constexpr std::array<std::size_t, 4> sizes{40, 3000, 65'536, 300'008};
  const std::vector<Process*> others = world_.living();
  Process* const to = others[static_cast<std::size_t>(world_.random.below(others.size()))];
  if (to == &process_ || to->group() != process_.group()) return;
  std::uint64_t tag = world_.random.below(sizes.size());
  // What thin links would still carry when all shall come to rest.
  if (world_.profile.network.bytes_per_ms < 20'000) tag %= 2;
  process_.send_message(*to, tag, sizes[tag]);
}

/// Some of them after a while that is shorter, or longer, than they take.
void TrainingApplication::give_up_some(std::vector<CollectiveWish>& collectives) {
  Random& random = world_.random;
  const auto while_of = [&] {
    return random.chance(1, 4) ? Duration(milliseconds(random.between(0, 3000)))
                               : Duration(microseconds(random.between(0, 50'000)));
  };
  for (CollectiveWish& wish : collectives) {
    if (random.chance(1, 8)) wish.bound = while_of();
    if (random.chance(1, 16)) wish.cancel_after = while_of();
  }
}

void TrainingApplication::shuffle(std::vector<CollectiveWish>& collectives) {
  for (std::size_t i = collectives.size(); i > 1; --i)
    std::swap(collectives[i - 1], collectives[static_cast<std::size_t>(world_.random.below(i))]);
}

Duration TrainingApplication::short_think() {
  if (world_.random.chance(1, 2)) return Duration::zero();
  return Duration(world_.random.between(0, world_.profile.application.think_most.count()));
}

Duration TrainingApplication::think() {
  const ApplicationProfile& profile = world_.profile.application;
  // Once it is only about coming to rest nobody need hurry: thousands of collectives while one peer's silence is
  // noticed show nothing new.
  if (!world_.odd_calls) return std::max<Duration>(short_think(), milliseconds(1));
  if (world_.random.below(1024) >= profile.slow_per_1024) return short_think();
  world_.coverage.saw("sim: slow caller");
  return Duration(world_.random.between(0, profile.slow_most.count()));
}

void TrainingApplication::next(Duration delay) {
  process_.in_process(delay, [this] { look(); });
}

void TrainingApplication::enter_view(const EngineInfo& info) {
  if (info.view.id == view_) return;
  const bool goes_on = view_ != ViewId{} && info.calls_since <= epoch_;
  view_ = info.view.id;
  epoch_ = info.view.epoch;
  if (!goes_on) position_ = 0;
}

void TrainingApplication::look() {
  const EngineInfo info = process_.info();
  if (!info.connected) return connect();
  enter_view(info);
  Round round = rule(info, position_);
  const ApplicationProfile& profile = world_.profile.application;
  if (profile.messages && world_.odd_calls) send_a_message();
  if (process_.gone()) return;
  if (world_.odd_calls && world_.random.below(1024) < profile.deviation_per_1024) deviate(round);
  if (world_.odd_calls && world_.random.below(1024) < profile.misuse_per_1024) misuse();
  if (world_.odd_calls && world_.random.below(1024) < profile.scribble_per_1024) process_.scribble_on_state();
  for (CollectiveWish& wish : round.collectives) {
    wish.in_place = world_.random.chance(1, 2);
    wish.compress = world_.random.chance(1, 4);
  }
  if (profile.gives_up && world_.odd_calls) give_up_some(round.collectives);
  // Crossed calls of a process that is stopped between the two look like different calls, and rightly so.
  if (profile.crossed_calls) shuffle(round.collectives);
  if (!world_.odd_calls || world_.random.below(256) >= profile.stale_look_per_256)
    return begin(std::move(round));
  world_.coverage.saw("sim: call of what was decided earlier");
  process_.in_process(think(), [this, round] { begin(round); });
}

void TrainingApplication::begin(Round round) {
  const EngineInfo info = process_.info();
  if (!info.connected) return connect();
  enter_view(info);
  // Decided in a smaller view.
  if (round.optimize && !may_optimize(info.view)) round = {.update = true, .sync = false, .collectives = {}};
  world_.checker.decided(process_, view_, position_++, round.hash());
  if (round.update) {
    ++open_;
    process_.update_topology();
    return;
  }
  if (round.sync) return synchronise();
  if (round.optimize) {
    ++open_;
    ProbeWishes wishes{.all_pairs = world_.random.chance(1, 3)};
    if (world_.random.chance(1, 3)) wishes.age_max = seconds(world_.random.between(0, 2));
    process_.optimize_topology(wishes);
    return;
  }
  rest_ = std::move(round.collectives);
  // What was decided in a larger view may name a root that this one does not have.
  for (CollectiveWish& wish : rest_) wish.signature.root %= info.view.size();
  call_rest();
}

void TrainingApplication::synchronise() {
  Random& random = world_.random;
  TrainingState& state = process_.state();
  const StateSession& session = state.session();
  const bool gentle = world_.profile.faults.gentle;
  const EngineInfo info = process_.info();
  process_.withdraw_state();
  if (process_.gone()) return;
  if (session.check_may_save().ok() && random.chance(1, 16)) state.save();
  if (session.agreed(info.self) && !session.incomplete() && random.chance(3, 4)) state.train();
  if (!session.incomplete() && random.chance(1, 16)) state.go_astray(random);
  if (state.has_checkpoint() && random.chance(1, 16)) process_.load_state();
  if (session.incomplete() && random.chance(1, 8)) process_.mark_state_changed();
  // What has changed since may not be offered, even once its digests are known.
  if (random.chance(1, 8)) {
    process_.digest_state();
    if (process_.offer_state()) process_.withdraw_state();
    if (process_.gone()) return;
  }
  SyncWish wish{.tag = 0, .settings = {}, .only_marked = random.chance(1, 2)};
  if (!gentle && info.view.rank_of(info.self) != 0U && random.chance(1, 8))
    wish.settings.strategy = random.chance(1, 8) ? SyncStrategy::send_only : SyncStrategy::receive_only;
  wish.settings.compress = random.chance(1, 4);
  wish.settings.keep_old_bytes = random.chance(1, 4);
  ++open_;
  process_.synchronise(wish);
}

/// It was begun in a view that is over, and is the first thing of this one: as for those who begin here.
void TrainingApplication::sync_goes_on(const View&) {
  const EngineInfo info = process_.info();
  const bool is_same_call = info.calls_since <= epoch_ && info.view.id != view_;
  enter_view(info);
  // Nothing but relays has gone: it is the call that it was.
  if (is_same_call) return;
  world_.checker.decided(process_, view_, position_++, Round{.update = false, .sync = true, .collectives = {}}.hash());
}

void TrainingApplication::call_rest() {
  const EngineInfo info = process_.info();
  if (info.connected && info.calls_since <= epoch_) enter_view(info);
  if (!info.connected || info.view.id != view_) {
    // The view is over, and the round with it.
    rest_.clear();
    if (open_ == 0) next(Duration::zero());
    return;
  }
  const CollectiveWish wish = rest_.back();
  rest_.pop_back();
  ++open_;
  const bool more = !rest_.empty();
  process_.collective(wish);
  if (more) process_.in_process(short_think(), [this] { call_rest(); });
}

void TrainingApplication::call_ended(const Call& call, const CallDone& done) {
  --open_;
  if (call.kind == Call::Kind::sync && world_.random.chance(1, 2))
    process_.in_process(Duration::zero(), [this] {
      // Unless the next one has begun by then.
      if (process_.state().session().next() == StateSession::Next::over) process_.offer_state();
    });
  if (open_ != 0 || !rest_.empty()) return;
  const Status status = done.error.status;
  // An update that failed for all is made again by all; a reduce that failed has ended its view.
  if (call.kind == Call::Kind::update && status != Status::success) --position_;
  // A probe that the loss of a relay broke off is made again by all.
  if (call.kind == Call::Kind::optimize && status != Status::success && position_ > 0 &&
      process_.info().view.id != call.view.id && process_.info().calls_since <= call.view.epoch)
    --position_;
  const bool alone = call.kind != Call::Kind::connect && call.view.size() == 1;
  const bool not_in = call.kind == Call::Kind::connect && status != Status::success;
  next(alone || not_in ? Duration(world_.random.between(1000, 200000)) : think());
}

}  // namespace hawser::sim
