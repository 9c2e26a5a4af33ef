#include "runtime/reduce_many.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <set>
#include <tuple>

#include "base/thrown.hpp"
#include "runtime/clock.hpp"

namespace hawser {
namespace {

/// Tensors at least this large gain nothing from company.
constexpr std::uint64_t kAloneBytes = 1 << 20;

/// One collective: a tensor, or several that lie one behind the other in a buffer of our own.
struct Unit {
  std::vector<std::size_t> tensors;
  DataType type = DataType::float32;
  std::uint64_t count = 0;
};

class Reduction {
 public:
  Reduction(Communicator& communicator, const ManyArguments& arguments)
      : communicator_(communicator), arguments_(arguments) {
    outcome_.done.assign(arguments.tensors.size(), false);
    no_memory_.sentence = "there is no memory for the buffers of a list of tensors; reduce it in parts";
  }
  /// What flies writes to the caller's memory and to ours.
  ~Reduction() {
    for (const Flying& flying : flying_)
      if (flying.has_begun) (void)flying.operation.wait_for_end();
  }
  Reduction(const Reduction&) = delete;
  Reduction& operator=(const Reduction&) = delete;

  /// Whatever throws, the outcome says which tensors are done.
  ManyOutcome run() {
    const Instant begun = now();
    try {
      reduce();
    } catch (...) {
      const Thrown thrown = what_was_thrown();
      land_what_flies();
      end_with(thrown);
    }
    outcome_.info.tensors =
        static_cast<std::uint64_t>(std::count(outcome_.done.begin(), outcome_.done.end(), true));
    outcome_.info.total = now() - begun;
    if (outcome_.info.collectives > 0 || outcome_.info.attempts > 1) tell_how_far();
    return std::move(outcome_);
  }

 private:
  struct Flying {
    std::size_t unit = 0;
    bool has_begun = false;
    AsyncCollective operation;
    PooledBuffer send;  ///< Of several tensors: on their device, if they have one in common.
    PooledBuffer receive;
    std::vector<StreamCopy> to_tensors;  ///< Likewise, where there are devices: from `receive`.
  };

  void reduce() {
    make_units();
    outcome_.error = check();
    look_at_view();
    for (std::size_t unit = 0; unit < units_.size(); ++unit) waiting_.push_back(unit);
    while (outcome_.error.status == Status::success && !(waiting_.empty() && flying_.empty())) {
      if (waiting_.empty() || flying_.size() >= std::max<std::uint32_t>(1, arguments_.in_flight))
        land();
      else
        launch();
    }
    land_all();
  }

  void make_units() {
    std::map<DataType, std::size_t> open;
    for (std::size_t i = 0; i < arguments_.tensors.size(); ++i) {
      const Tensor& tensor = arguments_.tensors[i];
      const std::uint64_t element = element_bytes(tensor.type);
      const std::uint64_t most = std::min(arguments_.fuse_bytes, kAloneBytes) / element;
      if (tensor.count >= most) {
        units_.push_back({.tensors = {i}, .type = tensor.type, .count = tensor.count});
        continue;
      }
      const auto found = open.find(tensor.type);
      if (found == open.end() ||
          units_[found->second].count + tensor.count > arguments_.fuse_bytes / element) {
        open[tensor.type] = units_.size();
        units_.push_back({.tensors = {i}, .type = tensor.type, .count = tensor.count});
        continue;
      }
      Unit& unit = units_[found->second];
      unit.tensors.push_back(i);
      unit.count += tensor.count;
    }
  }

  /// What would be found at a unit's start is found before the first.
  Error check() {
    std::set<std::tuple<int, int, std::uintptr_t>> streams;
    for (std::size_t i = 0; i < arguments_.tensors.size(); ++i) {
      const Tensor& tensor = arguments_.tensors[i];
      const CollectiveCall call = call_of(tensor.send, tensor.receive, tensor.count, tensor.type);
      auto fine = communicator_.check(call);
      if (fine.ok() && communicator_.has_devices()) fine = check_places(call, stream_of(tensor), streams);
      if (!fine.ok())
        return {fine.error().status, "tensor " + std::to_string(i) + ": " + fine.error().sentence};
    }
    return {Status::success, {}};
  }

  /// `streams`: those that have been checked, of calls with such places.
  Result<void> check_places(const CollectiveCall& call, std::uintptr_t stream,
                            std::set<std::tuple<int, int, std::uintptr_t>>& streams) {
    const std::size_t bytes = call.signature.count * element_bytes(call.signature.type);
    const auto places = communicator_.devices()->find(call, bytes, bytes);
    if (!places.ok()) return places.error();
    places_.push_back(*places);
    if (!streams.emplace(places->send, places->receive, stream).second) return {};
    const auto known = communicator_.devices()->streams_now(*places, stream);
    return known.ok() ? Result<void>() : Result<void>(known.error());
  }

  CollectiveCall call_of(const void* send, void* receive, std::uint64_t count, DataType type) const {
    CollectiveCall call{.signature = {.collective = Collective::all_reduce,
                                      .type = type,
                                      .op = arguments_.op,
                                      .plan = arguments_.plan,
                                      .count = count},
                        .send = static_cast<const std::byte*>(send),
                        .receive = static_cast<std::byte*>(receive)};
    if (is_float(type)) call.signature.quantization = arguments_.quantization;
    return call;
  }

  std::uintptr_t stream_of(const Tensor& tensor) const {
    return tensor.stream != 0 ? tensor.stream : arguments_.stream;
  }

  void launch() {
    const std::size_t index = waiting_.front();
    const Unit& unit = units_[index];
    CollectiveArguments start{.call = {},
                              .tag = arguments_.first_tag + index,
                              .compress = arguments_.compress,
                              .epoch = epoch_};
    // In its place before it begins: nothing may throw while it flies unseen.
    Flying& flying = flying_.emplace_back();
    flying.unit = index;
    if (unit.tensors.size() == 1) {
      const Tensor& tensor = arguments_.tensors[unit.tensors.front()];
      start.call = call_of(tensor.send, tensor.receive, tensor.count, tensor.type);
      start.stream = stream_of(tensor);
    } else {
      if (const auto gathered = gather(unit, flying); !gathered.ok()) {
        waiting_.pop_front();
        flying_.pop_back();
        return failed(index, gathered.error());
      }
      start.call = call_of(flying.send.get(), flying.receive.get(), unit.count, unit.type);
      start.stream = stream_of(arguments_.tensors[unit.tensors.front()]);
    }
    auto started = communicator_.start(start);
    waiting_.pop_front();
    if (!started.ok()) {
      flying_.pop_back();
      return failed(index, started.error());
    }
    flying.operation = std::move(*started);
    flying.has_begun = true;
  }

  Result<void> gather(const Unit& unit, Flying& flying) const {
    const std::size_t element = element_bytes(unit.type);
    if (communicator_.has_devices()) return gather_with_devices(unit, flying);
    flying.send.reset(new std::byte[unit.count * element]);
    flying.receive.reset(new std::byte[unit.count * element]);
    std::byte* to = flying.send.get();
    for (const std::size_t i : unit.tensors) {
      const Tensor& tensor = arguments_.tensors[i];
      std::memcpy(to, tensor.send, tensor.count * element);
      to += tensor.count * element;
    }
    return {};
  }

  Result<void> gather_with_devices(const Unit& unit, Flying& flying) const {
    const std::size_t element = element_bytes(unit.type);
    std::vector<StreamCopy> copies;
    std::vector<std::uintptr_t> results_after;
    for (const std::size_t i : unit.tensors) {
      const Tensor& tensor = arguments_.tensors[i];
      const auto* const from = static_cast<const std::byte*>(tensor.send);
      auto* const to = static_cast<std::byte*>(tensor.receive);
      copies.push_back({{.from = from, .to = to, .bytes = tensor.count * element}, stream_of(tensor)});
      results_after.push_back(places_[i].stream_of_receive(stream_of(tensor)));
    }
    DeviceCopies& devices = *communicator_.devices();
    const int device = devices.device_of(copies);
    flying.send = devices.take(device, unit.count * element);
    flying.receive = devices.take(device, unit.count * element);
    flying.to_tensors = copies;
    std::size_t at = 0;
    for (std::size_t i = 0; i < copies.size(); ++i) {
      copies[i].bytes.to = flying.send.get() + at;
      flying.to_tensors[i].bytes.from = flying.receive.get() + at;
      flying.to_tensors[i].stream = results_after[i];
      at += copies[i].bytes.bytes;
    }
    return communicator_.copy(copies);
  }

  /// The others have their results: on the host nothing can fail here.
  Result<void> scatter(const Unit& unit, const Flying& flying) const noexcept try {
    if (!flying.to_tensors.empty()) return communicator_.copy(flying.to_tensors);
    const std::byte* from = flying.receive.get();
    for (const std::size_t i : unit.tensors) {
      const Tensor& tensor = arguments_.tensors[i];
      const std::size_t bytes = tensor.count * element_bytes(unit.type);
      std::memcpy(tensor.receive, from, bytes);
      from += bytes;
    }
    return {};
  } catch (...) {
    // Without a sentence, which would take memory.
    return Error{what_was_thrown().status, {}};
  }

  /// Waits for the oldest of those that fly, and takes its result if it has one.
  const CallDone& land_oldest() noexcept {
    const Flying& flying = flying_.front();
    const CallDone& done = flying.operation.wait_for_end();
    if (done.error.status != Status::success) return done;
    const Unit& unit = units_[flying.unit];
    if (unit.tensors.size() > 1)
      if (const auto placed = scatter(unit, flying); !placed.ok()) {
        // The device is lost, and with it this peer.
        if (outcome_.error.status == Status::success) outcome_.error = placed.error();
        return done;
      }
    for (const std::size_t i : unit.tensors) outcome_.done[i] = true;
    ManyInfo& info = outcome_.info;
    const auto world_size = static_cast<std::uint32_t>(done.info->contributors.size());
    info.world_size_least = info.collectives == 0 ? world_size : std::min(info.world_size_least, world_size);
    info.world_size_most = std::max(info.world_size_most, world_size);
    ++info.collectives;
    info.bytes_sent += done.info->bytes_sent;
    info.bytes_received += done.info->bytes_received;
    return done;
  }

  void land() {
    const CallDone& done = land_oldest();
    if (done.error.status == Status::success) return flying_.pop_front();
    const std::size_t unit = flying_.front().unit;
    const Error error = done.error;
    flying_.pop_front();
    failed(unit, error);
  }

  void land_all() {
    landing_all_ = true;
    while (!flying_.empty()) land();
    landing_all_ = false;
  }

  /// The list ends with an error anyway.
  void land_what_flies() noexcept {
    for (; !flying_.empty(); flying_.pop_front())
      if (flying_.front().has_begun) (void)land_oldest();
  }

  /// The others fail alike, or have been done: all members go on with the same ones.
  void failed(std::size_t unit, const Error& error) {
    if (!retry_mends(error.status)) {
      if (outcome_.error.status == Status::success) outcome_.error = error;
    } else {
      waiting_.insert(std::lower_bound(waiting_.begin(), waiting_.end(), unit), unit);
    }
    if (landing_all_) return;
    land_all();
    if (outcome_.error.status == Status::success) ++outcome_.info.attempts;
    look_at_view();
  }

  /// All of one attempt runs in one view: what is started after that one's end would wait for members who have
  /// learnt already why the list failed.
  void look_at_view() {
    if (const auto info = communicator_.info(); info.ok()) epoch_ = (*info)->view.epoch;
  }

  /// An error that was found before says more.
  void end_with(const Thrown& thrown) noexcept try {
    if (outcome_.error.status != Status::success) return;
    if (thrown.status == Status::system)
      outcome_.error = std::move(no_memory_);
    else
      outcome_.error = thrown.error();
  } catch (const std::exception&) {
    outcome_.error.status = thrown.status;
  }

  void tell_how_far() noexcept try {
    if (outcome_.error.status == Status::success) return;
    outcome_.error.sentence = std::to_string(outcome_.info.tensors) + " of " +
                              std::to_string(outcome_.done.size()) + " tensors are done; of the rest: " +
                              outcome_.error.sentence;
  } catch (const std::exception&) {
    // The sentence stays as it is, and `done` says how far.
  }

  Communicator& communicator_;
  const ManyArguments& arguments_;
  std::vector<DeviceCopies::Places> places_;  ///< Of each tensor, where there are devices.
  std::vector<Unit> units_;
  std::deque<std::size_t> waiting_;
  std::deque<Flying> flying_;
  bool landing_all_ = false;
  Epoch epoch_;
  ManyOutcome outcome_;
  Error no_memory_{Status::system, {}};  ///< Made while there is some.
};

}  // namespace

ManyOutcome reduce_many(Communicator& communicator, const ManyArguments& arguments) {
  const auto hold = communicator.hold();
  if (!hold.ok()) return {.error = hold.error(), .info = {}, .done = std::vector<bool>(arguments.tensors.size())};
  ManyOutcome outcome = Reduction(communicator, arguments).run();
  if (const auto& devices = communicator.devices()) devices->trim();
  return outcome;
}

}  // namespace hawser
