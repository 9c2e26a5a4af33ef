#include "runtime/device_tensors.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace hawser {
namespace {

/// While a caller's stream is waited for, the end of the communicator is looked for so often.
constexpr std::chrono::milliseconds kAskEvery{50};
constexpr std::size_t kPoolBytes = 2 * DeviceTensors::kReadersMost * DeviceTensors::kPieceBytes;

}  // namespace

std::unique_ptr<DeviceTensors> DeviceTensors::of(const std::vector<StateTensor>& tensors, device::Devices& devices) {
  std::set<std::int32_t> used;
  for (const StateTensor& tensor : tensors)
    if (tensor.device != kOnHost) used.insert(tensor.device);
  if (used.empty()) return nullptr;
  return std::unique_ptr<DeviceTensors>(new DeviceTensors(std::move(used), devices));
}

DeviceTensors::DeviceTensors(std::set<std::int32_t> used, device::Devices& devices)
    : used_(std::move(used)), devices_(devices), pool_(device::MemoryPool::pinned(devices, kPoolBytes)) {}

DeviceTensors::~DeviceTensors() {
  if (hung_ == kOnHost) return;
  pool_->lose();
  // To free memory of a device that hangs means to wait for it.
  if (const auto found = digests_.find(hung_); found != digests_.end()) static_cast<void>(found->second.release());
}

Result<void> DeviceTensors::begin(std::uintptr_t stream, std::chrono::milliseconds patience,
                                  const std::function<Result<void>()>& go_on) {
  patience_ = patience;
  std::vector<std::shared_ptr<device::Event>> first;
  bool is_known = stream == 0;
  Result<void> refused;
  for (const std::int32_t device : used_) {
    auto recorded = devices_.record_on(device, stream);
    if (recorded.ok()) {
      is_known = true;
    } else {
      refused = recorded.error();
      recorded = devices_.record_on(device, 0);
    }
    if (!recorded.ok()) return recorded.error();
    first.push_back(std::move(*recorded));
  }
  if (!is_known) return refused;
  for (const std::shared_ptr<device::Event>& event : first)
    while (true) {
      const auto come = event->wait(kAskEvery);
      if (!come.ok()) return come.error();
      if (*come) break;
      if (const auto may = go_on(); !may.ok()) return may;
    }
  return {};
}

Result<std::unique_ptr<device::PatientStream>> DeviceTensors::make_stream(std::int32_t device) {
  if (device == hung_) return device::hangs(device, patience_);
  return device::PatientStream::make(devices_, device, patience_);
}

Result<void> DeviceTensors::wait(std::int32_t device, device::PatientStream& stream, device::Event& event) {
  auto done = stream.wait(event);
  if (stream.hangs()) hung_ = device;
  return done;
}

/// With what is under way on it, before the memory of that goes.
void DeviceTensors::end(std::int32_t device, std::unique_ptr<device::PatientStream> stream) noexcept try {
  if (!stream) return;
  if (stream->hangs()) {
    hung_ = device;
    return;
  }
  const auto last = stream->record();
  // Of a stream that failed nothing is under way.
  if (last.ok()) static_cast<void>(wait(device, *stream, **last));
} catch (...) {
  // Without memory for an event the stream waits at its end, without a bound.
}

PooledBuffer DeviceTensors::take() {
  if (hung_ != kOnHost) return {new std::byte[kPieceBytes], BufferFree{.bytes = kPieceBytes}};
  return pool_->take_reserved(kPieceBytes);
}

Result<void> DeviceTensors::copy(std::int32_t device, const CopyBytes& copy) {
  const auto to = devices_.where(copy.to, copy.bytes);
  if (!to.ok()) return to.error();
  if (*to == device::kHost) {
    Reader reader(*this);
    if (const auto begun = reader.begin(device, {copy.from, copy.bytes}); !begun.ok()) return begun;
    for (std::size_t done = 0; done < copy.bytes;) {
      const auto piece = reader.next();
      if (!piece.ok()) return piece.error();
      std::memcpy(copy.to + done, piece->data(), piece->size());
      done += piece->size();
    }
    return {};
  }
  Writer writer(*this, {copy.to, copy.bytes});
  if (const auto begun = writer.begin(device); !begun.ok()) return begun;
  for (std::size_t done = 0; done < copy.bytes;) {
    const auto room = writer.room();
    if (!room.ok()) return room.error();
    std::memcpy(room->data(), copy.from + done, room->size());
    done += room->size();
    if (const auto filled = writer.filled(); !filled.ok()) return filled;
  }
  return writer.finish();
}

Result<std::unique_ptr<ContentReader>> DeviceTensors::read(const StateTensor& tensor) {
  auto reader = std::make_unique<Reader>(*this);
  if (const auto begun = reader->begin(tensor.device, {tensor.data, tensor.bytes()}); !begun.ok()) return begun.error();
  return std::unique_ptr<ContentReader>(std::move(reader));
}

Result<std::unique_ptr<ContentWriter>> DeviceTensors::write(const StateTensor& tensor) {
  auto writer = std::make_unique<Writer>(*this, std::span(tensor.data, tensor.bytes()));
  if (const auto begun = writer->begin(tensor.device); !begun.ok()) return begun.error();
  return std::unique_ptr<ContentWriter>(std::move(writer));
}

// ------------------------------------------------------------------------------------------ the reader

Result<void> DeviceTensors::Reader::begin(std::int32_t device, std::span<const std::byte> content) {
  auto& stream = streams_[device];
  if (!stream) {
    auto made = owner_.make_stream(device);
    if (!made.ok()) return made.error();
    stream = std::move(*made);
  }
  device_ = device;
  left_ = content;
  oldest_ = 0;
  for (Piece& piece : pieces_) {
    if (!piece.buffer) piece.buffer = owner_.take();
    piece.here.reset();
  }
  return fetch(pieces_[0]);
}

DeviceTensors::Reader::~Reader() {
  for (auto& [device, stream] : streams_) owner_.end(device, std::move(stream));
}

/// Begins the next piece, if there is one.
Result<void> DeviceTensors::Reader::fetch(Piece& piece) {
  piece.here.reset();
  piece.bytes = std::min(left_.size(), kPieceBytes);
  if (piece.bytes == 0) return {};
  device::PatientStream& stream = *streams_.at(device_);
  if (const auto begun = stream.copy(piece.buffer.get(), left_.data(), piece.bytes); !begun.ok()) return begun;
  auto event = stream.record();
  if (!event.ok()) return event.error();
  piece.here = std::move(*event);
  left_ = left_.subspan(piece.bytes);
  return {};
}

Result<std::span<const std::byte>> DeviceTensors::Reader::next() {
  Piece& piece = pieces_[oldest_];
  oldest_ = 1 - oldest_;
  // While the caller has this one, the other one comes.
  if (const auto begun = fetch(pieces_[oldest_]); !begun.ok()) return begun.error();
  if (!piece.here) return std::span<const std::byte>();
  if (const auto here = owner_.wait(device_, *streams_.at(device_), *piece.here); !here.ok()) return here.error();
  return std::span<const std::byte>(piece.buffer.get(), piece.bytes);
}

// ------------------------------------------------------------------------------------------ the writer

DeviceTensors::Writer::~Writer() { owner_.end(device_, std::move(stream_)); }

Result<void> DeviceTensors::Writer::begin(std::int32_t device) {
  device_ = device;
  auto made = owner_.make_stream(device);
  if (!made.ok()) return made.error();
  stream_ = std::move(*made);
  for (Piece& piece : pieces_) piece.buffer = owner_.take();
  return {};
}

Result<void> DeviceTensors::Writer::wait(Piece& piece) {
  if (!piece.gone) return {};
  return owner_.wait(device_, *stream_, *std::exchange(piece.gone, nullptr));
}

Result<std::span<std::byte>> DeviceTensors::Writer::room() {
  Piece& piece = pieces_[oldest_];
  if (const auto free = wait(piece); !free.ok()) return free.error();
  return std::span(piece.buffer.get(), next_bytes());
}

Result<void> DeviceTensors::Writer::filled() {
  Piece& piece = pieces_[oldest_];
  const std::size_t bytes = next_bytes();
  if (const auto begun = stream_->copy(left_.data(), piece.buffer.get(), bytes); !begun.ok()) return begun;
  auto event = stream_->record();
  if (!event.ok()) return event.error();
  piece.gone = std::move(*event);
  left_ = left_.subspan(bytes);
  oldest_ = 1 - oldest_;
  return {};
}

Result<void> DeviceTensors::Writer::finish() {
  for (Piece& piece : pieces_)
    if (const auto gone = wait(piece); !gone.ok()) return gone;
  return {};
}

}  // namespace hawser
