/// What a member signs of its contribution is its own, and about one collective.
#include "key_fixture.hpp"
#include "trust/attest.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

constexpr OpKey kKey{.epoch = Epoch{3}, .view = ViewId{77}, .tag = 5, .sequence = 9};
constexpr Signature kCall{.count = 100};

Contribution contribution() {
  Contribution given{.bytes = 400, .not_finite = 1, .largest = 2.5, .norm = 7};
  given.sha256.fill(0xab);
  return given;
}

}  // namespace

TEST_CASE("a signed contribution is genuine for its signer, its collective and its content only") {
  const RunSecret secret = RunSecret::draw().value();
  const Identity ada = issued(secret, {.name = "ada"});
  const Identity eve = issued(secret, {.name = "eve"});
  const Attestation made = trust::attest(ada, kKey, kCall, contribution()).value();
  CHECK(made.given == contribution());
  CHECK(trust::is_genuine(made, ada.badge().key, kKey, kCall));
  CHECK_FALSE(trust::is_genuine(made, eve.badge().key, kKey, kCall));
  CHECK_FALSE(trust::is_genuine({.given = contribution()}, ada.badge().key, kKey, kCall));

  std::vector<OpKey> other_keys(4, kKey);
  other_keys[0].epoch = Epoch{4};
  other_keys[1].view = ViewId{78};
  other_keys[2].tag = 6;
  other_keys[3].sequence = 10;
  for (const OpKey& other : other_keys) CHECK_FALSE(trust::is_genuine(made, ada.badge().key, other, kCall));

  std::vector<Signature> other_calls(6, kCall);
  other_calls[0].collective = Collective::broadcast;
  other_calls[1].type = DataType::float16;
  other_calls[2].op = ReduceOp::avg;
  other_calls[3].count = 101;
  other_calls[4].root = 1;
  other_calls[5].quantization.scheme = QuantizationScheme::cast;
  for (const Signature& other : other_calls) CHECK_FALSE(trust::is_genuine(made, ada.badge().key, kKey, other));

  std::vector<Attestation> changed(6, made);
  changed[0].given.sha256[31] ^= 1;
  changed[1].given.bytes = 401;
  changed[2].given.not_finite = 0;
  changed[3].given.largest = 2.4;
  changed[4].given.norm = 7.5;
  changed[5].signature[0] ^= 1;
  for (const Attestation& other : changed) CHECK_FALSE(trust::is_genuine(other, ada.badge().key, kKey, kCall));
  // With her own key in it, it is still not hers.
  Attestation stolen = made;
  stolen.public_key = trust::attest(eve, kKey, kCall, contribution())->public_key;
  CHECK_FALSE(trust::is_genuine(stolen, eve.badge().key, kKey, kCall));
  CHECK_FALSE(trust::is_genuine(stolen, ada.badge().key, kKey, kCall));
}

TEST_CASE("SHA-256 in pieces is SHA-256") {
  // FIPS 180-4, "abc".
  trust::Sha256 digest;
  for (const char letter : std::string("abc")) {
    const std::byte byte{static_cast<unsigned char>(letter)};
    digest.add({&byte, 1});
  }
  CHECK(to_string(KeyId{digest.finish()}) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
