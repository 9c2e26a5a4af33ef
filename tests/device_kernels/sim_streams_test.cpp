#include <memory>

#include "compared.hpp"
#include "device/sim_devices.hpp"
#include "device_kernels/launches.hpp"
#include "kernels/content_digest.hpp"
#include "kernels/quantize.hpp"

// A few launches on streams of the simulated device, which checks all memory that they name.

namespace hawser::device_kernels {
namespace {

class SimulatedGpu {
 public:
  SimulatedGpu()
      : devices_(device::SimDevices::make({.devices = 1, .delay_most = std::chrono::microseconds(0)})),
        stream_(std::move(*devices_->make_stream(0))) {}

  std::byte* hold(const std::vector<std::byte>& content) {
    held_.push_back(std::move(*devices_->allocate(0, std::max<std::size_t>(content.size(), 1))));
    if (!content.empty()) devices_->copy_now(held_.back()->bytes(), content.data(), content.size());
    return held_.back()->bytes();
  }
  std::byte* hold(std::size_t bytes) { return hold(std::vector<std::byte>(bytes)); }
  void run(const std::vector<device::Launch>& launches) {
    for (const device::Launch& launch : launches) {
      REQUIRE(devices_->runs(*launch.kernel));
      REQUIRE(stream_->launch(launch).ok());
    }
    auto event = stream_->record();
    REQUIRE(event.ok());
    const auto done = (*event)->wait(std::chrono::minutes(5));
    REQUIRE((done.ok() && *done));
  }
  std::vector<std::byte> read(const std::byte* at, std::size_t bytes) {
    std::vector<std::byte> content(bytes);
    if (bytes != 0) devices_->copy_now(content.data(), at, bytes);
    return content;
  }

 private:
  std::unique_ptr<device::SimDevices> devices_;
  std::vector<std::unique_ptr<device::Memory>> held_;
  std::unique_ptr<device::Stream> stream_;  ///< Last: it uses the memory.
};

}  // namespace

TEST_CASE("a stream quantises, combines, decodes and narrows") {
  Random random(1);
  std::size_t compared = 0;
  for (const Quantization& q :
       {Quantization{.scheme = QuantizationScheme::min_max, .type = QuantizedType::int8},
        Quantization{.scheme = QuantizationScheme::zero_point_scale, .type = QuantizedType::uint16, .stochastic = true},
        Quantization{.scheme = QuantizationScheme::blockwise, .type = QuantizedType::int4, .block = 64},
        Quantization{.scheme = QuantizationScheme::cast, .type = QuantizedType::bfloat16, .stochastic = true}})
    for (const std::size_t count : {1U, 777U, 5000U}) {
      constexpr DataType kType = DataType::float32;
      const auto values = bytes_of(any_values<float>(count, random));
      const auto own = bytes_of(any_values<float>(count, random));
      std::vector<std::byte> payload(quantized_bytes(q, kType, count));
      std::vector<std::byte> sum(own.size());
      hawser::quantize(q, kType, values.data(), count, 7, payload.data(), nullptr);
      hawser::dequantize_combine(q, kType, ReduceOp::sum, sum.data(), own.data(), payload.data(), count);

      SimulatedGpu gpu;
      std::byte* const on_device = gpu.hold(values);
      std::byte* const quantized = gpu.hold(payload.size());
      std::byte* const to = gpu.hold(own);
      std::vector<device::Launch> launches;
      quantize(launches, q, kType, on_device, count, 7, quantized, on_device,
               gpu.hold(quantize_scratch_bytes(q, kType, count)));
      dequantize_combine(launches, q, kType, ReduceOp::sum, to, to, quantized, count);
      gpu.run(launches);
      REQUIRE(gpu.read(quantized, payload.size()) == payload);
      require_same(kType, gpu.read(to, sum.size()), sum);
      ++compared;
    }
  CHECK(compared == 12);
}

TEST_CASE("a stream reduces, steps, gathers and digests") {
  constexpr std::size_t kCount = 3001;
  constexpr DataType kType = DataType::bfloat16;
  Random random(2);
  const auto a = any_elements(kType, kCount, random);
  const auto b = any_elements(kType, kCount, random);
  std::vector<std::byte> mean(kCount * sizeof(float));
  hawser::combine_values(kType, ReduceOp::avg, mean.data(), a.data(), b.data(), kCount);
  hawser::finish(kType, ReduceOp::avg, mean.data(), kCount, 2);
  std::vector<std::byte> narrow(kCount * 2);
  hawser::narrow(kType, ReduceOp::avg, narrow.data(), mean.data(), kCount);
  auto packed = narrow;
  packed.insert(packed.end(), a.begin(), a.end());
  std::vector<std::byte> digest;
  append_digest(digest_slice(packed, 3), digest);

  SimulatedGpu gpu;
  std::byte* const left = gpu.hold(a);
  std::byte* const sums = gpu.hold(mean.size());
  std::byte* const result = gpu.hold(narrow.size());
  std::byte* const gathered = gpu.hold(packed.size());
  std::byte* const digests = gpu.hold(digest.size());
  std::vector<device::Launch> launches;
  combine_values(launches, kType, ReduceOp::avg, sums, left, gpu.hold(b), kCount);
  finish(launches, kType, ReduceOp::avg, sums, kCount, 2);
  hawser::device_kernels::narrow(launches, kType, ReduceOp::avg, result, sums, kCount);
  const Segment segments[] = {{result, narrow.size()}, {left, a.size()}};
  gather(launches, segments, gathered);
  digest_slices(launches, gathered, packed.size(), 3, digests);
  gpu.run(launches);
  CHECK(gpu.read(gathered, packed.size()) == packed);
  CHECK(gpu.read(digests, digest.size()) == digest);
}

}  // namespace hawser::device_kernels
