#include "collective/planned_collective.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/random.hpp"
#include "catch.hpp"
#include "device/sim_devices.hpp"
#include "plan/network.hpp"
#include "sim/typed_values.hpp"
#include "topology/sample_matrices.hpp"

namespace hawser {
namespace {

/// Where the buffers of ranks with even numbers lie. The others have them on the host, so that both kinds meet.
struct Where {
  bool sends_from_device = false;
  bool receives_on_device = false;
  bool computes = false;  ///< There, where both are, of quantised calls.
};
Where where_now;

/// Runs the test case for the host and for every mixture with devices.
void play_everywhere() {
  where_now = GENERATE(Where{false, false}, Where{false, true}, Where{true, false}, Where{true, true},
                       Where{true, true, true});
}

struct Setup {
  Signature signature;
  std::uint32_t world_size = 2;
  bool in_place = false;
  bool feedback = false;  ///< Error feedback.
  std::size_t memory_bytes = 24 << 20;
  std::shared_ptr<const Network> network;  ///< Null: nothing is known of the links.
  Where where = where_now;
};

/// Devices whose memory faults when something but a device's work touches it.
device::SimDevices& devices() {
  static const auto all = device::SimDevices::make({.delay_most = {}});
  return *all;
}
/// Memory for sums, and for nothing else.
class SumsOnDevice final : public BufferPool {
 public:
  explicit SumsOnDevice(int device) : device_(device) {}
  std::byte* take(std::size_t bytes) override {
    auto memory = std::move(*devices().allocate(device_, bytes));
    std::byte* const at = memory->bytes();
    taken_.emplace(at, std::move(memory));
    return at;
  }
  void give(std::byte* buffer, std::size_t) noexcept override { taken_.erase(buffer); }

 private:
  int device_;
  std::map<std::byte*, std::unique_ptr<device::Memory>> taken_;
};

/// A step whose memory lies on a device, as the device sees it. Quantised payloads lie on the host.
class SeenByDevice {
 public:
  explicit SeenByDevice(std::int32_t device) : device_(device) {}
  WorkStep operator()(WidenOwn step) const {
    see(step.sum, step.values, step.residual);
    return step;
  }
  WorkStep operator()(DequantizeCombine step) const {
    on_host(step.quantized);
    see(step.sum, step.own);
    return step;
  }
  WorkStep operator()(FinishSum step) const {
    see(step.sum, step.place);
    return step;
  }
  WorkStep operator()(QuantizeValues step) const {
    on_host(step.out);
    see(step.values, step.residual, step.next_residual, step.place);
    return step;
  }
  WorkStep operator()(DequantizeValues step) const {
    on_host(step.quantized);
    see(step.place);
    return step;
  }
  WorkStep operator()(CopyBytes step) const {
    see(step.from, step.to);
    return step;
  }
  template <class Other>
  WorkStep operator()(const Other& step) const {
    FAIL("no device does this step");
    return step;
  }

 private:
  void on_host(const std::byte* memory) const { REQUIRE(*devices().where(memory, 1) == kOnHost); }
  template <class... Pointer>
  void see(Pointer*&... memory) const {
    (see_one(memory), ...);
  }
  template <class Pointer>
  void see_one(Pointer*& memory) const {
    if (memory == nullptr) return;
    REQUIRE(*devices().where(memory, 1) == device_);
    memory = devices().seen_by_device(memory, 1);
  }

  std::int32_t device_;
};

WorkResult run_anywhere(const Work& work, WorkDesk& desk) {
  if (work.device == kOnHost) return hawser::run(work, desk);
  const bool only_copies = std::all_of(work.steps.begin(), work.steps.end(), [](const WorkStep& step) {
    return std::holds_alternative<CopyBytes>(step);
  });
  if (!only_copies) {
    Work seen;
    for (const WorkStep& step : work.steps) seen.steps.push_back(std::visit(SeenByDevice(work.device), step));
    return hawser::run(seen, desk);
  }
  for (const WorkStep& step : work.steps) {
    const auto& copy = std::get<CopyBytes>(step);
    const auto from = devices().where(copy.from, copy.bytes);
    const auto to = devices().where(copy.to, copy.bytes);
    REQUIRE((from.ok() && to.ok()));
    REQUIRE((*from == work.device || *to == work.device));
    devices().copy_now(copy.to, copy.from, copy.bytes);
    if (copy.done != nullptr) *copy.done = 1;
  }
  return {};
}

std::uint64_t send_count(const Setup& setup) {
  const bool scatters = setup.signature.collective == Collective::reduce_scatter;
  return setup.signature.count * (scatters ? setup.world_size : 1);
}
std::uint64_t receive_count(const Setup& setup) {
  const bool gathers = setup.signature.collective == Collective::all_gather;
  return setup.signature.count * (gathers ? setup.world_size : 1);
}

/// World-size executors, joined by a network that delivers in any order, repeats at will, and tells of
/// arrivals late.
class Ensemble {
 public:
  Ensemble(const Setup& setup, std::uint64_t seed) : setup_(setup), random_(seed) {
    const std::size_t element = element_bytes(setup.signature.type);
    for (std::uint32_t rank = 0; rank < setup.world_size; ++rank) {
      auto& memory = memories_.emplace_back();
      // One buffer that has room for both ways of being in place.
      memory.send.resize(std::max(send_count(setup), receive_count(setup)) * element);
      memory.receive.resize(receive_count(setup) * element);
      for (std::uint64_t i = 0; i < send_count(setup); ++i)
        sim::store(setup.signature.type, send_of(rank) + i * element, value(rank, i));
      memory.original = memory.send;
      memory.residual.resize(setup.feedback ? setup.signature.count * 8 : 0);
      memory.next_residual.resize(memory.residual.size());
      auto made = PlannedCollective::create(
          make_plan({.kind = setup.signature.plan,
                     .world_size = setup.world_size,
                     .elements = setup.signature.count,
                     .element_bytes = chunking_bytes(setup.signature),
                     .collective = setup.signature.collective,
                     .root = setup.signature.root,
                     .network = setup.network.get()}),
          call_of(rank, seed));
      REQUIRE(made.ok());
      REQUIRE((setup.signature.count == 0 || plan_check((*made)->plan()).ok()));
      executors_.push_back(std::move(*made));
    }
    for (std::uint32_t rank = 0; rank < setup.world_size; ++rank) {
      PlannedCollective::Output output;
      executors_[rank]->start(output);
      follow(rank, output);
    }
  }

  /// Up to so many things happen.
  void run(std::uint64_t limit = ~std::uint64_t{0}) {
    while (limit-- > 0) {
      const auto waiting = static_cast<std::uint64_t>(waiting_.size());
      const auto all = waiting + flights_.size() + acknowledgements_.size() + works_.size();
      if (all == 0) return;
      const std::uint64_t pick = random_.below(all);
      if (all - pick <= works_.size()) {
        work(all - pick - 1);
        continue;
      }
      const bool moved = pick < waiting ? depart(pick) : pick < waiting + flights_.size()
                                              ? arrive(pick - waiting)
                                              : acknowledge(pick - waiting - flights_.size());
      if (!moved && flights_.empty() && acknowledgements_.empty() && works_.empty() && !first_below_limit_departs())
        return;
    }
  }

  /// The buffers of the caller, on the host or on a device. There the host's are what fetch_back() last saw.
  CollectiveCall call_of(std::uint32_t rank, std::uint64_t seed) {
    Memory& memory = memories_[rank];
    CollectiveCall call{.signature = setup_.signature,
                        .rank = rank,
                        .send = send_of(rank),
                        .receive = receive_of(rank),
                        .residual = setup_.feedback ? memory.residual.data() : nullptr,
                        .next_residual = setup_.feedback ? memory.next_residual.data() : nullptr,
                        .seed = seed,
                        .memory_bytes = setup_.memory_bytes};
    const auto [sends_from_device, receives_on_device, computes] = setup_.where;
    const auto number = static_cast<std::int32_t>(rank / 2 % 2);
    const auto move = [&](std::vector<std::byte>& bytes, std::unique_ptr<device::Memory>& there) {
      if (bytes.empty()) return;
      if (!there) there = std::move(*devices().allocate(number, bytes.size()));
      devices().copy_now(there->bytes(), bytes.data(), bytes.size());
    };
    const auto moved = [](const std::byte* at, std::vector<std::byte>& bytes,
                          const std::unique_ptr<device::Memory>& there) {
      return bytes.empty() ? nullptr : there->bytes() + (at - bytes.data());
    };
    if (rank % 2 != 0) return call;
    if (sends_from_device || (setup_.in_place && receives_on_device)) {
      move(memory.send, memory.device_send);
      call.send = moved(call.send, memory.send, memory.device_send);
      call.device.send = number;
    }
    if (setup_.in_place && call.device.send != kOnHost) {
      call.receive = moved(call.receive, memory.send, memory.device_send);
      call.device.receive = number;
      memory.device_scratch = std::move(*devices().allocate(number, memory.send.size() + 1));
      call.device.scratch = memory.device_scratch->bytes();
    } else if (receives_on_device) {
      move(memory.receive, memory.device_receive);
      call.receive = moved(call.receive, memory.receive, memory.device_receive);
      call.device.receive = number;
    }
    call.device.copy_now = [](const CopyBytes& copy) { devices().copy_now(copy.to, copy.from, copy.bytes); };
    if (computes && setup_.signature.quantization && setup_.signature.count > 0) {
      call.device.computes = true;
      call.device.device_pool = std::make_shared<SumsOnDevice>(number);
      move(memory.residual, memory.device_residual);
      move(memory.next_residual, memory.device_next_residual);
      if (setup_.feedback) {
        call.residual = memory.device_residual->bytes();
        call.next_residual = memory.device_next_residual->bytes();
      }
    }
    return call;
  }
  /// What lies on devices, to where checks look.
  void fetch_back() {
    for (Memory& memory : memories_) {
      if (memory.device_send) devices().copy_now(memory.send.data(), memory.device_send->bytes(), memory.send.size());
      if (memory.device_receive)
        devices().copy_now(memory.receive.data(), memory.device_receive->bytes(), memory.receive.size());
      if (memory.device_next_residual)
        devices().copy_now(memory.next_residual.data(), memory.device_next_residual->bytes(),
                           memory.next_residual.size());
    }
  }

  bool complete() const {
    return std::all_of(executors_.begin(), executors_.end(), [](const auto& one) { return one->complete(); });
  }
  void settle_all() {
    put_in_order([](Execution& one, std::size_t bytes) { return one.settle(bytes); });
  }
  void undo_all() {
    put_in_order([](Execution& one, std::size_t bytes) { return one.undo(bytes); });
  }
  /// As after an exception, in the middle of everything.
  void undo_now() {
    for (const auto& executor : executors_) executor->undo_now();
  }

  void check_exact() {
    fetch_back();
    const Signature& signature = setup_.signature;
    const std::size_t element = element_bytes(signature.type);
    for (std::uint32_t rank = 0; rank < setup_.world_size; ++rank)
      for (std::uint64_t i = 0; i < receive_count(setup_); ++i) {
        std::vector<std::byte> wanted(element);
        sim::store(signature.type, wanted.data(), expected(rank, i));
        if (std::memcmp(wanted.data(), receive_of(rank) + i * element, element) != 0)
          FAIL(describe(signature) << ", world size " << setup_.world_size << ", rank " << rank << ", element " << i
                                   << ": " << sim::load(signature.type, receive_of(rank) + i * element)
                                   << " is not " << expected(rank, i));
      }
  }
  /// All members hold the same bits, and none is farther from the right answer than `bound`.
  void check_near(double bound) {
    fetch_back();
    const DataType type = setup_.signature.type;
    const std::size_t element = element_bytes(type);
    for (std::uint32_t rank = 0; rank < setup_.world_size; ++rank) {
      if (std::memcmp(receive_of(rank), receive_of(0), receive_count(setup_) * element) != 0)
        FAIL(describe(setup_.signature) << ": ranks 0 and " << rank << " hold different bits");
      for (std::uint64_t i = 0; i < receive_count(setup_); ++i)
        if (!(std::abs(sim::load(type, receive_of(rank) + i * element) - expected(rank, i)) <= bound))
          FAIL(describe(setup_.signature) << ", world size " << setup_.world_size << ", element " << i << ": "
                                          << sim::load(type, receive_of(rank) + i * element) << " is not near "
                                          << expected(rank, i));
    }
  }
  bool inputs_intact() {
    fetch_back();
    return std::all_of(memories_.begin(), memories_.end(),
                       [](const Memory& memory) { return memory.send == memory.original; });
  }
  /// What the results lack and what the residuals keep, summed over the members, is what went in.
  void check_feedback() {
    fetch_back();
    const DataType type = setup_.signature.type;
    const bool wide = type == DataType::float64;
    for (std::uint64_t i = 0; i < setup_.signature.count; ++i) {
      double kept = 0;
      for (const Memory& memory : memories_)
        kept += wide ? sim::load(DataType::float64, memory.next_residual.data() + i * 8)
                     : sim::load(DataType::float32, memory.next_residual.data() + i * 4);
      const double scale = setup_.signature.op == ReduceOp::avg ? setup_.world_size : 1;
      const double got = sim::load(type, receive_of(0) + i * element_bytes(type)) * scale + kept;
      if (std::abs(got - expected(0, i) * scale) > 1e-3) FAIL(i << ": " << got << " of " << expected(0, i) * scale);
    }
  }
  PlannedCollective& executor(std::uint32_t rank) { return *executors_[rank]; }

 private:
  struct Memory {
    std::vector<std::byte> send;
    std::vector<std::byte> receive;
    std::vector<std::byte> original;
    std::vector<std::byte> residual;
    std::vector<std::byte> next_residual;
    std::unique_ptr<device::Memory> device_send;
    std::unique_ptr<device::Memory> device_receive;
    std::unique_ptr<device::Memory> device_scratch;
    std::unique_ptr<device::Memory> device_residual;
    std::unique_ptr<device::Memory> device_next_residual;
  };
  struct Waiting {
    std::uint32_t from = 0;
    PlannedCollective::Send send;
  };
  struct Flight {
    std::uint32_t from = 0;
    PlannedCollective::Send send;
    std::vector<std::byte> payload;
    bool repeat = false;
  };

  double value(std::uint32_t rank, std::uint64_t i) const {
    const std::uint64_t mixed = Random(rank * 1000003ULL + i).next();
    return setup_.signature.op == ReduceOp::prod ? 1 + (mixed % 8 == 0) : static_cast<double>(1 + mixed % 9);
  }
  double expected(std::uint32_t rank, std::uint64_t i) const {
    const Signature& signature = setup_.signature;
    if (signature.collective == Collective::broadcast) return value(signature.root, i);
    if (signature.collective == Collective::all_gather)
      return value(static_cast<std::uint32_t>(i / signature.count), i % signature.count);
    const std::uint64_t at = signature.collective == Collective::reduce_scatter ? rank * signature.count + i : i;
    std::vector<double> values;
    for (std::uint32_t other = 0; other < setup_.world_size; ++other) values.push_back(value(other, at));
    return sim::reduced(signature.type, signature.op, values);
  }
  std::byte* send_of(std::uint32_t rank) {
    const bool in_gathered = setup_.in_place && setup_.signature.collective == Collective::all_gather;
    return memories_[rank].send.data() + (in_gathered ? share(rank) : 0);
  }
  std::byte* receive_of(std::uint32_t rank) {
    if (!setup_.in_place) return memories_[rank].receive.data();
    const bool in_scattered = setup_.signature.collective == Collective::reduce_scatter;
    return memories_[rank].send.data() + (in_scattered ? share(rank) : 0);
  }
  std::size_t share(std::uint32_t rank) const {
    return rank * setup_.signature.count * element_bytes(setup_.signature.type);
  }

  void finish_works() {
    while (!works_.empty()) work(random_.below(works_.size()));
  }
  /// All slices at once, in any order.
  template <class Slice>
  void put_in_order(const Slice& slice) {
    finish_works();
    for (const auto& executor : executors_) {
      const std::size_t bytes = random_.chance(1, 2) ? 1 : static_cast<std::size_t>(random_.below(200'000));
      std::vector<Work> slices;
      for (Work one = slice(*executor, bytes + 1); !one.steps.empty(); one = slice(*executor, bytes + 1)) {
        if (one.steps.size() > 1) REQUIRE(one.bytes < bytes + (2 << 20));
        slices.push_back(std::move(one));
      }
      while (!slices.empty()) {
        const auto pick = static_cast<std::ptrdiff_t>(random_.below(slices.size()));
        REQUIRE(run_anywhere(slices[static_cast<std::size_t>(pick)], desk_).right);
        slices.erase(slices.begin() + pick);
      }
    }
  }
  void follow(std::uint32_t from, PlannedCollective::Output& output) {
    for (const auto& send : output.sends) waiting_.push_back({.from = from, .send = send});
    for (auto& order : output.works) works_.push_back({.rank = from, .order = std::move(order)});
  }
  /// Works are done in any order, and what was ordered before an abort is done before it is undone.
  void work(std::uint64_t pick) {
    const Ordered one = std::move(works_[pick]);
    works_.erase(works_.begin() + static_cast<std::ptrdiff_t>(pick));
    REQUIRE(run_anywhere(one.order.work, desk_).right);
    PlannedCollective::Output output;
    CHECK_FALSE(executors_[one.rank]->worked({}, one.order.token, {}, output).has_value());
    follow(one.rank, output);
  }
  bool depart(std::uint64_t pick) {
    const Waiting one = waiting_[pick];
    if (one.send.direction == Direction::up && one.send.chunk >= executors_[one.send.to]->send_limit())
      return false;
    PlannedCollective::Output output;
    const auto payload = executors_[one.from]->payload(one.send.direction, one.send.chunk, output);
    follow(one.from, output);
    if (!payload) return !works_.empty();
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(pick));
    REQUIRE(payload->size() == one.send.bytes);
    flights_.push_back({.from = one.from, .send = one.send, .payload = {payload->begin(), payload->end()}});
    return true;
  }
  /// A link sends what goes up in the order of the chunks, so whatever is below the limit does go.
  bool first_below_limit_departs() {
    for (std::uint64_t i = 0; i < waiting_.size(); ++i)
      if (depart(i)) return true;
    return false;
  }
  bool arrive(std::uint64_t pick) {
    const Flight flight = flights_[pick];
    // A repeat stays on its way and comes again later.
    if (random_.chance(1, 4))
      flights_[pick].repeat = true;
    else
      flights_.erase(flights_.begin() + static_cast<std::ptrdiff_t>(pick));
    PlannedCollective& executor = *executors_[flight.send.to];
    const auto verdict = executor.judge(flight.from, flight.send.direction, flight.send.chunk, flight.payload.size());
    REQUIRE(verdict != PlannedCollective::Verdict::impossible);
    if (!flight.repeat) acknowledgements_.push_back({.from = flight.from, .send = flight.send});
    if (verdict == PlannedCollective::Verdict::repeated) return true;
    PlannedCollective::Output output;
    auto copy = std::make_shared<std::vector<std::byte>>(flight.payload);
    Payload payload{.bytes = copy->data(), .owner = copy};
    if (flight.send.direction == Direction::down) {
      if (std::byte* const landing = executor.landing(flight.send.chunk, output)) {
        for (auto& order : output.works) {
          REQUIRE(run_anywhere(order.work, desk_).right);
          CHECK_FALSE(executor.worked({}, order.token, {}, output).has_value());
        }
        output.works.clear();
        std::memcpy(landing, copy->data(), copy->size());
        payload = {.bytes = landing};
      }
    }
    executor.arrived({}, flight.from, flight.send.direction, flight.send.chunk, std::move(payload), output);
    follow(flight.send.to, output);
    return true;
  }
  bool acknowledge(std::uint64_t pick) {
    const Waiting one = acknowledgements_[pick];
    acknowledgements_.erase(acknowledgements_.begin() + static_cast<std::ptrdiff_t>(pick));
    PlannedCollective::Output output;
    executors_[one.from]->sent(one.send.to, one.send.direction, one.send.chunk, output);
    follow(one.from, output);
    return true;
  }

  Setup setup_;
  Random random_;
  std::vector<Memory> memories_;
  std::vector<std::unique_ptr<PlannedCollective>> executors_;
  std::vector<Waiting> waiting_;
  std::vector<Flight> flights_;
  std::vector<Waiting> acknowledgements_;
  struct Ordered {
    std::uint32_t rank;
    PlannedCollective::Order order;
  };
  std::vector<Ordered> works_;
  WorkDesk desk_;
};

void check_runs_exact(const Setup& setup, std::uint64_t seed) {
  Ensemble ensemble(setup, seed);
  ensemble.run();
  INFO(describe(setup.signature) << ", world size " << setup.world_size);
  REQUIRE(ensemble.complete());
  ensemble.settle_all();
  ensemble.check_exact();
  if (!setup.in_place) REQUIRE(ensemble.inputs_intact());
}

constexpr std::array kReducing{Collective::all_reduce, Collective::reduce_scatter};
constexpr std::array kPlans{PlanKind::ring, PlanKind::direct};
constexpr std::array kCollectives{Collective::all_reduce, Collective::broadcast, Collective::all_gather,
                                  Collective::reduce_scatter};

/// Slow members, and regions whose members take turns in the rank order.
std::shared_ptr<const Network> network_of(const std::vector<std::uint32_t>& region_sizes) {
  topology::Matrix matrix = topology::sample_of_regions({.sizes = region_sizes, .mixed = true});
  matrix.members[0].uplink_bytes_per_second /= 20;
  matrix.members[2].downlink_bytes_per_second /= 3;
  auto made = make_network(matrix);
  REQUIRE(made.ok());
  return *made;
}

}  // namespace

TEST_CASE("sums are exact whatever the order and however often chunks come") {
  play_everywhere();
  std::uint64_t seed = 1;
  for (const Collective collective : kReducing)
    for (const PlanKind plan : kPlans)
      for (const std::uint32_t world_size : {2U, 3U, 4U, 7U})
        for (const std::uint64_t count : {1ULL, 2ULL, 5ULL, 4097ULL, 40003ULL})
          for (const bool in_place : {false, true})
            check_runs_exact({.signature = {.collective = collective, .plan = plan, .count = count},
                              .world_size = world_size,
                              .in_place = in_place},
                             seed++);
}

TEST_CASE("every type and op is exact in ring and direct, all-reduce and reduce-scatter") {
  play_everywhere();
  std::uint64_t seed = 1;
  for (const DataType type : kDataTypes)
    for (const ReduceOp op : kReduceOps)
      for (const Collective collective : kReducing)
        for (const PlanKind plan : kPlans)
          for (const bool in_place : {false, true})
            check_runs_exact(
                {.signature = {.collective = collective, .type = type, .op = op, .plan = plan, .count = 6007},
                 .world_size = static_cast<std::uint32_t>(2 + seed % 4),
                 .in_place = in_place},
                seed++);
}

TEST_CASE("broadcast and all-gather bring everybody's bits to everybody") {
  play_everywhere();
  std::uint64_t seed = 1;
  for (const Collective collective : {Collective::broadcast, Collective::all_gather})
    for (const PlanKind plan : kPlans)
      for (const std::uint32_t world_size : {2U, 3U, 5U})
        for (const std::uint64_t count : {1ULL, 1000ULL, 300001ULL})
          for (const bool in_place : {false, true})
            check_runs_exact({.signature = {.collective = collective,
                                            .type = kDataTypes[seed % kDataTypes.size()],
                                            .plan = plan,
                                            .count = count,
                                            .root = static_cast<std::uint32_t>(
                                                collective == Collective::broadcast ? seed % world_size : 0)},
                              .world_size = world_size,
                              .in_place = in_place},
                             seed++);
}

TEST_CASE("a small window moves on to the end, wherever buffers lie") {
  play_everywhere();
  std::uint64_t seed = 1;
  for (const Collective collective : kCollectives)
    for (const PlanKind plan : kPlans)
      for (const bool in_place : {false, true}) {
        check_runs_exact({.signature = {.collective = collective, .plan = plan, .count = 20011},
                          .world_size = static_cast<std::uint32_t>(2 + seed % 4),
                          .in_place = in_place,
                          .memory_bytes = 1},
                         seed);
        ++seed;
      }
}

TEST_CASE("plans from measured links are exact: every kind and collective, in place and not") {
  play_everywhere();
  std::uint64_t seed = 1;
  for (const auto& sizes : {std::vector<std::uint32_t>{2, 2}, {4, 3}, {3, 1, 2}, {1, 4}}) {
    const auto network = network_of(sizes);
    const std::uint32_t world_size = network->estimates.world_size();
    for (const Collective collective : kCollectives)
      for (const PlanKind plan : {PlanKind::automatic, PlanKind::direct, PlanKind::ring, PlanKind::hierarchical})
        for (const std::uint64_t count : {1ULL, 20011ULL}) {
          const auto root = static_cast<std::uint32_t>(collective == Collective::broadcast ? seed % world_size : 0);
          check_runs_exact({.signature = {.collective = collective,
                                          .type = kDataTypes[seed % kDataTypes.size()],
                                          .plan = plan,
                                          .count = count,
                                          .root = root},
                            .world_size = world_size,
                            .in_place = seed / 2 % 2 == 0,
                            .network = network},
                           seed);
          ++seed;
        }
  }
}

TEST_CASE("quantised, with error feedback, and undone: plans from measured links too") {
  play_everywhere();
  const auto network = network_of({3, 2});
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    const bool whole = seed % 2 == 0;
    Ensemble ensemble({.signature = {.op = seed % 3 == 0 ? ReduceOp::avg : ReduceOp::sum,
                                     .plan = seed % 5 == 0 ? PlanKind::direct : PlanKind::hierarchical,
                                     .count = 40007,
                                     .quantization = {.scheme = QuantizationScheme::blockwise,
                                                      .type = QuantizedType::int8,
                                                      .block = 64}},
                       .world_size = 5,
                       .in_place = !whole || seed % 4 == 0,
                       .feedback = whole,
                       .network = network},
                      seed);
    ensemble.run(whole ? ~std::uint64_t{0} : seed * 5);
    if (whole) {
      REQUIRE(ensemble.complete());
      ensemble.settle_all();
      ensemble.check_near(2);
      ensemble.check_feedback();
    } else {
      ensemble.undo_all();
      REQUIRE(ensemble.inputs_intact());
    }
  }
}

TEST_CASE("a barrier is whole at once") {
  play_everywhere();
  Ensemble ensemble({.signature = {.collective = Collective::barrier}, .world_size = 3}, 1);
  CHECK(ensemble.complete());
}

TEST_CASE("quantised members end with the same bits, near the right answer") {
  play_everywhere();
  struct Scheme {
    Quantization quantization;
    double step;  ///< Of a sum of values up to 9 at world size 5, generously.
  };
  const std::vector<Scheme> schemes{
      {{.scheme = QuantizationScheme::min_max, .type = QuantizedType::uint8}, 0.2},
      {{.scheme = QuantizationScheme::min_max, .type = QuantizedType::int8}, 0.2},
      {{.scheme = QuantizationScheme::zero_point_scale, .type = QuantizedType::uint8}, 0.2},
      {{.scheme = QuantizationScheme::zero_point_scale, .type = QuantizedType::uint16}, 0.15},
      {{.scheme = QuantizationScheme::blockwise, .type = QuantizedType::int8, .block = 64}, 0.4},
      {{.scheme = QuantizationScheme::blockwise, .type = QuantizedType::int4, .block = 256}, 7},
      {{.scheme = QuantizationScheme::cast, .type = QuantizedType::bfloat16}, 0.3},
      {{.scheme = QuantizationScheme::cast, .type = QuantizedType::float16}, 0.1},
  };
  std::uint64_t seed = 1;
  for (const Scheme& scheme : schemes)
    for (const DataType type : {DataType::float32, DataType::float64, DataType::float16, DataType::bfloat16})
      for (const PlanKind plan : kPlans)
        for (const bool stochastic : {false, true})
          for (const bool in_place : {false, true}) {
            Setup setup{.signature = {.type = type, .plan = plan, .count = 5003, .quantization = scheme.quantization},
                        .world_size = static_cast<std::uint32_t>(2 + seed % 4),
                        .in_place = in_place};
            setup.signature.quantization.stochastic = stochastic;
            setup.signature.op = seed % 3 == 0 ? ReduceOp::avg : ReduceOp::sum;
            if (!check(setup.signature.quantization, type).ok()) continue;
            Ensemble ensemble(setup, seed++);
            ensemble.run();
            REQUIRE(ensemble.complete());
            ensemble.settle_all();
            ensemble.check_near(scheme.step * (stochastic ? 2 : 1) * (plan == PlanKind::ring ? 4 : 3));
            if (!in_place) REQUIRE(ensemble.inputs_intact());
          }
}

TEST_CASE("error feedback keeps what quantisation lost") {
  play_everywhere();
  std::uint64_t seed = 1;
  for (const DataType type : {DataType::float32, DataType::float64})
    for (const PlanKind plan : kPlans)
      for (const ReduceOp op : {ReduceOp::sum, ReduceOp::avg})
        for (const bool in_place : {false, true}) {
          Ensemble ensemble({.signature = {.type = type,
                                           .op = op,
                                           .plan = plan,
                                           .count = 3001,
                                           .quantization = {.scheme = QuantizationScheme::blockwise,
                                                            .type = QuantizedType::int4,
                                                            .block = 64}},
                             .world_size = 4,
                             .in_place = in_place,
                             .feedback = true},
                            seed++);
          ensemble.run();
          REQUIRE(ensemble.complete());
          ensemble.settle_all();
          ensemble.check_feedback();
        }
}

TEST_CASE("undo gives every input back, wherever the collective stopped") {
  play_everywhere();
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    Setup setup{.signature = {.collective = kReducing[random.below(2)],
                              .type = random.chance(1, 2) ? DataType::float32 : DataType::float16,
                              .plan = kPlans[random.below(2)],
                              .count = 20000 + random.below(50000)},
                .world_size = static_cast<std::uint32_t>(random.between(2, 5)),
                .in_place = true};
    if (random.chance(1, 2))
      setup.signature.quantization = {.scheme = QuantizationScheme::min_max, .type = QuantizedType::uint8};
    Ensemble ensemble(setup, seed);
    ensemble.run(random.below(200));
    if (random.chance(1, 2))
      ensemble.undo_all();
    else
      ensemble.undo_now();
    REQUIRE(ensemble.inputs_intact());
  }
}

TEST_CASE("a result that was settled, or in part, can still be undone") {
  play_everywhere();
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Ensemble ensemble(
        {.signature = {.plan = kPlans[seed % 2],
                       .count = 40000,
                       .quantization = {.scheme = QuantizationScheme::min_max, .type = QuantizedType::uint8}},
         .world_size = 4,
         .in_place = true},
        seed);
    ensemble.run();
    REQUIRE(ensemble.complete());
    if (seed % 4 < 2) ensemble.settle_all();
    CHECK_FALSE(ensemble.inputs_intact());
    ensemble.undo_now();
    REQUIRE(ensemble.inputs_intact());
  }
}

TEST_CASE("accumulators that are not in the receive buffer are bounded, and the limit moves on to the end") {
  where_now = {};
  for (const PlanKind plan : kPlans) {
    const Setup setup{.signature = {.type = DataType::float16, .plan = plan, .count = 300000},
                      .world_size = 3,
                      .memory_bytes = 128 << 10};
    Ensemble ensemble(setup, 7);
    CHECK(ensemble.executor(0).send_limit() < ensemble.executor(0).plan().chunking.chunks());
    ensemble.run();
    REQUIRE(ensemble.complete());
    ensemble.check_exact();
    CHECK(ensemble.executor(0).send_limit() == ensemble.executor(0).plan().chunking.chunks());
  }
  Ensemble unlimited({.signature = {.count = 300000}, .world_size = 3, .memory_bytes = 128 << 10}, 1);
  CHECK(unlimited.executor(0).send_limit() == kNoLimit);
}

TEST_CASE("chunks that no correct peer sends are recognised") {
  where_now = {};
  Ensemble ensemble({.signature = {.plan = PlanKind::ring, .count = 100000}, .world_size = 4}, 1);
  const PlannedCollective& zero = ensemble.executor(0);
  const std::size_t bytes = zero.plan().chunking.count(0) * 4;
  // Chunk 0 has root 0: its sum comes from rank 3 alone, and its result from nobody.
  CHECK(zero.judge(3, Direction::up, 0, bytes) == PlannedCollective::Verdict::expected);
  CHECK(zero.judge(1, Direction::up, 0, bytes) == PlannedCollective::Verdict::impossible);
  CHECK(zero.judge(3, Direction::down, 0, bytes) == PlannedCollective::Verdict::impossible);
  CHECK(zero.judge(3, Direction::up, 0, bytes - 4) == PlannedCollective::Verdict::impossible);
  CHECK(zero.judge(3, Direction::up, 1ULL << 40, bytes) == PlannedCollective::Verdict::impossible);
}

TEST_CASE("a complaint names those whose chunks are due") {
  where_now = {};
  const auto ensemble_of = [](PlanKind plan, std::uint64_t count) {
    return std::make_unique<Ensemble>(Setup{.signature = {.plan = plan, .count = count}, .world_size = 4}, 1);
  };
  const auto ring = ensemble_of(PlanKind::ring, 100000);
  CHECK(ring->executor(0).waiting_for() == std::vector<std::uint32_t>{3});
  CHECK(ring->executor(0).senders() == std::vector<std::uint32_t>{3});
  const auto star = ensemble_of(PlanKind::direct, 100000);
  CHECK(star->executor(2).waiting_for() == std::vector<std::uint32_t>{0, 1, 3});
  const auto tiny = ensemble_of(PlanKind::direct, 1);
  CHECK(tiny->executor(2).waiting_for() == std::vector<std::uint32_t>{0});
}

}  // namespace hawser
