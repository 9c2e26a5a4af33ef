#pragma once

#include "device/devices.hpp"

namespace hawser::device {

/// A machine without devices: all memory is the host's.
class NoDevices final : public Devices {
 public:
  const char* name() const override { return "none"; }
  int count() const override { return 0; }
  bool runs(const Kernel&) const override { return false; }
  Result<int> where(const void*, std::size_t) const override { return kHost; }
  bool is_pageable(const void*) const override { return true; }
  Result<std::unique_ptr<Stream>> make_stream(int) override { return none(); }
  void make_ready(int, std::span<const Kernel* const>) override {}
  Result<std::shared_ptr<Event>> record_on(int, std::uintptr_t) override { return none(); }
  Result<void> launch_on(int, std::uintptr_t, const Launch&) override { return none(); }
  Result<std::shared_ptr<Gate>> make_gate() override { return none(); }
  Result<void> wait_on(int, std::uintptr_t, std::shared_ptr<Gate>) override { return none(); }
  Result<std::unique_ptr<Memory>> allocate(int, std::size_t) override { return none(); }
  Result<std::unique_ptr<Memory>> allocate_pinned(std::size_t) override { return none(); }

 private:
  static Error none() {
    return {Status::invalid_argument,
            "there is no device here: no driver was found, or HAWSER_DEVICE is none; use tensors of the host"};
  }
};

}  // namespace hawser::device
