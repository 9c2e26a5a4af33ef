/// Shared state through the installed faces: arguments, infos, checkpoints, the C++ face.
#include <hawser.h>
#include <hawser_shared_state.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <hawser/hawser.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "scratch_folder.hpp"
#include "two_members.hpp"

namespace {

bool last_error_has(const std::string& part) {
  return std::string(hawserGetLastError()).find(part) != std::string::npos;
}

hawserStateTensor_t tensor(const char* name, std::vector<float>& values) {
  return {name, values.data(), values.size(), hawserFloat32, hawserMemoryByAddress, 0};
}

hawserResult_t create(const std::vector<hawserStateTensor_t>& tensors) {
  hawserSharedState_t state = nullptr;
  const hawserResult_t result = hawserSharedStateCreate(tensors.data(), tensors.size(), &state);
  if (result == hawserSuccess)
    CHECK(hawserSharedStateDestroy(state) == hawserSuccess);
  else
    CHECK(state == nullptr);
  return result;
}

}  // namespace

TEST_CASE("null handles and places of shared states are refused, null is destroyed") {
  std::vector<float> values(3);
  const hawserStateTensor_t one = tensor("w", values);
  hawserSharedState_t state = nullptr;
  std::uint64_t number = 0;
  std::array<char, HAWSER_DIGEST_BYTES> digest{};
  CHECK(hawserSharedStateCreate(nullptr, 1, &state) == hawserErrorInvalidArgument);
  CHECK(hawserSharedStateCreate(&one, 1, nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserSharedStateDestroy(nullptr) == hawserSuccess);
  CHECK(hawserSharedStateGetRevision(nullptr, &number) == hawserErrorInvalidArgument);
  CHECK(hawserSharedStateSetRevision(nullptr, 1) == hawserErrorInvalidArgument);
  CHECK(hawserSharedStateMarkChanged(nullptr, nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserSharedStateGetDigest(nullptr, digest.data()) == hawserErrorInvalidArgument);
  CHECK(hawserSharedStateSave(nullptr, "x") == hawserErrorInvalidArgument);
  CHECK(hawserSharedStateLoad(nullptr, "x", nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserSharedStateSync(nullptr, nullptr, nullptr, nullptr) == hawserErrorInvalidArgument);

  REQUIRE(hawserSharedStateCreate(&one, 1, &state) == hawserSuccess);
  CHECK(hawserSharedStateGetRevision(state, nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserSharedStateGetDigest(state, nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserSharedStateSave(state, nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserSharedStateSave(state, "") == hawserErrorInvalidArgument);
  CHECK(hawserSharedStateLoad(state, nullptr, &number) == hawserErrorInvalidArgument);
  CHECK(hawserSharedStateSync(nullptr, state, nullptr, nullptr) == hawserErrorInvalidArgument);
  CHECK(last_error_has("communicator"));
  CHECK(hawserSharedStateMarkChanged(state, "v") == hawserErrorInvalidArgument);
  CHECK(last_error_has("\"v\""));
  CHECK(hawserSharedStateMarkChanged(state, "") == hawserErrorInvalidArgument);
  CHECK(hawserSharedStateMarkChanged(state, "w") == hawserSuccess);
  CHECK(hawserSharedStateMarkChanged(state, nullptr) == hawserSuccess);
  CHECK(hawserSharedStateDestroy(state) == hawserSuccess);
}

TEST_CASE("tensors are checked, and sentences name them") {
  std::vector<float> a(100);
  std::vector<float> b(100);
  std::vector<hawserStateTensor_t> tensors{tensor("a", a), tensor("b", b)};
  CHECK(create(tensors) == hawserSuccess);
  CHECK(create({}) == hawserSuccess);
  std::string named = "\"b\"";
  SECTION("no name") {
    tensors[1].name = nullptr;
    named = "tensor 1: its name is null";
  }
  SECTION("an empty name") {
    tensors[1].name = "";
    named = "tensor 1: ";
  }
  SECTION("a name with a line break") {
    tensors[1].name = "b\n";
    named = "tensor 1: ";
  }
  SECTION("a name of 256 bytes") {
    static const std::string longest(256, 'b');
    tensors[1].name = longest.c_str();
    named = "tensor 1: ";
  }
  SECTION("a name twice") {
    tensors[0].name = "b";
  }
  SECTION("an unknown memory") { std::memset(&tensors[1].memory, 1, 1); }
  SECTION("an unknown type") { std::memset(&tensors[1].type, 12, 1); }
  SECTION("an unknown flag") { tensors[1].allow_content_inequality = 2; }
  SECTION("no data") { tensors[1].data = nullptr; }
  SECTION("misaligned data") {
    tensors[1].data = reinterpret_cast<char*>(b.data()) + 2;
    tensors[1].count = 99;
  }
  SECTION("shared memory") {
    tensors[1].data = a.data() + 99;
    tensors[1].count = 1;
  }
  SECTION("the same memory") { tensors[1].data = a.data(); }
  SECTION("memory in the midst of another's") {
    tensors[0].name = "c";
    tensors[1].data = a.data() + 50;
    tensors[1].count = 3;
  }
  SECTION("more than there is") { tensors[1].count = std::uint64_t{1} << 60; }
  SECTION("more than a number holds") { tensors[1].count = ~std::uint64_t{0}; }
  CHECK(create(tensors) == hawserErrorInvalidArgument);
  INFO(hawserGetLastError());
  CHECK(last_error_has(named));
}

TEST_CASE("too many tensors are refused before they are read") {
  std::vector<float> values(1);
  const hawserStateTensor_t one = tensor("a", values);
  hawserSharedState_t state = nullptr;
  CHECK(hawserSharedStateCreate(&one, 65537, &state) == hawserErrorInvalidArgument);
  CHECK(hawserSharedStateCreate(&one, ~std::uint64_t{0}, &state) == hawserErrorInvalidArgument);
}

TEST_CASE("tensors without elements need no memory") {
  const hawserStateTensor_t empty{"nothing", nullptr, 0, hawserInt64, hawserMemoryByAddress, 0};
  CHECK(create({empty}) == hawserSuccess);
}

TEST_CASE("options and infos of a synchronisation are checked") {
  std::vector<float> values(3);
  const hawserStateTensor_t one = tensor("w", values);
  hawserSharedState_t state = nullptr;
  REQUIRE(hawserSharedStateCreate(&one, 1, &state) == hawserSuccess);
  hawserCommConfig_t config = HAWSER_COMM_CONFIG_INIT;
  config.master = "127.0.0.1:1";
  hawserComm_t comm = nullptr;
  REQUIRE(hawserCommCreate(&config, &comm) == hawserSuccess);
  CHECK(hawserSharedStateSync(comm, nullptr, nullptr, nullptr) == hawserErrorInvalidArgument);
  // Good ones get as far as the communicator, which is not connected.
  CHECK(hawserSharedStateSync(comm, state, nullptr, nullptr) == hawserErrorInvalidUsage);
  hawserSyncOptions_t options = HAWSER_SYNC_OPTIONS_INIT;
  hawserSyncInfo_t info = HAWSER_SYNC_INFO_INIT;
  info.revision = 77;
  CHECK(hawserSharedStateSync(comm, state, &options, &info) == hawserErrorInvalidUsage);
  CHECK(info.revision == 77);
  SECTION("an unknown strategy") { std::memset(&options.strategy, 3, 1); }
  SECTION("a negative strategy") { std::memset(&options.strategy, 0xff, sizeof options.strategy); }
  SECTION("compress") { options.compress = 2; }
  SECTION("only_marked") { options.only_marked = 2; }
  SECTION("keep_old_bytes") { options.keep_old_bytes = 2; }
  SECTION("threads") { options.threads = 4097; }
  SECTION("no size of the options") { options.size = 0; }
  SECTION("no size of the info") { info.size = 0; }
  SECTION("room without an array") { info.source_capacity = 1; }
  CHECK(hawserSharedStateSync(comm, state, &options, &info) == hawserErrorInvalidArgument);
  CHECK(std::strlen(hawserGetLastError()) > 10);
  CHECK(hawserCommDestroy(comm) == hawserSuccess);
  CHECK(hawserSharedStateDestroy(state) == hawserSuccess);
}

TEST_CASE("two members synchronise, and are told what it was") {
  TwoMembers pair;
  std::array<std::vector<float>, 2> values{std::vector<float>(300'000, 1.0F), std::vector<float>(300'000, 2.0F)};
  std::array<hawserSharedState_t, 2> states{};
  std::array<hawserSyncInfo_t, 2> infos{};
  std::array<std::array<hawserSyncSource_t, 2>, 2> sources{};
  std::array<hawserResult_t, 2> results{};
  std::array<std::uint64_t, 2> done{};
  for (std::size_t who = 0; who < 2; ++who) {
    const hawserStateTensor_t one = tensor("w", values[who]);
    REQUIRE(hawserSharedStateCreate(&one, 1, &states[who]) == hawserSuccess);
    REQUIRE(hawserSharedStateSetRevision(states[who], 5 + who) == hawserSuccess);
  }
  const std::uint64_t bytes = 4 * values[0].size();
  pair.run([&](std::size_t who) {
    hawserSyncOptions_t options = HAWSER_SYNC_OPTIONS_INIT;
    options.tag = 9;
    options.user = &done[who];
    options.progress = [](void* user, std::uint64_t bytes_done, std::uint64_t) {
      *static_cast<std::uint64_t*>(user) = bytes_done;
    };
    infos[who] = HAWSER_SYNC_INFO_INIT;
    infos[who].sources = sources[who].data();
    // One fewer than there may be at the member that gives.
    infos[who].source_capacity = who == 0 ? 2 : 0;
    results[who] = hawserSharedStateSync(pair.comms[who].handle(), states[who], &options, &infos[who]);
  });
  for (std::size_t who = 0; who < 2; ++who) {
    REQUIRE(results[who] == hawserSuccess);
    CHECK((values[who] == std::vector<float>(300'000, 2.0F)));
    const hawserSyncInfo_t& info = infos[who];
    CHECK(info.size == sizeof info);
    CHECK(info.revision == 6);
    CHECK(info.tensors == 1);
    CHECK(info.bytes == bytes);
    CHECK(info.supporters == 1);
    CHECK(info.world_size == 2);
    CHECK(info.rank == pair.comms[who].info()->rank);
    CHECK(info.epoch == pair.comms[who].info()->epoch);
    CHECK(info.attempts == 1);
    CHECK(info.bytes_again == 0);
    std::uint64_t revision = 0;
    CHECK(hawserSharedStateGetRevision(states[who], &revision) == hawserSuccess);
    CHECK(revision == 6);
  }
  CHECK(infos[0].tensors_changed == 1);
  CHECK(infos[0].bytes_fetched == bytes);
  CHECK(infos[0].bytes_received >= bytes);
  CHECK(infos[0].source_count == 1);
  CHECK(sources[0][0].peer_id == pair.comms[1].info()->peer_id);
  CHECK(sources[0][0].bytes == bytes);
  CHECK(done[0] == bytes);
  CHECK(infos[1].bytes_fetched == 0);
  CHECK(infos[1].source_count == 0);
  CHECK(infos[1].bytes_sent >= bytes);
  CHECK(done[1] == 0);
  std::array<std::array<char, HAWSER_DIGEST_BYTES>, 2> digests{};
  for (std::size_t who = 0; who < 2; ++who)
    CHECK(hawserSharedStateGetDigest(states[who], digests[who].data()) == hawserSuccess);
  CHECK(std::strlen(digests[0].data()) == 32);
  CHECK(digests[0] == digests[1]);
  values[0][77] = 3;
  CHECK(hawserSharedStateGetDigest(states[0], digests[0].data()) == hawserSuccess);
  CHECK(digests[0] != digests[1]);

  // An error that is found after the call began writes the info, of an older caller as far as it goes.
  REQUIRE(hawserSharedStateSetRevision(states[1], 9) == hawserSuccess);
  pair.run([&](std::size_t who) {
    infos[who] = HAWSER_SYNC_INFO_INIT;
    if (who == 0) infos[who].size = offsetof(hawserSyncInfo_t, bytes);
    results[who] = hawserSharedStateSync(pair.comms[who].handle(), states[who], nullptr, &infos[who]);
    if (results[who] == hawserErrorMismatch && !last_error_has("one at most")) results[who] = hawserErrorInternal;
  });
  CHECK(results[0] == hawserErrorMismatch);
  CHECK(results[1] == hawserErrorMismatch);
  CHECK(infos[0].size == offsetof(hawserSyncInfo_t, bytes));
  CHECK(infos[0].tensors == 1);
  CHECK(infos[0].bytes == 0);
  CHECK(infos[1].bytes == bytes);
  CHECK(infos[1].revision == 9);
  for (hawserSharedState_t state : states) CHECK(hawserSharedStateDestroy(state) == hawserSuccess);
}

TEST_CASE("a state in use is not destroyed") {
  TwoMembers pair;
  std::array<std::vector<float>, 2> values{std::vector<float>(10), std::vector<float>(10)};
  std::array<hawserSharedState_t, 2> states{};
  for (std::size_t who = 0; who < 2; ++who) {
    const hawserStateTensor_t one = tensor("w", values[who]);
    REQUIRE(hawserSharedStateCreate(&one, 1, &states[who]) == hawserSuccess);
  }
  hawserResult_t synced = hawserErrorInternal;
  std::atomic<bool> ended = false;
  std::thread call([&] {
    // Refused if it comes while the state is asked for its revision, below.
    do synced = hawserSharedStateSync(pair.comms[0].handle(), states[0], nullptr, nullptr);
    while (synced == hawserErrorInvalidUsage);
    ended = true;
  });
  // The call is under way once the state is in use: then until the other member calls.
  std::uint64_t revision = 0;
  while (!ended && hawserSharedStateGetRevision(states[0], &revision) == hawserSuccess) std::this_thread::yield();
  CHECK_FALSE(ended);
  CHECK(hawserSharedStateDestroy(states[0]) == hawserErrorInvalidUsage);
  CHECK(last_error_has("in use"));
  CHECK(hawserSharedStateMarkChanged(states[0], nullptr) == hawserErrorInvalidUsage);
  CHECK(hawserSharedStateSync(pair.comms[1].handle(), states[1], nullptr, nullptr) == hawserSuccess);
  call.join();
  CHECK(synced == hawserSuccess);
  CHECK(hawserSharedStateDestroy(states[0]) == hawserSuccess);
  CHECK(hawserSharedStateDestroy(states[1]) == hawserSuccess);
}

TEST_CASE("a state is saved and loaded; damaged files and others' are refused") {
  const hawser::test::ScratchFolder folder;
  const std::string path = folder / "state.safetensors";
  std::vector<float> weights{1, 2, 3, 4};
  std::vector<std::int64_t> steps{70, 80};
  auto state = hawser::SharedState::create({{"weights", weights}, {"steps", steps}});
  REQUIRE(state);
  REQUIRE(state->set_revision(12));
  REQUIRE(state->save(path));
  const auto digest = state->digest();
  REQUIRE(digest);
  const auto forget = [&] {
    std::fill(weights.begin(), weights.end(), 0.0F);
    std::fill(steps.begin(), steps.end(), 0);
    REQUIRE(state->set_revision(0));
  };
  forget();
  const auto loaded = state->load(path);
  REQUIRE(loaded);
  CHECK(*loaded == 12);
  CHECK(*state->revision() == 12);
  CHECK(*state->digest() == *digest);
  CHECK((weights == std::vector<float>{1, 2, 3, 4}));

  forget();
  std::vector<float> other(5);
  auto other_shape = hawser::SharedState::create({{"weights", other}, {"steps", steps}});
  REQUIRE(other_shape);
  const auto mismatch = other_shape->load(path);
  CHECK(mismatch.code() == hawserErrorMismatch);
  CHECK(mismatch.error().sentence.find("\"weights\"") != std::string::npos);
  CHECK(state->load(folder / "nothing").code() == hawserErrorSystem);
  CHECK(state->save(folder / "no folder/state").code() == hawserErrorSystem);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('\x55');
  }
  CHECK(state->load(path).code() == hawserErrorRefused);
  std::ofstream(path) << "no checkpoint";
  CHECK(state->load(path).code() == hawserErrorRefused);
  CHECK((weights == std::vector<float>(4)));
  CHECK(*state->revision() == 0);
}

TEST_CASE("members synchronise through the C++ face") {
  TwoMembers pair;
  std::array<std::vector<double>, 2> weights{std::vector<double>(200'000, 1), std::vector<double>(200'000, 2)};
  std::array<std::array<std::int32_t, 3>, 2> counts{{{1, 2, 3}, {4, 5, 6}}};
  std::array<std::vector<hawser::Bfloat16>, 2> own{std::vector<hawser::Bfloat16>(4, hawser::Bfloat16{7}),
                                                   std::vector<hawser::Bfloat16>(4, hawser::Bfloat16{8})};
  std::array<std::string, 2> failures;
  std::array<bool, 2> caught{};
  const auto must = [&](std::size_t who, const auto& result) {
    if (!result) failures[who] += result.error().sentence + "; ";
    return static_cast<bool>(result);
  };
  pair.run([&](std::size_t who) {
    auto& comm = pair.comms[who];
    auto state = hawser::SharedState::create(
        {{"weights", weights[who]}, {"counts", std::span(counts[who])}, {"own", own[who], true}});
    if (!must(who, state)) return;
    must(who, state->set_revision(3));
    std::uint64_t told = 0;
    const auto synced = state->sync(
        comm, {.strategy = who == 1 ? hawserSyncSendOnly : hawserSyncReceiveOnly,
               .tag = 4,
               .compress = true,
               .threads = 2,
               .progress = [&](std::uint64_t done, std::uint64_t) { told = done; }});
    if (!must(who, synced)) return;
    const std::uint64_t bytes = 1'600'000 + 12;
    if (who == 0 && (told != bytes || synced->sources.size() != 1 || synced->sources[0].bytes != bytes ||
                     synced->sources[0].peer_id != pair.comms[1].info()->peer_id || synced->bytes_fetched != bytes))
      failures[who] += "the info is wrong; ";
    if (who == 1 && !synced->sources.empty()) failures[who] += "it came from somewhere; ";
    if (synced->revision != 3 || synced->world_size != 2 || synced->tensors != 3) failures[who] += "wrong numbers; ";

    // What a progress function throws comes out here, after the end.
    if (who == 0) {
      weights[0][5] = 17;
      must(who, state->mark_changed("weights"));
    }
    try {
      must(who,
           state->sync(comm, {.strategy = who == 1 ? hawserSyncSendOnly : hawserSyncReceiveOnly,
                              .only_marked = true,
                              .progress = [](std::uint64_t, std::uint64_t) { throw std::runtime_error("mine"); }}));
    } catch (const std::runtime_error& error) {
      caught[who] = std::string(error.what()) == "mine";
    }
    must(who, state->mark_all_changed());
    const auto twice = hawser::SharedState::create({{"a", weights[who]}, {"b", weights[who]}});
    if (twice.code() != hawserErrorInvalidArgument) failures[who] += "shared memory is taken; ";
  });
  for (std::size_t who = 0; who < 2; ++who) {
    CHECK(failures[who] == "");
    CHECK((weights[who] == std::vector<double>(200'000, 2)));
    CHECK((counts[who] == std::array<std::int32_t, 3>{4, 5, 6}));
  }
  CHECK(caught[0]);
  CHECK_FALSE(caught[1]);
  CHECK(own[0][0].bits == 7);
  CHECK(own[1][0].bits == 8);
}

TEST_CASE("a newcomer prefetches through the faces") {
  TwoMembers pair;
  std::array<std::vector<double>, 3> weights{std::vector<double>(300'000, 1), std::vector<double>(300'000, 1),
                                             std::vector<double>(300'000, 5)};
  std::vector<hawser::SharedState> states;
  for (auto& one : weights) {
    auto made = hawser::SharedState::create({{"weights", one}});
    REQUIRE(made);
    states.push_back(std::move(*made));
  }
  auto third = hawser::Communicator::create(
      {.master = pair.master.address(), .connect_ms = 20000, .prefetch_share_percent = 50});
  REQUIRE(third);

  hawserPrefetchOptions_t options = HAWSER_PREFETCH_OPTIONS_INIT;
  options.size = 1;
  CHECK(hawserCommConnectPrefetch(third->handle(), states[2].handle(), &options, nullptr) ==
        hawserErrorInvalidArgument);
  CHECK(hawserCommConnectPrefetch(third->handle(), nullptr, nullptr, nullptr) == hawserErrorInvalidArgument);
  CHECK(hawserSharedStateOffer(third->handle(), states[2].handle()) == hawserErrorInvalidUsage);
  CHECK(hawserSharedStateOffer(nullptr, states[2].handle()) == hawserErrorInvalidArgument);
  CHECK(hawserSharedStateWithdraw(nullptr) == hawserErrorInvalidArgument);

  pair.run([&](std::size_t who) { (void)states[who].sync(pair.comms[who]); });
  for (std::size_t who = 0; who < 2; ++who) CHECK(states[who].offer(pair.comms[who]));
  std::atomic<bool> joined{false};
  std::string failure;
  hawser::PrefetchInfo info;
  std::thread joining([&] {
    const auto connected = states[2].connect(*third);
    if (connected)
      info = *connected;
    else
      failure = connected.error().sentence;
    joined = true;
  });
  pair.run([&](std::size_t who) {
    while (!joined && pair.comms[who].info() && pair.comms[who].info()->world_size < 3)
      if (!pair.comms[who].update_topology()) return;
  });
  joining.join();
  CHECK(failure == "");
  CHECK(info.complete);
  CHECK(info.bytes_fetched == 2'400'000);
  CHECK(weights[2] == weights[0]);
  for (std::size_t who = 0; who < 2; ++who) CHECK(states[who].withdraw());
}
