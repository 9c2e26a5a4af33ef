#include "shared_state_fixture.hpp"

#include <algorithm>
#include <cstring>

#include "base/random.hpp"

namespace hawser::test {

Tensor floats(const std::string& name, std::uint64_t count) {
  return {.name = name, .type = DataType::float32, .bytes = std::vector<std::byte>(4 * count)};
}

Tensor raw(const std::string& name, std::uint64_t bytes) {
  return {.name = name, .type = DataType::uint8, .bytes = std::vector<std::byte>(bytes)};
}

std::vector<std::byte> content_of(std::uint64_t seed, std::size_t tensor, std::size_t bytes) {
  std::vector<std::byte> content(bytes);
  Random random(seed * 1000 + tensor);
  for (std::size_t i = 0; i < bytes; i += 8) {
    const std::uint64_t word = random.next();
    std::memcpy(content.data() + i, &word, std::min<std::size_t>(8, bytes - i));
  }
  return content;
}

namespace {

/// Another arrangement for each member.
std::vector<std::int32_t> spread(std::size_t tensors) {
  static std::size_t members = 0;
  std::vector<std::int32_t> devices(tensors, kOnHost);
  const std::size_t first = members++;
  for (std::size_t tensor = 0; tensor < tensors && sim_devices() != nullptr; ++tensor)
    devices[tensor] = static_cast<std::int32_t>((first + tensor) % 3) - 1;
  return devices;
}

}  // namespace

Place::Place(std::size_t bytes, std::int32_t device) : bytes_(bytes) {
  if (bytes == 0) return;
  if (device == kOnHost) {
    host_ = std::make_unique<std::byte[]>(bytes);
    return;
  }
  auto made = sim_devices()->allocate(device, bytes);
  REQUIRE(made.ok());
  memory_ = std::move(*made);
}

std::vector<std::byte> Place::read() const {
  std::vector<std::byte> content(bytes_);
  if (memory_)
    sim_devices()->copy_now(content.data(), at(), bytes_);
  else
    std::copy(host_.get(), host_.get() + bytes_, content.begin());
  return content;
}

void Place::write(const std::vector<std::byte>& content) {
  REQUIRE(content.size() == bytes_);
  if (memory_)
    sim_devices()->copy_now(at(), content.data(), bytes_);
  else
    std::copy(content.begin(), content.end(), host_.get());
}

void flip(Place& place, std::size_t at) {
  auto content = place.read();
  content[at] ^= std::byte{1};
  place.write(content);
}

Holding::Holding(std::vector<Tensor> tensors) : Holding(tensors, spread(tensors.size())) {}

Holding::Holding(std::vector<Tensor> tensors, const std::vector<std::int32_t>& devices) {
  std::vector<StateTensor> named;
  for (std::size_t tensor = 0; tensor < tensors.size(); ++tensor) {
    const Tensor& one = tensors[tensor];
    Place& place = places_.emplace_back(one.bytes.size(), devices[tensor]);
    place.write(one.bytes);
    named.push_back({.name = one.name,
                     .type = one.type,
                     .count = one.bytes.size() / element_bytes(one.type),
                     .data = place.at(),
                     .allow_content_inequality = one.may_differ});
  }
  auto made = SharedState::create(std::move(named));
  if (!made.ok()) FAIL(made.error().sentence);
  state_ = std::move(*made);
}

std::vector<std::vector<std::byte>> Holding::content() const {
  std::vector<std::vector<std::byte>> all;
  for (const Place& place : places_) all.push_back(place.read());
  return all;
}

void Holding::fill(std::uint64_t seed) {
  for (std::size_t tensor = 0; tensor < places_.size(); ++tensor)
    places_[tensor].write(content_of(seed, tensor, places_[tensor].size()));
  REQUIRE(state_->mark_all_changed().ok());
}

bool Holding::is_filled(std::uint64_t seed) const {
  for (std::size_t tensor = 0; tensor < places_.size(); ++tensor)
    if (places_[tensor].read() != content_of(seed, tensor, places_[tensor].size())) return false;
  return true;
}

std::uint64_t Holding::bytes() const {
  std::uint64_t all = 0;
  for (const Place& place : places_) all += place.size();
  return all;
}

Holdings hold(const std::vector<Start>& starts, const std::function<std::vector<Tensor>()>& tensors) {
  Holdings holdings;
  for (const Start& start : starts) {
    Holding& one = holdings.emplace_back(tensors());
    one.fill(start.seed);
    REQUIRE(one.state().set_revision(start.revision).ok());
  }
  return holdings;
}

std::vector<SyncOutcome> sync_all(const Peers& peers, Holdings& holdings, const Choose& choose) {
  std::vector<SyncOutcome> outcomes(peers.size());
  on_all(peers, [&](std::size_t who, Communicator& peer) {
    SyncArguments arguments;
    if (choose) choose(who, arguments);
    outcomes[who] = holdings[who].state().sync(peer, arguments);
  });
  return outcomes;
}

void admit(Peers& peers, std::unique_ptr<Communicator> newcomer) {
  const auto world = static_cast<std::uint32_t>(peers.size() + 1);
  Result<void> joined;
  std::thread joining([&] { joined = join(*newcomer, world); });
  CHECK(eventually([&] { return (*peers.front()->info())->pending == 1; }));
  on_all(peers, [&](std::size_t, Communicator& peer) {
    while (peer.info().ok() && (*peer.info())->world.size < world)
      if (!peer.update_topology().ok()) return;
  });
  joining.join();
  if (!joined.ok()) FAIL(joined.error().sentence);
  peers.push_back(std::move(newcomer));
}

PeerId id_of(Communicator& peer) { return (*peer.info())->self; }

std::uint32_t rank_of(Communicator& peer) {
  const auto info = *peer.info();
  return *info->view.rank_of(info->self);
}

void check_success(const std::vector<SyncOutcome>& outcomes) {
  for (const SyncOutcome& outcome : outcomes) {
    INFO(outcome.error.sentence);
    REQUIRE(outcome.error.status == Status::success);
    CHECK(outcome.began);
    CHECK(outcome.info.world_size == outcomes.size());
  }
}

void check_failure(const std::vector<SyncOutcome>& outcomes, Status status, const std::string& part) {
  for (const SyncOutcome& outcome : outcomes) {
    INFO(outcome.error.sentence);
    CHECK(outcome.error.status == status);
    CHECK(contains(outcome.error.sentence, part));
  }
}

}  // namespace hawser::test
