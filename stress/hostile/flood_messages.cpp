#include "hostile/flood_messages.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "base/limits.hpp"
#include "membership/messages.hpp"
#include "trust/identity.hpp"
#include "trust/tls_session.hpp"
#include "wire/control_codec.hpp"
#include "wire/control_frame.hpp"

namespace hawser::hostile {
namespace {

/// Of the discard protocol: nobody listens there on a host of the lab.
constexpr std::uint16_t kNobodysPort = 9;

Introduction introduction(const FloodSource& source, Random& random) {
  Introduction who;
  who.id = {random.next()};
  who.token = random.next();
  who.connection = 1;
  who.name = "stranger-" + std::to_string(random.next() % 1'000'000);
  who.address = {.host = source.address, .port = source.port != 0 ? source.port : kNobodysPort};
  who.machine = random.next();
  return who;
}

std::uint32_t group_of_its_own(Random& random) { return static_cast<std::uint32_t>(1 + random.next() % 1'000'000'000); }

/// As much as a stranger may say: a master reads no longer message.
Hello longest_hello(const FloodSource& source, Random& random) {
  Hello hello{.who = introduction(source, random)};
  hello.who.name.resize(limits::kNameBytesMax, 'n');
  const auto fits = [&] { return encode(PeerMessage{hello}).size() <= limits::kFirstMessageBytesMax; };
  while (hello.who.terms.size() < limits::kTermsMax) {
    std::string name = "term-" + std::to_string(100 + hello.who.terms.size());
    name.resize(limits::kTermNameBytesMax, 't');
    hello.who.terms.push_back({.name = name, .value = std::string(limits::kTermValueBytesMax, 'v')});
    if (fits()) continue;
    hello.who.terms.pop_back();
    break;
  }
  return hello;
}

Resume resume(const FloodSource& source, Random& random) {
  Resume resume{.who = introduction(source, random), .run = {random.next()}};
  resume.who.group = group_of_its_own(random);
  resume.view = {.epoch = {1 + random.next() % 1000}, .id = {random.next()}, .size = 3, .fingerprint = random.next()};
  return resume;
}

PeerMessage first_message(FloodKind kind, const FloodSource& source, Random& random) {
  switch (kind) {
    case FloodKind::long_hellos:
    case FloodKind::half_messages: return longest_hello(source, random);
    case FloodKind::half_views:
    case FloodKind::resumes: return resume(source, random);
    case FloodKind::statuses: return StatusRequest{.matrix = true};
    default: break;
  }
  Hello hello{.who = introduction(source, random)};
  if (kind == FloodKind::pings) {
    // It is a guest for ever: nobody admits it, and nobody has to open links to it.
    hello.who.group = group_of_its_own(random);
    hello.prefetches = true;
  }
  if (kind == FloodKind::names) hello.who.address.host = hello.who.name + ".nowhere.invalid";
  return hello;
}

/// The ClientHello of the run that HAWSER_SECRET_FILE names. Whoever has heard one on the way can repeat it.
std::string begin_of_handshake() {
  const char* const file = std::getenv("HAWSER_SECRET_FILE");
  if (file == nullptr) throw std::runtime_error("handshakes need a run with a secret: --keys");
  auto identity = trust::Identity::load(file, trust::unix_time_now());
  if (!identity.ok()) throw std::runtime_error(identity.error().sentence);
  auto context = trust::TlsContext::make(std::move(*identity), {.protocol = kProtocolVersion});
  if (!context.ok()) throw std::runtime_error(context.error().sentence);
  trust::TlsSession session(std::move(*context), trust::TlsSession::Side::dialling);
  session.shake_hands();
  const auto bytes = session.to_send();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

FloodWords words_of(FloodKind kind, const FloodSource& source, Random& random) {
  if (kind == FloodKind::opens || kind == FloodKind::garbage) return {};
  if (kind == FloodKind::handshakes) {
    static const std::string begin = begin_of_handshake();
    return {.first = begin};
  }
  std::string framed = frame_control(encode(first_message(kind, source, random)));
  if (kind == FloodKind::half_messages) framed.resize(framed.size() / 2);
  if (kind == FloodKind::half_views) {
    // Of a message that is announced whole: what is in it nobody knows before its end.
    std::string view = frame_control(std::string(limits::kPresentedViewBytesMax, 'v'));
    view.resize(view.size() / 2);
    framed += view;
  }
  const bool stays = kind == FloodKind::pings || kind == FloodKind::tar_pits || kind == FloodKind::names ||
                     kind == FloodKind::long_hellos;
  return {.first = std::move(framed), .pings = stays};
}

namespace {

/// Small, so that there are many.
constexpr std::size_t kGarbageBytes = 24;
constexpr std::size_t kNoiseBytes = 64 << 10;
constexpr std::size_t kFrames = 256;

std::string random_bytes(Random& random, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (char& byte : text) byte = static_cast<char>(random.next());
  return text;
}

/// A ClientHello of 16 KiB is announced, and none of its bytes makes sense.
std::string begin_of_record(Random& random) {
  std::string text("\x16\x03\x01\x3f\xff", 5);
  return text + random_bytes(random, kGarbageBytes - text.size());
}

}  // namespace

Garbage::Garbage(Random& random) : noise_(random_bytes(random, kNoiseBytes)) {
  // Framed as a message is, so that the content has to be looked at.
  for (std::size_t i = 0; i < kFrames; ++i)
    frames_.push_back(frame_control(random_bytes(random, 4 + random.next() % kGarbageBytes)));
  firsts_ = {noise_.substr(0, kGarbageBytes), frames_.front(), begin_of_record(random)};
}

std::string_view Garbage::next(Kind kind) {
  ++turn_;
  if (kind == Kind::malformed_frames) return frames_[turn_ % frames_.size()];
  return std::string_view(noise_).substr(turn_ * 7 % (noise_.size() - kGarbageBytes), kGarbageBytes);
}

std::string ping_words() { return frame_control(encode(PeerMessage{Ping{}})); }

const char* flood_name(FloodKind kind) {
  switch (kind) {
    case FloodKind::opens: return "opens";
    case FloodKind::half_messages: return "half-messages";
    case FloodKind::pings: return "pings";
    case FloodKind::hellos: return "hellos";
    case FloodKind::long_hellos: return "long-hellos";
    case FloodKind::resumes: return "resumes";
    case FloodKind::half_views: return "half-views";
    case FloodKind::statuses: return "statuses";
    case FloodKind::tar_pits: return "tar-pits";
    case FloodKind::handshakes: return "handshakes";
    case FloodKind::names: return "names";
    case FloodKind::garbage: return "garbage";
  }
  return "?";
}

}  // namespace hawser::hostile
