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

Holding::Holding(std::vector<Tensor> tensors) : tensors_(std::move(tensors)) {
  std::vector<StateTensor> named;
  for (Tensor& tensor : tensors_)
    named.push_back({.name = tensor.name,
                     .type = tensor.type,
                     .count = tensor.bytes.size() / element_bytes(tensor.type),
                     .data = tensor.bytes.data(),
                     .allow_content_inequality = tensor.may_differ});
  auto made = SharedState::create(std::move(named));
  if (!made.ok()) FAIL(made.error().sentence);
  state_ = std::move(*made);
}

std::vector<std::vector<std::byte>> Holding::content() const {
  std::vector<std::vector<std::byte>> all;
  for (const Tensor& tensor : tensors_) all.push_back(tensor.bytes);
  return all;
}

void Holding::fill(std::uint64_t seed) {
  for (std::size_t tensor = 0; tensor < tensors_.size(); ++tensor) {
    const auto content = content_of(seed, tensor, tensors_[tensor].bytes.size());
    std::copy(content.begin(), content.end(), tensors_[tensor].bytes.begin());
  }
  REQUIRE(state_->mark_all_changed().ok());
}

bool Holding::is_filled(std::uint64_t seed) const {
  for (std::size_t tensor = 0; tensor < tensors_.size(); ++tensor)
    if (tensors_[tensor].bytes != content_of(seed, tensor, tensors_[tensor].bytes.size())) return false;
  return true;
}

std::uint64_t Holding::bytes() const {
  std::uint64_t all = 0;
  for (const Tensor& tensor : tensors_) all += tensor.bytes.size();
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
