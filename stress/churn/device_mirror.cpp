#include "device_mirror.hpp"

#include <cstdlib>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string_view>

#include "hawser_sim_device.h"

namespace hawser::churn {
namespace {

void need(hawserResult_t result) {
  if (result != hawserSuccess) throw std::runtime_error(hawserGetLastError());
}

}  // namespace

void* DeviceMirror::stream_of(std::int32_t device) {
  static std::mutex mutex;
  static std::map<std::int32_t, void*> streams;
  const std::scoped_lock lock(mutex);
  void*& stream = streams[device];
  // They last as long as the process.
  if (stream == nullptr) need(hawserSimDeviceStream(device, &stream));
  return stream;
}

bool DeviceMirror::is_wanted(std::uint64_t call) {
  static const char* const named = std::getenv("HAWSER_DEVICE");
  static const bool is_simulated = named != nullptr && std::string_view(named).starts_with("sim");
  return is_simulated && call % 3 != 0;
}

DeviceMirror::DeviceMirror(GuardedBuffer& buffer, std::int32_t device) : buffer_(buffer) {
  if (device < 0) return;
  stream_ = stream_of(device);
  need(hawserSimDeviceAllocate(device, buffer.all().size_bytes(), &memory_));
  need(hawserSimDeviceWrite(stream_, memory_, buffer.all().data(), buffer.all().size_bytes()));
}

DeviceMirror::~DeviceMirror() { (void)hawserSimDeviceFree(memory_); }

void* DeviceMirror::data() const {
  if (memory_ == nullptr) return buffer_.view().data();
  return static_cast<char*>(memory_) + (reinterpret_cast<char*>(buffer_.view().data()) -
                                        reinterpret_cast<char*>(buffer_.all().data()));
}

void DeviceMirror::fetch_back() {
  if (memory_ == nullptr) return;
  // A call that fails at once has not waited for what was written at first. A failing device has lost it.
  if (hawserSimDeviceSynchronise(stream_) == hawserErrorSystem) return;
  need(hawserSimDeviceCopy(buffer_.all().data(), memory_, buffer_.all().size_bytes()));
}

}  // namespace hawser::churn
