#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "base/data_type.hpp"
#include "base/digest128.hpp"
#include "base/quantization.hpp"
#include "base/signature.hpp"

/// Work on payload bytes as a value. An Execution decides what is to be done and never touches a payload itself.
/// Whoever runs a Work needs the memory that it names, a WorkDesk of its own, and nothing else. So it may run on any
/// thread, later, and in any order with other works. Its end is announced to the execution (Execution::worked).
namespace hawser {

/// Of memory: it lies on the host, and on no device.
inline constexpr std::int32_t kOnHost = -1;

/// to = from.
struct CopyBytes {
  const std::byte* from = nullptr;
  std::byte* to = nullptr;
  std::size_t bytes = 0;
  std::uint8_t* done = nullptr;  ///< Unless null: becomes 1 once the copy is whole.
};
/// sum = a op b (kernels/reduce.hpp).
struct Combine {
  enum class Operands { values, accumulators_and_values, accumulators };
  Operands operands = Operands::values;
  DataType type = DataType::float32;
  ReduceOp op = ReduceOp::sum;
  std::byte* sum = nullptr;
  const std::byte* a = nullptr;
  const std::byte* b = nullptr;
  std::uint64_t count = 0;
};
/// sum = the values in the working type, and what earlier calls owe if there is a residual.
struct WidenOwn {
  DataType type = DataType::float32;
  std::byte* sum = nullptr;
  const std::byte* values = nullptr;
  const std::byte* residual = nullptr;  ///< Or null.
  std::uint64_t count = 0;
};
/// sum = own op what `quantized` decodes to.
struct DequantizeCombine {
  Quantization quantization;
  DataType type = DataType::float32;
  ReduceOp op = ReduceOp::sum;
  std::byte* sum = nullptr;
  const std::byte* own = nullptr;
  const std::byte* quantized = nullptr;
  std::uint64_t count = 0;
};
/// The final result from the sum of all contributions, in place; then, where `place` is not null, as values to there.
struct FinishSum {
  bool floats = false;  ///< Accumulators are of the working type, whatever the element type and the op.
  DataType type = DataType::float32;
  ReduceOp op = ReduceOp::sum;
  std::byte* sum = nullptr;
  std::byte* place = nullptr;
  std::uint64_t count = 0;
  std::uint32_t contributors = 0;
};
/// Makes a quantised payload, and keeps what rounding lost. Then, where `place` is not null, what the payload decodes
/// to goes there.
struct QuantizeValues {
  Quantization quantization;
  DataType type = DataType::float32;
  const std::byte* values = nullptr;
  bool widens = false;                  ///< `values` are elements as the caller has them, not of the working type.
  const std::byte* residual = nullptr;  ///< Added to such values; or null.
  std::uint64_t count = 0;
  std::uint64_t seed = 0;
  std::byte* out = nullptr;
  std::byte* next_residual = nullptr;  ///< Or null.
  double residual_scale = 1;
  std::byte* place = nullptr;  ///< May be `values`.
};
/// place = what `quantized` decodes to.
struct DequantizeValues {
  Quantization quantization;
  DataType type = DataType::float32;
  const std::byte* quantized = nullptr;  ///< May begin where `place` does.
  std::size_t quantized_bytes = 0;
  std::byte* place = nullptr;
  std::uint64_t count = 0;
};
/// Fails, and ends the work, unless the bytes have this digest.
struct CheckDigest {
  const std::byte* bytes = nullptr;
  std::size_t count = 0;
  std::uint64_t seed = 0;
  Digest128 wanted;
};
/// As compress_payload: WorkResult::bytes, 0 where it does not pay.
struct CompressPayload {
  const std::byte* from = nullptr;
  std::size_t bytes = 0;
  std::size_t stride = 1;
  std::byte* out = nullptr;
  std::size_t out_bytes_max = 0;
};
/// As decompress_payload; fails, and ends the work, if it does.
struct DecompressPayload {
  const std::byte* from = nullptr;
  std::size_t bytes = 0;
  std::size_t stride = 1;
  std::byte* out = nullptr;
  std::size_t out_bytes = 0;
};

using WorkStep = std::variant<CopyBytes, Combine, WidenOwn, DequantizeCombine, FinishSum, QuantizeValues,
                              DequantizeValues, CheckDigest, CompressPayload, DecompressPayload>;

/// Steps in their order, on one chunk: what one leaves in the cache, the next finds there.
struct Work {
  std::vector<WorkStep> steps;
  std::size_t bytes = 0;  ///< About how many it touches: whether handing it to another thread pays.
  /// Not kOnHost: this device does all steps (device/work_queue.hpp). Their memory lies there, but for quantised
  /// payloads and for one side of a CopyBytes, which lie on the host. Such works of one call begin in the order in
  /// which they were asked for, as far as they are of one kind: copies to the host, copies to or on the device, and
  /// others.
  std::int32_t device = kOnHost;
};

struct WorkResult {
  bool right = true;      ///< No step failed.
  std::size_t bytes = 0;  ///< Of a CompressPayload.
};

/// What a thread that runs works has to itself: two buffers, each as large as the largest chunk it has seen needs.
class WorkDesk {
 public:
  std::byte* first(std::size_t bytes) { return buffer(buffers_[0], bytes); }
  std::byte* second(std::size_t bytes) { return buffer(buffers_[1], bytes); }

 private:
  struct Buffer {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size = 0;
  };
  static std::byte* buffer(Buffer& buffer, std::size_t bytes);
  Buffer buffers_[2];
};

/// Runs all steps. Blocks for as long as they take: about `work.bytes` of memory traffic. Throws bad_alloc where there
/// is no memory for the desk; earlier steps are done then.
WorkResult run(const Work& work, WorkDesk& desk);

}  // namespace hawser
