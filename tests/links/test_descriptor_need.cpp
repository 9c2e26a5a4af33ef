#include "catch.hpp"
#include "links/descriptor_need.hpp"

namespace hawser {
namespace {

constexpr std::uint64_t kPlenty = 1 << 20;

LinksHeld far(std::size_t members) {
  return {.between_hosts = members, .within_host = 0, .connections_between_hosts = 32, .connections_within_host = 1};
}

bool has(const std::optional<std::string>& sentence, const std::string& part) {
  return sentence && sentence->find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("each connection of each link needs a descriptor, and the rest of the process some") {
  CHECK(descriptors_needed({}) == kDescriptorsBeside);
  CHECK(descriptors_needed(far(40)) == kDescriptorsBeside + 1280);
  LinksHeld both = far(1023);
  both.within_host = 7;
  both.connections_within_host = 3;
  CHECK(descriptors_needed(both) == kDescriptorsBeside + 1023 * 32 + 7 * 3);
}

TEST_CASE("a limit that is just enough is not told of, one below it is") {
  DescriptorShortage shortage;
  const std::uint64_t needed = descriptors_needed(far(40));
  CHECK_FALSE(shortage.look(far(40), {.soft = needed, .hard = kPlenty}));
  CHECK(shortage.look(far(40), {.soft = needed - 1, .hard = kPlenty}));
}

TEST_CASE("a shortage is told with what is needed, what there is, and what to do") {
  DescriptorShortage shortage;
  const auto told = shortage.look(far(40), {.soft = 1024, .hard = kPlenty});
  CHECK(has(told, " 40 other members"));
  CHECK(has(told, " 1344 "));
  CHECK(has(told, " 1024"));
  CHECK(has(told, "ulimit -n 1344"));
  CHECK_FALSE(has(told, "root"));
}

TEST_CASE("where the hard limit is too low as well, root has to raise it") {
  DescriptorShortage shortage;
  const auto told = shortage.look(far(40), {.soft = 1024, .hard = 1200});
  CHECK(has(told, "root"));
  CHECK(has(told, " 1200"));
}

TEST_CASE("a shortage is told once, and again when the need has doubled") {
  DescriptorShortage shortage;
  const DescriptorLimit limit{.soft = 256, .hard = kPlenty};
  CHECK(shortage.look(far(10), limit));
  CHECK_FALSE(shortage.look(far(10), limit));
  CHECK_FALSE(shortage.look(far(11), limit));
  CHECK_FALSE(shortage.look(far(9), limit));
  CHECK(shortage.look(far(30), limit));
}

}  // namespace hawser
