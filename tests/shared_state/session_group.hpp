#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "catch.hpp"
#include "shared_state/state_session.hpp"

namespace hawser {

/// Sessions of a few members, each with two tensors of a few bytes. The test performs their steps; a collective is done
/// in their memory, for all of them at once.
class SessionGroup {
 public:
  using Next = StateSession::Next;

  explicit SessionGroup(std::size_t members) {
    view.epoch = Epoch{1};
    view.id = ViewId{7};
    for (std::size_t rank = 0; rank < members; ++rank) {
      view.members.push_back({.id = PeerId{rank + 1}, .name = "peer" + std::to_string(rank), .address = {}});
      bytes_.push_back({std::vector<std::byte>(64), std::vector<std::byte>(32)});
      auto content = StateContent::create({tensor("a", bytes_.back()[0]), tensor("b", bytes_.back()[1])});
      REQUIRE(content.ok());
      sessions_.push_back(std::make_unique<StateSession>(std::move(*content)));
    }
  }

  StateSession& operator[](std::size_t rank) { return *sessions_[rank]; }
  std::vector<std::byte>& bytes(std::size_t rank, std::size_t which = 0) { return bytes_[rank][which]; }
  PeerId id(std::size_t rank) const { return view.members[rank].id; }

  /// Steps that need nobody else; the step at which it stops.
  Next alone(std::size_t rank, Next next) {
    StateSession& session = *sessions_[rank];
    while (true) switch (next) {
        case Next::withdraw: next = session.withdrawn(now, success); break;
        case Next::digest:
          for (const StateContent::Slice slice : session.content().stale()) session.content().digest(slice);
          next = session.digested(now);
          break;
        case Next::offer: next = session.offer_ended(success); break;
        default: return next;
      }
  }
  /// All members synchronise, to the end.
  void synchronise(const SyncSettings& settings = {}, bool only_marked = false) {
    std::vector<Next> next;
    for (std::size_t rank = 0; rank < sessions_.size(); ++rank)
      next.push_back(alone(rank, sessions_[rank]->synchronise(
                                     now, {.settings = settings,
                                           .only_marked = only_marked,
                                           .view = view,
                                           .self = id(rank)})));
    for (int steps = 0; next.front() == Next::collective; ++steps) {
      REQUIRE(steps < 10);
      perform_collective();
      for (std::size_t rank = 0; rank < sessions_.size(); ++rank)
        next[rank] = alone(rank, sessions_[rank]->collective_ended(now, success, nullptr, view));
    }
    for (const Next one : next) REQUIRE(one == Next::over);
  }
  /// Alone in its view.
  void synchronise_alone() {
    synchronise();
    REQUIRE(sessions_.front()->error().status == Status::success);
  }

  View view;
  Instant now{seconds(1)};
  const Error success{Status::success, {}};

 private:
  static StateTensor tensor(std::string name, std::vector<std::byte>& bytes) {
    return {.name = std::move(name), .type = DataType::uint8, .count = bytes.size(), .data = bytes.data()};
  }

  void perform_collective() {
    const Signature signature = sessions_.front()->step().signature;
    for (const auto& session : sessions_) REQUIRE(session->step().signature == signature);
    for (std::size_t rank = 0; rank < sessions_.size(); ++rank) {
      const StateSync::Step& mine = sessions_[rank]->step();
      if (mine.transfer) {
        fetch(*mine.transfer);
        continue;
      }
      if (signature.collective == Collective::broadcast) {
        if (rank != signature.root)
          std::memcpy(mine.receive, sessions_[signature.root]->step().send, signature.count);
        else
          std::memcpy(mine.receive, mine.send, signature.count);
        continue;
      }
      REQUIRE(signature.collective == Collective::all_gather);
      for (std::size_t from = 0; from < sessions_.size(); ++from)
        std::memcpy(mine.receive + from * signature.count, sessions_[from]->step().send, signature.count);
    }
  }

  /// Every tensor here is one slice.
  void fetch(TransferCall& transfer) {
    transfer.came.assign(transfer.has.size(), false);
    transfer.touched.assign(transfer.has.size(), false);
    for (std::size_t slice = 0; slice < transfer.has.size(); ++slice) {
      if (transfer.has[slice]) continue;
      const TransferPart& part = transfer.parts[slice];
      const std::uint32_t from = part.holders.front();
      const std::byte* const theirs = sessions_[from]->step().transfer->parts[slice].data;
      transfer.touched[slice] = transfer.came[slice] = true;
      std::memcpy(part.data, theirs, part.bytes);
      transfer.bytes_from[from] += part.bytes;
    }
  }

  std::deque<std::vector<std::vector<std::byte>>> bytes_;
  std::vector<std::unique_ptr<StateSession>> sessions_;
};

}  // namespace hawser
