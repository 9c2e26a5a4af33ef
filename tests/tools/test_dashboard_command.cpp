/// `hawser dashboard` as a browser and a Prometheus ask it.
#include "tool_command.hpp"
#include "two_members.hpp"

using namespace hawser::test;

#ifdef HAWSER_HAS_HTTP

TEST_CASE("the page, the status and the metrics of a run") {
  const TwoMembers peers;
  const Said said = run_program("'" HAWSER_PYTHON "' '" HAWSER_TOOLS_TESTS "/ask_dashboard.py' '" HAWSER_TOOL "' " +
                                peers.address());
  INFO(said.text);
  CHECK(said.exit_status == 0);
  CHECK(has(said.text, "all is well\n"));
}

TEST_CASE("a dashboard says what is wrong with its address") {
  for (const char* const listen : {"48580", "127.0.0.1:", "127.0.0.1:99999", ":48580", "192.0.2.7:48580"}) {
    const Said said = run("dashboard 127.0.0.1:1 --listen " + std::string(listen));
    INFO(said.text);
    CHECK(said.exit_status == 1);
    CHECK(has(said.text, listen));
  }
}
#endif
