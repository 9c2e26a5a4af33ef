#include "run_fixture.hpp"

#include <cstdlib>
#include <atomic>
#include <numeric>

namespace hawser::test {

TestRun::TestRun(Options options) : options_(std::move(options)) {
  address_ = {.host = options_.listen_host, .port = 0};
  start_master();
}

void TestRun::start_master() {
  auto master = Master::create({.listen = address_,
                                .bounds = options_.bounds,
                                .access = {.secret_file = options_.secret_file, .insecure = options_.insecure},
                                .rules_file = options_.rules_file});
  if (!master.ok()) FAIL(master.error().sentence);
  master_ = std::move(*master);
  address_.port = master_->address().port;
  REQUIRE(master_->start().ok());
}

void TestRun::stop_master() { master_.reset(); }

void TestRun::restart_master() {
  stop_master();
  start_master();
}

CommunicatorConfig TestRun::config() const {
  CommunicatorConfig config;
  config.master = address_;
  config.access = {.secret_file = options_.secret_file, .insecure = options_.insecure};
  config.engine.connect = seconds(20);
  config.engine.master_redial = seconds(10);
  config.engine.silence = seconds(3);
  config.engine.stall = seconds(3);
  config.connections_per_link = 2;
  // All tests pass with lanes, too: ctest runs them a second time.
  if (const char* const lanes = std::getenv("HAWSER_TEST_LANES"))
    config.lanes = static_cast<unsigned>(std::strtoul(lanes, nullptr, 10));
  return config;
}

std::unique_ptr<Communicator> TestRun::peer(const CommunicatorConfig& config) const {
  auto peer = Communicator::create(config);
  if (!peer.ok()) FAIL(peer.error().sentence);
  return std::move(*peer);
}

Peers TestRun::assemble(std::size_t count) {
  return assemble(count, [](std::size_t, CommunicatorConfig&) {});
}

Peers TestRun::assemble(std::size_t count,
                        const std::function<void(std::size_t, CommunicatorConfig&)>& change) {
  Peers peers;
  for (std::size_t who = 0; who < count; ++who) {
    CommunicatorConfig one = config();
    one.engine.name = "peer" + std::to_string(who);
    change(who, one);
    peers.push_back(peer(one));
  }
  std::vector<Result<void>> joined(count);
  on_all(peers, [&](std::size_t who, Communicator& one) {
    joined[who] = join(one, static_cast<std::uint32_t>(count));
  });
  for (std::size_t who = 0; who < count; ++who) {
    INFO("peer " << who);
    if (!joined[who].ok()) FAIL(joined[who].error().sentence);
  }
  return peers;
}

Result<void> join(Communicator& peer, std::uint32_t world_size) {
  if (auto connected = peer.connect(); !connected.ok()) return connected;
  while (true) {
    const auto info = peer.info();
    if (!info.ok()) return info.error();
    if ((*info)->world.size >= world_size) return {};
    if (auto updated = peer.update_topology(); !updated.ok()) return updated;
  }
}

void on_all(const Peers& peers, const std::function<void(std::size_t, Communicator&)>& body) {
  std::vector<std::thread> threads;
  threads.reserve(peers.size());
  for (std::size_t who = 0; who < peers.size(); ++who)
    threads.emplace_back([&, who] { body(who, *peers[who]); });
  for (auto& thread : threads) thread.join();
}

std::vector<float> contribution_of(std::size_t who, std::uint64_t count) {
  std::vector<float> values(count);
  for (std::uint64_t i = 0; i < count; ++i) values[i] = contribution(who, i);
  return values;
}

std::vector<float> sum_of(const std::vector<std::size_t>& who, std::uint64_t count) {
  std::vector<float> sum(count, 0.0F);
  for (const std::size_t one : who)
    for (std::uint64_t i = 0; i < count; ++i) sum[i] += contribution(one, i);
  return sum;
}

bool is_sum_of(const std::vector<float>& result, const std::vector<std::size_t>& who) {
  return !result.empty() && result == sum_of(who, result.size());
}

device::SimDevices* sim_devices() {
  const auto found = device::devices();
  REQUIRE(found.ok());
  return dynamic_cast<device::SimDevices*>(*found);
}

DeviceVector::DeviceVector(std::uint64_t count, int device) : device_(device), bytes_(4 * count) {
  auto made = sim_devices()->allocate(device, bytes_);
  REQUIRE(made.ok());
  memory_ = std::move(*made);
  stream_ = sim_devices()->make_user_stream(device);
}

DeviceVector::DeviceVector(const std::vector<float>& values, int device) : DeviceVector(values.size(), device) {
  REQUIRE(sim_devices()->upload_on(stream_, memory_->bytes(), values.data(), bytes_).ok());
}

std::vector<float> DeviceVector::values() const {
  // What is on the stream comes first.
  auto end = sim_devices()->record_on(device_, stream_);
  REQUIRE(end.ok());
  const auto ended = (*end)->wait(std::chrono::minutes(1));
  REQUIRE(ended.ok());
  std::vector<float> values(bytes_ / 4);
  sim_devices()->copy_now(values.data(), memory_->bytes(), bytes_);
  return values;
}

Outcome reduce_once(std::size_t who, Communicator& peer, const ReduceOnce& what) {
  const std::vector<float> input = contribution_of(who, what.count);
  std::vector<float> send = input;
  std::vector<float> apart(what.in_place ? 0 : what.count);
  // Where there are devices, all but every third peer has its tensors there, and its stream writes them late.
  std::optional<DeviceVector> device_send, device_apart;
  if (sim_devices() != nullptr && who % 3 != 2) {
    device_send.emplace(send, static_cast<int>(who % 3));
    if (!what.in_place) device_apart.emplace(what.count, static_cast<int>(who % 3));
  }
  const std::byte* const from =
      device_send ? device_send->bytes() : reinterpret_cast<const std::byte*>(send.data());
  std::byte* const to = device_apart                  ? device_apart->bytes()
                        : device_send                 ? device_send->bytes()
                        : what.in_place               ? reinterpret_cast<std::byte*>(send.data())
                                                      : reinterpret_cast<std::byte*>(apart.data());
  auto done = peer.run({.call = {.signature = {.op = what.op, .plan = what.plan, .count = what.count},
                                 .send = from,
                                 .receive = to},
                        .tag = what.tag,
                        .stream = device_send ? device_send->stream() : 0});
  if (device_send) send = device_send->values();
  if (device_apart) apart = device_apart->values();
  Outcome outcome;
  outcome.status = done.status();
  if (done.ok()) {
    outcome.result = what.in_place ? send : apart;
    outcome.info = **done;
  } else {
    outcome.sentence = done.error().sentence;
  }
  outcome.input_intact = send == input;
  return outcome;
}

bool eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace hawser::test
