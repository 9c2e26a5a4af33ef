#pragma once

#include <chrono>
#include <memory>

#include "device/devices.hpp"
#include "device/staged_copies.hpp"

namespace hawser::device {

/// A device has not finished its work in time.
Error hangs(int device, std::chrono::milliseconds patience);

/// A stream for whoever waits for its work, with a bound. One thread at a time.
class PatientStream {
 public:
  /// Errors: of Devices::make_stream.
  static Result<std::unique_ptr<PatientStream>> make(Devices& devices, int device, std::chrono::milliseconds patience);
  /// Waits for its work. A stream that hangs is left alone, since nobody can end it.
  ~PatientStream();
  PatientStream(const PatientStream&) = delete;
  PatientStream& operator=(const PatientStream&) = delete;

  /// As StagedCopies::copy, Stream::launch and Stream::record.
  Result<void> copy(std::byte* to, const std::byte* from, std::size_t bytes);
  Result<void> launch(const Launch& launch) { return stream_->launch(launch); }
  Result<std::shared_ptr<Event>> record() { return stream_->record(); }
  /// Waits until the work before that event is done, for as long as the patience says. Error: system, if it failed or
  /// hangs. Afterwards the device may still write to the memory of a stream that hangs.
  Result<void> wait(Event& event);
  bool hangs() const { return hangs_; }

 private:
  PatientStream(Devices& devices, std::unique_ptr<Stream> stream, int device,
                std::chrono::milliseconds patience)
      : copies_(devices, device, patience),
        stream_(std::move(stream)),
        device_(device),
        patience_(patience) {}

  StagedCopies copies_;
  std::unique_ptr<Stream> stream_;
  int device_;
  std::chrono::milliseconds patience_;
  bool hangs_ = false;
};

}  // namespace hawser::device
