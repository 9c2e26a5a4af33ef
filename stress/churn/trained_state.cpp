#include "trained_state.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "device_mirror.hpp"
#include "digest.hpp"
#include "hawser_sim_device.h"

namespace hawser::churn {
namespace {

// Half of the change at once, the other half over the next steps.
constexpr float kMomentum = 0.5f;
constexpr std::uint64_t kStepMax = 1u << 24;
// Behind the guards, so that tensors do not begin where pages or cache lines do.
constexpr std::size_t kShiftBytes = 8;

}  // namespace

TrainedState::TrainedState(Reporter& reporter, std::uint64_t weights, std::uint64_t ballast_bytes)
    : reporter_(reporter), specs_(state_tensors(weights, ballast_bytes)) {
  std::vector<hawserStateTensor_t> tensors;
  memory_.reserve(specs_.size());
  for (const StateTensorSpec& spec : specs_) {
    const std::size_t number = memory_.size();
    memory_.emplace_back(spec.bytes(), kShiftBytes * (number % 3));
    twins_.emplace_back(memory_.back(), DeviceMirror::is_wanted(number) ? DeviceMirror::device_of(number) : -1);
    tensors.push_back({.name = spec.name.c_str(),
                       .data = twins_.back().data(),
                       .count = spec.count,
                       .type = spec.type,
                       .memory = hawserMemoryByAddress,
                       .allow_content_inequality = spec.may_differ ? 1u : 0u});
  }
  if (hawserSharedStateCreate(tensors.data(), tensors.size(), &handle_) != hawserSuccess)
    throw std::runtime_error(std::string("hawserSharedStateCreate: ") + hawserGetLastError());
}

TrainedState::~TrainedState() { expect(hawserSharedStateDestroy(handle_), "destroy the state"); }

hawserSharedState_t TrainedState::handle() const {
  for (const TensorTwin& twin : twins_)
    if (twin.device() >= 0)
      expect(hawserSimDeviceSynchronise(DeviceMirror::stream_of(twin.device())), "wait for a device");
  return handle_;
}

hawserSharedState_t TrainedState::handle_after(void*& stream) const {
  for (const TensorTwin& twin : twins_) {
    if (twin.device() < 0) continue;
    void* const writes = DeviceMirror::stream_of(twin.device());
    if (stream == nullptr) stream = writes;
    if (stream != writes) expect(hawserSimDeviceSynchronise(writes), "wait for a device");
  }
  return handle_;
}

void TrainedState::fetch_back() const {
  for (const TensorTwin& twin : twins_) twin.fetch_back();
}

void TrainedState::expect(hawserResult_t result, const char* what) const {
  if (result != hawserSuccess)
    reporter_.violation("unexpected_error", std::string(what) + ": " + hawserGetLastError());
}

std::span<float> TrainedState::floats(std::size_t tensor) {
  return {reinterpret_cast<float*>(memory_[tensor].view().data()), specs_[tensor].count};
}

std::span<const float> TrainedState::floats(std::size_t tensor) const {
  return {reinterpret_cast<const float*>(memory_[tensor].view().data()), specs_[tensor].count};
}

BallastRule TrainedState::ballast_rule(std::size_t tensor) const {
  return {.origin = progress().origin, .tensor = tensor, .compressible = specs_[tensor].type == hawserInt32};
}

TrainingProgress TrainedState::progress() const {
  TrainingProgress progress;
  static_assert(sizeof progress == 3 * sizeof(std::uint64_t));
  std::memcpy(&progress, memory_[kProgressTensor].view().data(), sizeof progress);
  return progress;
}

void TrainedState::set_progress(const TrainingProgress& progress) {
  std::memcpy(memory_[kProgressTensor].view().data(), &progress, sizeof progress);
}

std::uint64_t TrainedState::revision() const {
  std::uint64_t revision = 0;
  expect(hawserSharedStateGetRevision(handle_, &revision), "get the revision");
  return revision;
}

std::uint64_t TrainedState::bytes() const {
  std::uint64_t sum = 0;
  for (const StateTensorSpec& spec : specs_) sum += spec.bytes();
  return sum;
}

void TrainedState::withdraw() { expect(hawserSharedStateWithdraw(handle_), "withdraw"); }

void TrainedState::mark(std::size_t tensor) {
  twins_[tensor].write();
  expect(hawserSharedStateMarkChanged(handle_, specs_[tensor].name.c_str()), "mark a tensor");
}

void TrainedState::count_change() {
  if (!changed_) expect(hawserSharedStateSetRevision(handle_, revision() + 1), "set the revision");
  changed_ = true;
}

void TrainedState::begin_anew(std::mt19937_64& random) {
  withdraw();
  set_progress({.origin = random(), .lineage = random(), .step = 0});
  std::uniform_real_distribution<float> small(0.001f, 0.01f);
  std::ranges::generate(floats(kWeightsTensor), [&] { return small(random); });
  std::ranges::fill(floats(kVelocityTensor), 0.0f);
  for (std::size_t i = 0; i < specs_.size(); ++i)
    if (specs_[i].ballast) fill_ballast(ballast_rule(i), 0, memory_[i].view());
  expect(hawserSharedStateSetRevision(handle_, 0), "set the revision");
  for (const TensorTwin& twin : twins_) twin.write();
  expect(hawserSharedStateMarkChanged(handle_, nullptr), "mark all tensors");
  changed_ = false;
}

void TrainedState::branch(std::uint64_t lineage) {
  withdraw();
  TrainingProgress now = progress();
  now.lineage = lineage;
  set_progress(now);
  mark(kProgressTensor);
  count_change();
}

void TrainedState::advance(std::span<const float> change) {
  withdraw();
  const std::span<float> weights = floats(kWeightsTensor);
  const std::span<float> velocity = floats(kVelocityTensor);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    velocity[i] = kMomentum * velocity[i] + (1 - kMomentum) * change[i];
    weights[i] += velocity[i];
  }
  TrainingProgress now = progress();
  ++now.step;
  set_progress(now);
  for (const std::size_t tensor : {kWeightsTensor, kVelocityTensor, kProgressTensor}) mark(tensor);
  for (std::size_t i = 0; i < specs_.size(); ++i) {
    if (!specs_[i].ballast) continue;
    write_ballast(ballast_rule(i), now.step, memory_[i].view());
    mark(i);
  }
  count_change();
}

std::uint32_t TrainedState::local() const {
  std::uint32_t value = 0;
  std::memcpy(&value, memory_[kLocalTensor].view().data(), sizeof value);
  return value;
}

void TrainedState::set_local(std::uint32_t value) {
  withdraw();
  std::memcpy(memory_[kLocalTensor].view().data(), &value, sizeof value);
  mark(kLocalTensor);
}

std::uint64_t TrainedState::content() const {
  std::uint64_t digest = 0;
  for (std::size_t i = 0; i < specs_.size(); ++i)
    if (!specs_[i].may_differ) digest = mix64(digest ^ digest_bytes(memory_[i].view()));
  return digest;
}

std::string TrainedState::find_wrong() const {
  const TrainingProgress now = progress();
  if (now.step >= kStepMax) return "step " + std::to_string(now.step);
  for (std::size_t i = 0; i < specs_.size(); ++i) {
    if (!specs_[i].ballast) continue;
    if (const auto at = find_wrong_ballast(ballast_rule(i), now.step, memory_[i].view()))
      return "byte " + std::to_string(*at) + " of " + specs_[i].name + " is not that of step " +
             std::to_string(now.step);
  }
  const auto finite = [](float x) { return x - x == 0; };
  if (!std::ranges::all_of(weights(), finite)) return "a weight that is not a number";
  return {};
}

bool TrainedState::margins_intact() const {
  return std::ranges::all_of(memory_, [](const GuardedBytes& one) { return one.margins_intact(); });
}

}  // namespace hawser::churn
