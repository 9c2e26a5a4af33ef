/// `hawser attest` as a person calls it, against a run of this process.
#include <cmath>
#include <hawser/hawser.hpp>
#include <string>
#include <thread>
#include <vector>

#include "scratch_folder.hpp"
#include "tool_command.hpp"

using namespace hawser::test;

TEST_CASE("attest names who gave something that is not finite, and who has signed nothing") {
  const ScratchFolder folder;
  const std::string secret = folder / "run.secret";
  REQUIRE(run("keygen " + secret).exit_status == 0);
  auto master = hawser::Master::create({.listen = "127.0.0.1:0", .bootstrap_ms = 200, .secret_file = secret});
  REQUIRE(master);
  REQUIRE(master->start());
  const std::string asks = "attest --secret-file " + secret + " " + master->address();
  const Said before = run(asks);
  CHECK(before.exit_status == 0);
  CHECK(has(before.text, "members need attest = 1"));

  const auto member = [&](const std::string& name, bool attests) {
    auto comm = hawser::Communicator::create(
        {.master = master->address(), .name = name, .min_peers = 3, .secret_file = secret, .attest = attests});
    REQUIRE(comm);
    return std::move(*comm);
  };
  std::vector<hawser::Communicator> comms;
  comms.push_back(member("ada", true));
  comms.push_back(member("bob", true));
  comms.push_back(member("eve", false));
  std::vector<std::vector<float>> values(3, std::vector<float>(1000, 1));
  values[1][3] = std::nanf("");
  std::vector<std::string> wrong(3);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 3; ++i)
    threads.emplace_back([&, i] {
      if (const auto joined = comms[i].connect(); !joined) return void(wrong[i] = joined.error().sentence);
      const auto reduced = comms[i].all_reduce(std::span<float>(values[i]));
      if (!reduced) wrong[i] = reduced.error().sentence;
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& one : wrong) CHECK(one.empty());

  const Said said = run(asks);
  INFO(said.text);
  CHECK(said.exit_status == 0);
  CHECK(has(said.text, "all-reduce of 1000 float32"));
  CHECK(has(said.text, "NOT FINITE: 1 infinities or NaNs"));
  CHECK(has(said.text, "NOT SIGNED: nothing came from this member"));
  CHECK_FALSE(has(said.text, "WRONG SIGNATURE"));
  const Said json =
      run("attest --json --secret-file " + secret + " " + master->address() + " | '" HAWSER_PYTHON
          "' -c 'import json, sys; one, = json.load(sys.stdin)[\"collectives\"]; "
          "print(sorted((m[\"name\"], m[\"signed\"], m[\"not_finite\"]) for m in one[\"members\"]))'");
  CHECK(has(json.text, "[('ada', 'yes', 0), ('bob', 'yes', 1), ('eve', 'no', 0)]"));
}
