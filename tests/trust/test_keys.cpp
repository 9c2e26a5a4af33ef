#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "key_fixture.hpp"
#include "scratch_folder.hpp"
#include "trust/badge_text.hpp"
#include "trust/private_file.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

bool says(const Error& error, const char* what) { return error.sentence.find(what) != std::string::npos; }

}  // namespace

TEST_CASE("a secret is read as it was written, and in no other way") {
  const RunSecret secret = RunSecret::draw().value();
  const std::string text = secret.text();
  REQUIRE(RunSecret::parse(text).ok());
  CHECK(RunSecret::parse(text)->text() == text);
  CHECK(RunSecret::draw()->text() != text);
  for (std::size_t i = 0; i < text.size(); ++i) {
    CHECK_FALSE(RunSecret::parse(text.substr(0, i)).ok());
    std::string spaced = text;
    spaced[i] = ' ';
    if (text[i] != ' ') CHECK_FALSE(RunSecret::parse(spaced).ok());
  }
  CHECK_FALSE(RunSecret::parse(text + "\n").ok());
  CHECK_FALSE(RunSecret::parse("hawser-run-secret 2\n" + text.substr(20)).ok());
  // 43 digits of base64 have two bits more than 32 bytes.
  std::string loose = text;
  loose[loose.size() - 3] = static_cast<char>(loose[loose.size() - 3] + 1);
  if (const auto parsed = RunSecret::parse(loose); parsed.ok()) CHECK(parsed->text() == loose);
}

TEST_CASE("the run's key follows from its secret for ever") {
  const auto secret =
      RunSecret::parse("hawser-run-secret 1\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").value();
  const auto name = trust::run_name_of(*secret.authority().value());
  CHECK(name == trust::run_name_of(*secret.authority().value()));
  CHECK(name == Identity::of_secret(secret, kNow)->run());
  CHECK(name == "3e916e1a06fbf8d31dbbfaafbc15aaf9");
}

TEST_CASE("key files are for their owner alone, and never overwritten") {
  const ScratchFolder folder;
  const std::string path = folder / "run.key";
  const std::string text = RunSecret::draw()->text();
  ::umask(0);
  REQUIRE(trust::write_private_file(path, text).ok());
  struct stat found {};
  REQUIRE(::stat(path.c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0600);
  CHECK(trust::read_private_file(path, 1000).value() == text);
  CHECK(Identity::load(path, kNow).ok());

  const auto again = trust::write_private_file(path, "other");
  REQUIRE_FALSE(again.ok());
  CHECK(says(again.error(), "exists already"));
  CHECK(trust::read_private_file(path, 1000).value() == text);

  for (const mode_t mode : {0640U, 0604U, 0610U, 0602U}) {
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    const auto refused = Identity::load(path, kNow);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.status() == Status::invalid_argument);
    CHECK(says(refused.error(), ("chmod 600 " + path).c_str()));
  }
  REQUIRE(::chmod(path.c_str(), 0400) == 0);
  CHECK(trust::load_run_secret(path).ok());
  CHECK_FALSE(trust::read_private_file(path, text.size() - 1).ok());
  CHECK_FALSE(trust::read_private_file(folder / "none", 1000).ok());
  CHECK_FALSE(trust::read_private_file("/dev/zero", 1000).ok());
}

TEST_CASE("a file that is no key file is refused by name") {
  const ScratchFolder folder;
  const std::string path = folder / "a.key";
  for (const std::string content :
       {"", "-----BEGIN CERTIFICATE-----\n", "hawser-issued-key 1\n", "hawser-issued-key 2\n"}) {
    std::filesystem::remove(path);
    REQUIRE(trust::write_private_file(path, content).ok());
    const auto refused = Identity::load(path, kNow);
    REQUIRE_FALSE(refused.ok());
    CHECK(says(refused.error(), path.c_str()));
  }
}

TEST_CASE("an issued key says who holds it, and what it may do") {
  const RunSecret secret = RunSecret::draw().value();
  for (const Role role : {Role::member, Role::newcomer, Role::reader, Role::observer, Role::run_operator}) {
    const Identity identity = issued(secret, {.name = "madrid \u00e9", .role = role, .groups = {0, 2, 7}, .days = 3});
    CHECK(identity.badge().name == "madrid \u00e9");
    CHECK(identity.badge().role == role);
    CHECK((identity.badge().groups == std::vector<std::uint32_t>{0, 2, 7}));
    CHECK(identity.badge().expires_unix_s == kNow + 3 * kDay);
    CHECK_FALSE(identity.badge().holds_secret);
    CHECK(identity.run() == Identity::of_secret(secret, kNow)->run());
    CHECK(trust::verify_certificate(identity.certificate(), identity.authority(), kNow).value() == identity.badge());
  }
  CHECK(issued(secret, {.name = "x"}).badge().groups.empty());
  for (const IssueOrder& order : {IssueOrder{.name = ""}, IssueOrder{.name = std::string(64, 'x')},
                                  IssueOrder{.name = "a\nb"}, IssueOrder{.name = "x", .groups = {2, 2}},
                                  IssueOrder{.name = "x", .groups = {3, 1}}, IssueOrder{.name = "x", .days = 0}})
    CHECK(issue_key(secret, order, kNow).status() == Status::invalid_argument);
}

TEST_CASE("each holder of the secret has a key of its own, and all powers") {
  const RunSecret secret = RunSecret::draw().value();
  const Identity a = holder(secret);
  const Identity b = holder(secret);
  CHECK(a.badge().key != b.badge().key);
  CHECK(a.badge().holds_secret);
  CHECK(a.badge().role == Role::run_operator);
  CHECK(a.run() == b.run());
  CHECK(trust::verify_certificate(b.certificate(), a.authority(), kNow)->key == b.badge().key);
}

TEST_CASE("an issued key file holds together, or is refused") {
  const RunSecret secret = RunSecret::draw().value();
  const std::string file = issue_key(secret, {.name = "a"}, kNow).value();
  const std::string other = issue_key(secret, {.name = "a"}, kNow).value();
  const std::string elsewhere = issue_key(RunSecret::draw().value(), {.name = "a"}, kNow).value();
  const auto certificates_at = [](const std::string& text) { return text.find("-----BEGIN CERTIFICATE"); };
  const auto run_at = [](const std::string& text) { return text.rfind("-----BEGIN CERTIFICATE"); };
  REQUIRE(Identity::parse(file, kNow).ok());
  CHECK_FALSE(Identity::parse(file.substr(0, run_at(file)), kNow).ok());
  CHECK_FALSE(Identity::parse(file + "x", kNow).ok());
  const auto mixed_keys =
      Identity::parse(file.substr(0, certificates_at(file)) + other.substr(certificates_at(other)), kNow);
  REQUIRE_FALSE(mixed_keys.ok());
  CHECK(says(mixed_keys.error(), "do not belong together"));
  const auto mixed_runs = Identity::parse(file.substr(0, run_at(file)) + elsewhere.substr(run_at(elsewhere)), kNow);
  REQUIRE_FALSE(mixed_runs.ok());
  CHECK(says(mixed_runs.error(), "different runs"));
  // Any cut and any changed character.
  Random random(1);
  for (int i = 0; i < 300; ++i) {
    std::string damaged = file;
    const std::size_t at = 20 + random.below(damaged.size() - 20);
    if (damaged[at] == '\n' || damaged[at] == '-') continue;
    damaged[at] = damaged[at] == 'A' ? 'B' : 'A';
    CHECK_FALSE(Identity::parse(damaged, kNow).ok());
    CHECK_FALSE(Identity::parse(file.substr(0, at), kNow).ok());
  }
}

TEST_CASE("a certificate is valid in its time, give or take a quarter of an hour") {
  const RunSecret secret = RunSecret::draw().value();
  const Identity identity = issued(secret, {.name = "berlin", .days = 1});
  const auto at = [&](std::int64_t unix_s) {
    return trust::verify_certificate(identity.certificate(), identity.authority(), unix_s);
  };
  constexpr std::int64_t kTolerance = 15 * 60;
  CHECK(at(kNow - kTolerance).ok());
  CHECK(at(kNow + kDay + kTolerance).ok());
  const auto early = at(kNow - kTolerance - 1);
  REQUIRE_FALSE(early.ok());
  CHECK(says(early.error(), "its key (berlin) is not valid before 2027-01-15 08:00 UTC"));
  const auto late = at(kNow + kDay + kTolerance + 1);
  REQUIRE_FALSE(late.ok());
  CHECK(says(late.error(), "its key (berlin) has expired since 2027-01-16 08:00 UTC"));
}

TEST_CASE("a certificate of another run, or a changed one, is told as such") {
  const RunSecret secret = RunSecret::draw().value();
  const Identity mine = holder(secret);
  const Identity theirs = holder(RunSecret::draw().value());
  const auto other = trust::verify_certificate(theirs.certificate(), mine.authority(), kNow);
  REQUIRE_FALSE(other.ok());
  CHECK(says(other.error(), "of another run"));

  unsigned char* encoded = nullptr;
  const int bytes = i2d_X509(&mine.certificate(), &encoded);
  REQUIRE(bytes > 0);
  int read = 0;
  for (int at = 0; at < bytes; ++at)
    for (const int bit : {1, 0x80}) {
      std::vector<unsigned char> changed(encoded, encoded + bytes);
      changed[static_cast<std::size_t>(at)] ^= static_cast<unsigned char>(bit);
      const unsigned char* from = changed.data();
      const trust::CertificatePtr certificate(d2i_X509(nullptr, &from, bytes));
      if (!certificate) continue;
      ++read;
      CHECK_FALSE(trust::verify_certificate(*certificate, mine.authority(), kNow).ok());
    }
  CHECK(read > 100);
  OPENSSL_free(encoded);
  // The run's own certificate is nobody's badge.
  const auto authority = secret.authority();
  const auto of_run = trust::issue_run_certificate(**authority, kNow);
  CHECK_FALSE(trust::verify_certificate(**of_run, mine.authority(), kNow).ok());
}

TEST_CASE("badges and groups are read strictly") {
  const std::string text = "hawser-badge 1 role=reader groups=0,2,4294967295 secret=no";
  const auto badge = trust::parse_badge_text(text);
  REQUIRE(badge.has_value());
  CHECK(badge->role == Role::reader);
  CHECK(trust::to_string(*badge) == text);
  for (const char* const wrong :
       {"", "hawser-badge 2 role=reader groups=all secret=no", "hawser-badge 1 role=king groups=all secret=no",
        "hawser-badge 1 role=reader groups= secret=no", "hawser-badge 1 role=reader groups=1,1 secret=no",
        "hawser-badge 1 role=reader groups=2,1 secret=no", "hawser-badge 1 role=reader groups=01 secret=no",
        "hawser-badge 1 role=reader groups=4294967296 secret=no", "hawser-badge 1 role=reader groups=-1 secret=no",
        "hawser-badge 1 role=reader groups=all secret=maybe", "hawser-badge 1 role=reader groups=all secret=no ",
        "hawser-badge 1 role=reader secret=no groups=all", "hawser-badge 1 role=reader groups=1, secret=no"})
    CHECK_FALSE(trust::parse_badge_text(wrong).has_value());
  CHECK(trust::parse_groups("7").has_value());
  CHECK_FALSE(trust::parse_groups("").has_value());
  CHECK_FALSE(trust::parse_groups("1 2").has_value());
}

TEST_CASE("a key's name is read as it is written") {
  const KeyId key = Identity::of_secret(RunSecret::draw().value(), kNow)->badge().key;
  const std::string text = to_string(key);
  CHECK(text.size() == 64);
  CHECK(parse_key_id(text) == key);
  CHECK_FALSE(parse_key_id(text.substr(1)).has_value());
  CHECK_FALSE(parse_key_id(std::string(64, 'g')).has_value());
  CHECK(std::hash<KeyId>{}(key) == std::hash<KeyId>{}(*parse_key_id(text)));
}
