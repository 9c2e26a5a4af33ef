/// `hawser status` as a person calls it, against a run of this process.
#include <string>

#include "tool_command.hpp"
#include "two_members.hpp"

using namespace hawser::test;

TEST_CASE("the table names the members") {
  const TwoMembers peers;
  const Said said = run("status " + peers.address());
  INFO(said.text);
  CHECK(said.exit_status == 0);
  CHECK(has(said.text, "2 members in 1 group"));
  CHECK(has(said.text, "Ada\n"));
  CHECK(has(said.text, "Grace \"G\" Hopper\n"));
}

TEST_CASE("the JSON is JSON, with the members' names") {
  const TwoMembers peers;
  const Said said =
      run("status --json " + peers.address() +
          " | '" HAWSER_PYTHON
          "' -c 'import json, sys; told = json.load(sys.stdin); "
          "print(told[\"world_size\"], sorted(m[\"name\"] for m in told[\"groups\"][0][\"members\"]))'");
  CHECK(said.text == "2 ['Ada', 'Grace \"G\" Hopper']\n");
}

TEST_CASE("of links within one host nothing is measured, and the matrix says so") {
  const TwoMembers peers;
  const Said said = run("status --matrix " + peers.address());
  INFO(said.text);
  CHECK(said.exit_status == 0);
  CHECK(has(said.text, "nothing has been measured of the links yet"));
}

TEST_CASE("a watch asks again") {
  const TwoMembers peers;
  Command command("status --watch 0.1 " + peers.address());
  for (int times = 0; times < 3;) {
    const std::string line = command.line();
    REQUIRE_FALSE(line.empty());
    if (line.starts_with("run ")) ++times;
  }
}

TEST_CASE("a master that is not there is told with the library's sentence") {
  std::string address;
  {
    auto master = hawser::Master::create({.listen = "127.0.0.1:0"});
    REQUIRE(master);
    address = master->address();
  }
  const Said said = run("status " + address);
  CHECK(said.exit_status == 1);
  CHECK(has(said.text, "hawser status: cannot connect to " + address));
  CHECK(run("status 'no port'").exit_status == 1);
}
