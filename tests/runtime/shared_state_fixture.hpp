#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "run_fixture.hpp"
#include "runtime/shared_state.hpp"

namespace hawser::test {

struct Tensor {
  std::string name;
  DataType type = DataType::float32;
  std::vector<std::byte> bytes;
  bool may_differ = false;
};

/// Where a tensor lies that only its owner's functions touch.
class Place {
 public:
  Place(std::size_t bytes, std::int32_t device);
  std::byte* at() const { return memory_ ? memory_->bytes() : host_.get(); }
  std::size_t size() const { return bytes_; }
  std::vector<std::byte> read() const;
  void write(const std::vector<std::byte>& content);

 private:
  std::size_t bytes_;
  std::unique_ptr<std::byte[]> host_;
  std::unique_ptr<device::Memory> memory_;
};

/// Changes a byte.
void flip(Place& place, std::size_t at);

/// One member's tensors, and the shared state made of them. Where there are devices, two of three tensors lie on them,
/// and not on the same at all members.
class Holding {
 public:
  explicit Holding(std::vector<Tensor> tensors);
  /// `devices`: one for each tensor, or kOnHost.
  Holding(std::vector<Tensor> tensors, const std::vector<std::int32_t>& devices);

  SharedState& state() { return *state_; }
  Place& operator[](std::size_t tensor) { return places_[tensor]; }
  std::vector<std::vector<std::byte>> content() const;
  /// Other content for each seed, in all tensors; and says that it is complete.
  void fill(std::uint64_t seed);
  bool is_filled(std::uint64_t seed) const;
  std::uint64_t bytes() const;

 private:
  std::vector<Place> places_;
  std::unique_ptr<SharedState> state_;
};

Tensor floats(const std::string& name, std::uint64_t count);
Tensor raw(const std::string& name, std::uint64_t bytes);
std::vector<std::byte> content_of(std::uint64_t seed, std::size_t tensor, std::size_t bytes);

using Holdings = std::vector<Holding>;
/// So many members with the same tensors, filled with the seeds at the revisions.
struct Start {
  std::uint64_t seed = 0;
  std::uint64_t revision = 0;
};
Holdings hold(const std::vector<Start>& starts, const std::function<std::vector<Tensor>()>& tensors);

/// All peers synchronise; which has which holding goes by its place in the list.
using Choose = std::function<void(std::size_t who, SyncArguments&)>;
std::vector<SyncOutcome> sync_all(const Peers& peers, Holdings& holdings, const Choose& choose = {});

/// Admits `newcomer`, at whose end it is the last of the peers.
void admit(Peers& peers, std::unique_ptr<Communicator> newcomer);

PeerId id_of(Communicator& peer);
std::uint32_t rank_of(Communicator& peer);

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

void check_success(const std::vector<SyncOutcome>& outcomes);
/// The same status everywhere, each sentence with this in it.
void check_failure(const std::vector<SyncOutcome>& outcomes, Status status, const std::string& part);

}  // namespace hawser::test
