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

// Choices as fuzz_master.cpp takes them: the first byte is the master's seed.
void make_master(Corpus corpus) {
  // Open; hello of peer P (client, then the introduction's choices); time; all answer; all call update.
  const auto join = [](int connection, int peer) {
    return script({0}) + script({5, peer, 0, 0, 0, 0, 1, connection});
  };
  const std::string two =
      script({1}) + join(0, 0) + join(1, 1) + script({3, 4}) + script({8}) + script({3, 1});
  corpus.add("two-join", two);
  corpus.add("third-joins", two + join(2, 2) + script({16, 8, 3, 1}));
  corpus.add("both-report",
             two + script({11, 0, 0, 0, 0, 0, 0, 0, 0}) + script({11, 0, 0, 0, 0, 0, 0, 0, 1}));
  corpus.add("one-dies", two + script({10, 0, 0, 0, 0, 0, 0, 0, 0}) + script({2, 1}) + script({3, 4, 8}));
  corpus.add("silence", two + script({3, 6, 3, 7, 3, 8}));
  corpus.add("resume", two + script({2, 0, 0, 12, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 3, 9}));
  corpus.add("floods", two + script({17, 0, 2, 0, 0, 0, 0, 17, 0, 1}));
  const std::string guest = two + script({0}) + script({20, 2, 0, 0, 0, 0, 1, 2});
  corpus.add("guest-joins", guest + script({16, 21, 2, 16, 8, 3, 1}));
  corpus.add("guest-leaves", guest + script({2, 0, 2, 1, 3, 1, 2, 0}));
  const std::string begun = two + script({19, 0, 0, 0, 0, 0, 255});
  corpus.add("all-stall", begun + script({22, 1, 1, 0, 0, 18, 4}));
  // A right question and one of another version, with a collective under way.
  corpus.add("status", begun + script({23, 0, 23, 3, 3, 4, 23, 0}));
  corpus.add("one-never-calls", two + script({19, 0, 0, 0, 0, 0, 1, 18, 10}));
  Random random(5);
  std::string raw = script({1});
  for (std::size_t kind : {std::size_t{0}, std::size_t{2}, std::size_t{6}}) {
    const std::string message = encode(testing::any_peer_message(random, kind));
    if (message.size() < 256) raw += script({0, 4, static_cast<int>(message.size())}) + message + script({0});
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
