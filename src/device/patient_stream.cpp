#include "device/patient_stream.hpp"

#include <string>
#include <utility>

namespace hawser::device {

Error hangs(int device, std::chrono::milliseconds patience) {
  return {Status::system, "device " + std::to_string(device) + " has not finished its work within " +
                              std::to_string(patience.count()) + " ms: it hangs"};
}

Result<std::unique_ptr<PatientStream>> PatientStream::make(Devices& devices, int device,
                                                           std::chrono::milliseconds patience) {
  auto stream = devices.make_stream(device);
  if (!stream.ok()) return stream.error();
  return std::unique_ptr<PatientStream>(new PatientStream(devices, std::move(*stream), device, patience));
}

PatientStream::~PatientStream() {
  if (!hangs_) return;
  copies_.lose();
  static_cast<void>(stream_.release());
}

Result<void> PatientStream::copy(std::byte* to, const std::byte* from, std::size_t bytes) {
  auto copied = copies_.copy(*stream_, to, from, bytes);
  hangs_ = hangs_ || copies_.hangs();
  return copied;
}

Result<void> PatientStream::wait(Event& event) {
  if (hangs_) return device::hangs(device_, patience_);
  const auto come = event.wait(patience_);
  if (!come.ok()) return come.error();
  hangs_ = !*come;
  if (hangs_) return device::hangs(device_, patience_);
  return {};
}

}  // namespace hawser::device
