#include "sim/training_state.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>

#include "base/assert.hpp"
#include "kernels/content_digest.hpp"

namespace hawser::sim {
namespace {

struct Shape {
  std::uint64_t count = 0;
  DataType type = DataType::uint8;
  bool may_differ = false;
};

std::vector<Shape> shapes(const ApplicationProfile& profile) {
  Random random(profile.rule_seed ^ 0x7374617465ULL);
  std::vector<Shape> made(1 + random.below(12));
  for (Shape& shape : made) {
    shape.type = kDataTypes[random.below(kDataTypes.size())];
    shape.count = random.chance(1, 8) ? 0 : 1 + random.below(profile.element_limit) / element_bytes(shape.type);
    shape.may_differ = random.chance(1, 8);
  }
  // More than one slice.
  if (profile.large_state) made.front() = {.count = kDigestSliceBytes + 1000, .type = DataType::uint8};
  return made;
}

}  // namespace

TrainingState::TrainingState(const ApplicationProfile& profile, std::uint64_t salt) : own_(salt) {
  Random random(salt);
  std::vector<StateTensor> tensors;
  for (const Shape& shape : shapes(profile)) {
    const std::size_t size = shape.count * element_bytes(shape.type);
    Memory& memory = memories_.emplace_back(Memory{.bytes = std::make_unique<std::byte[]>(size), .size = size});
    for (std::size_t i = 0; i < size; ++i) memory.bytes[i] = static_cast<std::byte>(i % 64 == 0 ? random.next() : i);
    tensors.push_back({.name = "tensor " + std::to_string(tensors.size()),
                       .type = shape.type,
                       .count = shape.count,
                       .data = memory.bytes.get(),
                       .allow_content_inequality = shape.may_differ,
                       // Works bring it there and back, which take their time.
                       .device = random.chance(1, 3) ? 0 : kOnHost});
  }
  auto content = StateContent::create(std::move(tensors));
  HAWSER_ASSERT(content.ok());
  session_ = std::make_unique<StateSession>(std::move(*content));
  remember();
}

void TrainingState::train() {
  const Digest128 now = digest();
  const auto& tensors = session_->content().tensors();
  for (std::size_t tensor = 0; tensor < tensors.size(); ++tensor) {
    const StateTensor& one = tensors[tensor];
    Random random(one.allow_content_inequality ? ++own_ : now.low ^ (tensor * 0x9e3779b97f4a7c15ULL));
    if (one.bytes() == 0 || random.chance(1, 3)) continue;
    for (std::size_t i = random.below(64); i < one.bytes(); i += 1 + random.below(512))
      one.data[i] ^= static_cast<std::byte>(1 + random.below(255));
    changed(one);
  }
  HAWSER_ASSERT(session_->set_revision({}, session_->revision() + 1) == StateSession::Next::over);
}

void TrainingState::changed(const StateTensor& tensor) {
  HAWSER_ASSERT(session_->mark_changed({}, tensor.name) == StateSession::Next::over);
}

void TrainingState::go_astray(Random& random) {
  const auto& tensors = session_->content().tensors();
  const StateTensor& one = tensors[random.below(tensors.size())];
  if (one.bytes() == 0) return;
  one.data[random.below(one.bytes())] ^= std::byte{1};
  changed(one);
}

void TrainingState::scribble(Random& random) {
  const auto& tensors = session_->content().tensors();
  const StateTensor& one = tensors[random.below(tensors.size())];
  if (scribbled_ || one.bytes() == 0) return;
  one.data[random.below(one.bytes())] ^= std::byte{2};
  scribbled_ = one.name;
}

void TrainingState::save() {
  HAWSER_ASSERT(session_->check_may_save().ok());
  checkpoint_ = {.revision = session_->revision(), .bytes = all_bytes()};
}

/// As a file that is missing, or whose end is damaged.
Result<std::uint64_t> TrainingState::read_checkpoint(Random& random) {
  const Error unreadable{Status::system, "the checkpoint cannot be read"};
  if (random.chance(1, 8)) return unreadable;
  const std::size_t whole = checkpoint_->bytes.size();
  const std::size_t readable = random.chance(1, 4) ? static_cast<std::size_t>(random.below(whole + 1)) : whole;
  session_->load_touched() = readable > 0;
  std::size_t at = 0;
  for (const Memory& memory : memories_) {
    const std::size_t bytes = std::min(memory.size, readable - at);
    std::memcpy(memory.bytes.get(), checkpoint_->bytes.data() + at, bytes);
    at += bytes;
  }
  if (readable < whole) return unreadable;
  return checkpoint_->revision;
}

bool TrainingState::holds(const std::byte* at) const {
  return std::any_of(memories_.begin(), memories_.end(), [&](const Memory& memory) {
    return std::less_equal<>()(memory.bytes.get(), at) && std::less<>()(at, memory.bytes.get() + memory.size);
  });
}

Digest128 TrainingState::digest() const {
  Manifest manifest;
  for (const StateTensor& tensor : session_->content().tensors())
    manifest.tensors.push_back({.name = tensor.name,
                                .type = tensor.type,
                                .count = tensor.count,
                                .digest = digest_content({tensor.data, tensor.bytes()}, kContentSeed),
                                .allow_content_inequality = tensor.allow_content_inequality});
  return content_digest(manifest);
}

bool TrainingState::bookkeeping_is_right() const {
  const StateContent& content = session_->content();
  if (!content.stale().empty()) return true;  // It claims nothing.
  for (std::size_t tensor = 0; tensor < content.tensors().size(); ++tensor) {
    const StateTensor& one = content.tensors()[tensor];
    const auto& known = content.slice_digests(tensor);
    for (std::size_t slice = 0; slice < known.size(); ++slice)
      if (known[slice] != digest_slice({one.data + slice * kDigestSliceBytes,
                                        static_cast<std::size_t>(slice_bytes(one.bytes(), slice))},
                                       kContentSeed))
        return false;
  }
  return true;
}

std::vector<std::byte> TrainingState::all_bytes() const {
  std::vector<std::byte> all;
  for (const Memory& memory : memories_) all.insert(all.end(), memory.bytes.get(), memory.bytes.get() + memory.size);
  return all;
}

void TrainingState::remember() { remembered_ = all_bytes(); }
bool TrainingState::as_remembered() const { return remembered_ == all_bytes(); }

}  // namespace hawser::sim
