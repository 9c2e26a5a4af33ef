// Writes the seed corpora: `make_corpus DIRECTORY` fills DIRECTORY/{checkpoint,control,frame,manifest,master,payload,
// prefetch,trust}. Their contents are those of the codecs, so run it again when a layout changes, and commit what it
// wrote. Those of trust hold new keys each time.

#include <array>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "../wire/random_message.hpp"
#include "checkpoint/checkpoint_header.hpp"
#include "fuzz/trust_run.hpp"
#include "kernels/content_digest.hpp"
#include "kernels/payload_codec.hpp"
#include "shared_state/prefetch.hpp"
#include "wire/control_codec.hpp"
#include "wire/control_frame.hpp"
#include "wire/frame_codec.hpp"
#include "wire/link_greeting.hpp"

namespace {

using namespace hawser;

std::string text_of(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += static_cast<char>(byte);
  return text;
}

std::string script(std::initializer_list<int> choices) {
  std::string text;
  for (const int choice : choices) text += static_cast<char>(choice);
  return text;
}

class Corpus {
 public:
  explicit Corpus(const std::filesystem::path& folder) : folder_(folder) {
    std::filesystem::create_directories(folder_);
  }
  void add(const std::string& name, std::string_view content) {
    std::ofstream out(folder_ / name, std::ios::binary);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
    if (!out.flush()) std::printf("cannot write %s\n", (folder_ / name).c_str());
  }

 private:
  std::filesystem::path folder_;
};

// First byte: 0 message, 1 stream, 2 message to be framed; see fuzz_control.cpp.
void make_control(Corpus corpus) {
  Random random(2);
  std::string stream;
  for (std::size_t kind = 0; kind < std::variant_size_v<PeerMessage>; ++kind) {
    const std::string message = encode(testing::any_peer_message(random, kind));
    corpus.add("peer-" + std::to_string(kind), script({0}) + message);
    stream += frame_control(message);
  }
  for (std::size_t kind = 0; kind < std::variant_size_v<MasterMessage>; ++kind) {
    const std::string message = encode(testing::any_master_message(random, kind));
    corpus.add("master-" + std::to_string(kind), script({2}) + message);
    stream += frame_control(message);
  }
  corpus.add("stream", script({1}) + stream);
  corpus.add("http", script({1}) + "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
}

// First byte: even puts the checksum right; half of it modulo 3 is frame, greeting, answer; see
// fuzz_frame.cpp.
void make_frame(Corpus corpus) {
  const auto header = [](const FrameHeader& from) {
    std::array<std::byte, kFrameHeaderBytes> bytes;
    encode_frame_header(from, checksum({}), bytes);
    return text_of(bytes);
  };
  const OpKey key{.epoch = Epoch{3}, .view = ViewId{4}, .tag = 1, .sequence = 2};
  corpus.add("chunk", script({0}) + header({.kind = FrameKind::chunk,
                                            .direction = Direction::down,
                                            .key = key,
                                            .signature = 5,
                                            .chunk = 6,
                                            .payload_bytes = 4096}));
  corpus.add("ready", script({1}) + header({.kind = FrameKind::ready, .key = key, .signature = 5}));
  corpus.add("have", script({0}) + header({.kind = FrameKind::have, .chunk = 3, .count = 100}));
  corpus.add("acknowledge", script({0}) + header({.kind = FrameKind::acknowledge, .count = 100}));
  const auto greeting = encode_greeting(
      {.link_secret = 9, .from = PeerId{1}, .to = PeerId{2}, .connection_index = 1, .connections_total = 4});
  corpus.add("greeting", script({2}) + text_of(greeting));
  corpus.add("answer", script({4}) + text_of(encode_greeting_answer(GreetingAnswer::accepted)));
}

// Choices as fuzz_master.cpp takes them.
void make_master(Corpus corpus) {
  // What strangers agree on: a view of the far future, of two of them in group 0, with member 2 at another address.
  const std::string lie = script({5, 0, 0, 1, 1, 1, 0});
  const std::string open = script({0, 0});
  const std::string conspire = script({17}) + std::string(16, '\0');
  const std::string restart = script({15, 1, 0});
  const auto pass = [](int choice) { return script({2, choice}); };
  const std::string update = script({13, 0});
  const std::string collective = script({13, 2});
  // Who says it: an id of its own, or a member's; with the members' party of that size, or none.
  const auto own = [](int party_size) {
    const std::string party = party_size > 0 ? script({3, party_size - 1}) : script({0});
    return script({0, 0, 0, 0, 0}) + party + script({0, 0});
  };
  const auto as_member = [](int member) { return script({0, 1, 0, member - 1, 0, 0, 0, 0, 0, 0}); };
  const auto hello = [](const std::string& who) { return script({4}) + who + script({0, 0}); };
  const auto claim = [](const std::string& who) { return script({5, 0}) + who + script({0, 1, 7, 0, 0, 0}); };
  corpus.add("calls",
             lie + collective + update + pass(5) + collective + script({12, 0, 1, 0, 1, 12, 1, 1, 0, 0}) + pass(9));
  corpus.add("cut-and-back", lie + pass(7) + script({12, 0, 1, 0, 1, 14, 0}) + pass(5) + update + pass(5) + collective);
  corpus.add("restart", lie + script({12, 0, 1, 0, 1}) + restart + pass(10) + collective);
  corpus.add("restart-among-liars",
             lie + script({15, 1, 1, 0, 0, 0, 0, 0}) + conspire + pass(5) + conspire + pass(10) + update);
  corpus.add("restarts", lie + restart + pass(5) + conspire + restart + conspire + pass(6) + conspire + pass(10));
  corpus.add("hello-in-a-members-name", lie + restart + open + hello(as_member(1)) + pass(10));
  corpus.add("claim-in-a-members-name",
             lie + restart + open + claim(as_member(1)) + pass(5) + open + claim(as_member(1)) + pass(10));
  for (const int size : {1, 2, 3})
    corpus.add("hello-of-a-members-party-" + std::to_string(size),
               lie + pass(7) + script({14, 3}) + open + hello(own(size)) + pass(10));
  // In a group of their own, and of the members' party.
  const std::string party = script({17, 0, 0, 3, 0, 0, 0}) + std::string(8, '\0');
  corpus.add("claim-of-a-members-party",
             script({5, 0, 2, 1, 0}) + restart + party + pass(5) + script({1, 0}) + pass(10));
  corpus.add("newcomers",
             lie + script({16, 0, 0}) + open + hello(own(0)) + pass(5) + update + pass(10) + update + pass(10));
  corpus.add("guest", lie + script({16, 1, 0}) + pass(5) + update + pass(5) + script({16, 1}) + update + pass(7));
  corpus.add("status",
             lie + collective + script({11, 0, 0}) + open + script({11, 1, 0}) + pass(5) + open + script({11, 0, 0}));
  Random random(5);
  std::string raw = lie + restart;
  for (std::size_t kind = 0; kind < std::variant_size_v<PeerMessage>; ++kind) {
    const std::string message = encode(testing::any_peer_message(random, kind));
    if (message.size() < 256) raw += open + script({3, static_cast<int>(message.size())}) + message + script({0});
  }
  corpus.add("raw", raw);
}

Manifest small_manifest() {
  std::vector<Digest128> slices(3, Digest128{.low = 1, .high = 2});
  const auto tensor = [](std::string name, std::uint64_t count, std::span<const Digest128> digests) {
    return TensorEntry{.name = std::move(name),
                       .type = DataType::float32,
                       .count = count,
                       .digest = digest_of_slices(digests, count * sizeof(float), kContentSeed)};
  };
  return {
      .revision = 7,
      .agreed_revision = 6,
      .tensors = {tensor("layer.0.bias", 16, std::span(slices).first(1)), tensor("layer.0.weight", 600000, slices)}};
}

// First byte: 0 manifest, 1 summary, 2 choices; see fuzz_manifest.cpp.
void make_manifests(Corpus corpus) {
  corpus.add("small", script({0}) + text_of(encode_manifest(small_manifest())));
  corpus.add("empty", script({0}) + text_of(encode_manifest({})));
  corpus.add("in-trouble", script({0}) + text_of(encode_manifest({.incomplete = true, .trouble = "it broke off"})));
  corpus.add("summary", script({1}) + text_of(encode_summary(summarize(small_manifest()))));
  corpus.add("chosen",
             script({2, 0, 9, 1, 8, 0, 1, 2, 3, 4, 0, 2, 1, 0, 7, 7, 0, 4, 5, 3, 0, 0, 9, 8, 8, 1, 0, 12, 5}));
}

// First byte: even text behind the bytes of data, odd choices; see fuzz_checkpoint.cpp.
void make_checkpoint(Corpus corpus) {
  CheckpointHeader header{.revision = 12};
  header.entries = {{.name = "w", .type = DataType::float64, .count = 4, .digest = {.low = 1, .high = 2}},
                    {.name = "b \"c\"", .type = DataType::uint8, .count = 3, .digest = {.low = 3, .high = 4}}};
  corpus.add("text", script({0, 0, 0, 0, 0, 0, 0, 0, 35}) + encode_checkpoint_header(header));
  corpus.add("text-of-nothing", script({0, 0, 0, 0, 0, 0, 0, 0, 0}) + encode_checkpoint_header({}));
  corpus.add("escapes", script({0, 0, 0, 0, 0, 0, 0, 0, 0}) + R"({"__metadata__":{"a\u00e9\ud83d\ude00\n":"\\\/"}})");
  const std::string chosen = script({1, 1, 5, 2, 3, 1, 0, 2, 1, 4, 9, 0, 0, 0, 0, 0, 0, 0, 1, 6, 2, 5, 1, 8, 3});
  corpus.add("chosen", chosen);
  corpus.add("chosen-and-changed",
             chosen + std::string(8, '\0') + script({0, 1, 0, 1, ' '}) + script({0, 40, 1, 1, '3'}));
}

// Kind, stride, two bytes of the length, damage; see fuzz_payload.cpp.
void make_payload(Corpus corpus) {
  std::vector<std::byte> content(4096);
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<std::byte>(i % 4 == 3 ? 0x3f : i * i % 251);
  for (const int kind : {1, 2, 4, 5}) {
    const std::size_t stride = kind == 5 ? 8 : static_cast<std::size_t>(kind);
    std::vector<std::byte> packed(2 * content.size());
    packed.resize(compress_payload(content, stride, packed).value_or(0));
    corpus.add("came-" + std::to_string(stride), script({0, kind, 16, 0, 0}) + text_of(packed));
  }
  corpus.add("sent", script({1, 4, 0, 9, 0}) + text_of(content));
  corpus.add("damaged", script({1, 2, 0, 30, 1}) + text_of(content));
  corpus.add("nothing", script({1, 4, 0, 0, 0}));
}

// First byte: 0 a catalog, 1 choices for one, 2 what a guest and its hosts do; see fuzz_prefetch.cpp.
void make_prefetch(Corpus corpus) {
  const std::string manifest = text_of(encode_manifest(small_manifest()));
  std::vector<std::byte> digests;
  for (int slice = 0; slice < 4; ++slice) append_digest({.low = 1, .high = 2}, digests);
  corpus.add("catalog", script({0, static_cast<int>(manifest.size()), 0, 0, 0}) + manifest + text_of(digests));
  corpus.add("chosen",
             script({1, 0, 9, 1, 8, 0, 1, 2, 3, 4, 0, 2, 1, 0, 7, 7, 0, 4, 5, 3, 0, 0, 9, 8, 8, 1, 0, 12, 5}));
  const std::string hosts = script({0, 0, 7});
  const auto offer = [](int host, int number, int lie) { return script({host, 1, number, lie, 1}); };
  const auto chunk = [](int host, int number, int lie, int index) { return script({host, 2, number, lie, index}); };
  corpus.add("fetched",
             script({2}) + hosts + offer(0, 0, 0) + chunk(0, 0, 0, 0) + chunk(0, 0, 0, 1) + chunk(0, 0, 0, 2));
  corpus.add("overtaken", script({2}) + hosts + offer(0, 0, 0) + chunk(0, 0, 0, 0) + chunk(0, 0, 0, 1) +
                              offer(1, 1, 0) + chunk(1, 1, 0, 0) + chunk(1, 1, 2, 1) + script({0}) + chunk(1, 1, 0, 2));
  corpus.add("lies", script({2}) + hosts + offer(0, 2, 4) + chunk(0, 2, 4, 0) + chunk(0, 2, 0, 1) + script({0, 3, 13}) +
                         offer(1, 2, 1) + script({0, 0, 0, 0, 0, 0, 0, 1}) + chunk(1, 2, 0, 0));
}

// First byte: 0 a client, 1 a server, 2 a certificate, 3 a secret, 4 a key file, 5 tampering; see fuzz_trust.cpp.
void make_trust(Corpus corpus) {
  using trust::TlsSession;
  const auto context = testing::trust_context();
  TlsSession client(context, TlsSession::Side::dialling);
  client.shake_hands();
  const std::string hello = text_of(client.to_send());
  corpus.add("client-hello", script({0}) + hello);
  corpus.add("client-hello-and-more", script({0}) + hello + std::string("\x17\x03\x03\x00\x05hello", 10));
  TlsSession server(context, TlsSession::Side::accepting);
  testing::feed(server, client.to_send());
  corpus.add("server-hello", script({1}) + text_of(server.to_send()));
  corpus.add("server-alert", script({1}) + std::string("\x15\x03\x03\x00\x02\x02\x28", 7));
  corpus.add("plain", script({0}) + frame_control("hello"));
  const auto secret = testing::trust_secret();
  const auto identity = trust::Identity::of_secret(secret, testing::kTrustNow);
  unsigned char* encoded = nullptr;
  const int bytes = i2d_X509(&identity->certificate(), &encoded);
  corpus.add("certificate", script({2}) + text_of(std::as_bytes(std::span(encoded, static_cast<std::size_t>(bytes)))));
  OPENSSL_free(encoded);
  corpus.add("secret", script({3}) + std::string(testing::kTrustSecret));
  corpus.add("secret-as-key-file", script({4}) + std::string(testing::kTrustSecret));
  const trust::IssueOrder order{.name = "madrid", .groups = {0, 2}};
  corpus.add("issued", script({4}) + issue_key(secret, order, testing::kTrustNow).value());
  corpus.add("untouched", script({5}));
  corpus.add("flipped-hello", script({5, 1, 0, 50, 0, 1}));
  corpus.add("flipped-answer", script({5, 0, 1, 1, 44, 0, 1}));
  corpus.add("shortened-finish", script({5, 0, 0, 1, 0, 200, 1}));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::printf("usage: %s DIRECTORY\n", argv[0]);
    return 2;
  }
  const std::filesystem::path root = argv[1];
  make_checkpoint(Corpus(root / "checkpoint"));
  make_control(Corpus(root / "control"));
  make_frame(Corpus(root / "frame"));
  make_manifests(Corpus(root / "manifest"));
  make_master(Corpus(root / "master"));
  make_payload(Corpus(root / "payload"));
  make_prefetch(Corpus(root / "prefetch"));
  make_trust(Corpus(root / "trust"));
  return 0;
}
