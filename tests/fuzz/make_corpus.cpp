// Writes the seed corpora: `make_corpus DIRECTORY` fills DIRECTORY/{control,frame,master}. Their contents are
// those of the codecs, so run it again when a layout changes, and commit what it wrote.

#include <array>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "../wire/random_message.hpp"
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
  corpus.add("calls", lie + collective + update + pass(5) + collective + script({12, 0, 1, 0, 1, 12, 1, 1, 0, 0}) + pass(9));
  corpus.add("cut-and-back", lie + pass(7) + script({12, 0, 1, 0, 1, 14, 0}) + pass(5) + update + pass(5) + collective);
  corpus.add("restart", lie + script({12, 0, 1, 0, 1}) + restart + pass(10) + collective);
  corpus.add("restart-among-liars", lie + script({15, 1, 1, 0, 0, 0, 0, 0}) + conspire + pass(5) + conspire + pass(10) + update);
  corpus.add("restarts", lie + restart + pass(5) + conspire + restart + conspire + pass(6) + conspire + pass(10));
  corpus.add("hello-in-a-members-name", lie + restart + open + hello(as_member(1)) + pass(10));
  corpus.add("claim-in-a-members-name", lie + restart + open + claim(as_member(1)) + pass(5) + open + claim(as_member(1)) + pass(10));
  for (const int size : {1, 2, 3})
    corpus.add("hello-of-a-members-party-" + std::to_string(size),
               lie + pass(7) + script({14, 3}) + open + hello(own(size)) + pass(10));
  // In a group of their own, and of the members' party.
  const std::string party = script({17, 0, 0, 3, 0, 0, 0}) + std::string(8, '\0');
  corpus.add("claim-of-a-members-party", script({5, 0, 2, 1, 0}) + restart + party + pass(5) + script({1, 0}) + pass(10));
  corpus.add("newcomers", lie + script({16, 0, 0}) + open + hello(own(0)) + pass(5) + update + pass(10) + update + pass(10));
  corpus.add("guest", lie + script({16, 1, 0}) + pass(5) + update + pass(5) + script({16, 1}) + update + pass(7));
  corpus.add("status", lie + collective + script({11, 0, 0}) + open + script({11, 1, 0}) + pass(5) + open + script({11, 0, 0}));
  Random random(5);
  std::string raw = lie + restart;
  for (std::size_t kind = 0; kind < std::variant_size_v<PeerMessage>; ++kind) {
    const std::string message = encode(testing::any_peer_message(random, kind));
    if (message.size() < 256) raw += open + script({3, static_cast<int>(message.size())}) + message + script({0});
  }
  corpus.add("raw", raw);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::printf("usage: %s DIRECTORY\n", argv[0]);
    return 2;
  }
  const std::filesystem::path root = argv[1];
  make_control(Corpus(root / "control"));
  make_frame(Corpus(root / "frame"));
  make_master(Corpus(root / "master"));
  return 0;
}
