#include "pccl_reductions.hpp"

#include "pccl_handles.hpp"
#include "pccl_results.hpp"

namespace hawser_pccl {
namespace {

std::optional<hawserReduceOp_t> op_of(pcclRedOp_t op) {
  switch (static_cast<int>(op)) {
    case pcclSum: return hawserSum;
    case pcclAvg: return hawserAvg;
    case pcclProd: return hawserProd;
    case pcclMax: return hawserMax;
    case pcclMin: return hawserMin;
  }
  return std::nullopt;
}

std::optional<hawserQuantization_t> quantization_of(const pcclQuantizationOptions_t& options) {
  hawserQuantization_t quantization{};
  switch (static_cast<int>(options.algorithm)) {
    case pcclQuantNone: return quantization;
    case pcclQuantMinMax: quantization.scheme = hawserQuantizeMinMax; break;
    case pcclQuantZeroPointScale: quantization.scheme = hawserQuantizeZeroPointScale; break;
    default: return std::nullopt;
  }
  switch (static_cast<int>(options.quantized_datatype)) {
    case pcclUint8: quantization.type = hawserToUint8; return quantization;
    case pcclInt8: quantization.type = hawserToInt8; return quantization;
    case pcclUint16: quantization.type = hawserToUint16; return quantization;
  }
  return std::nullopt;
}

}  // namespace

std::optional<hawserDataType_t> type_of(pcclDataType_t type) {
  switch (static_cast<int>(type)) {
    case pcclUint8: return hawserUint8;
    case pcclInt8: return hawserInt8;
    case pcclInt16: return hawserInt16;
    case pcclUint16: return hawserUint16;
    case pcclUint32: return hawserUint32;
    case pcclInt32: return hawserInt32;
    case pcclUint64: return hawserUint64;
    case pcclInt64: return hawserInt64;
    case pcclFloat16: return hawserFloat16;
    case pcclBFloat16: return hawserBfloat16;
    case pcclFloat: return hawserFloat32;
    case pcclDouble: return hawserFloat64;
  }
  return std::nullopt;
}

std::optional<Reduction> reduction_of(const pcclReduceDescriptor_t& descriptor) {
  const auto refuse = [](const char* sentence) {
    fail(pcclInvalidArgument, sentence);
    return std::nullopt;
  };
  const auto type = type_of(descriptor.src_descriptor.datatype);
  if (!type) return refuse("there is no such data type; use one of pcclDataType_t");
  const auto op = op_of(descriptor.op);
  if (!op) return refuse("there is no such operation; use one of pcclRedOp_t");
  const auto quantization = quantization_of(descriptor.quantization_options);
  if (!quantization)
    return refuse("there is no such quantisation; use pcclQuantMinMax or pcclQuantZeroPointScale to pcclUint8, "
                  "pcclInt8 or pcclUint16");
  if (descriptor.tag >= kTakenTagFirst) return refuse("the four highest tags are taken; use a lower one");
  Reduction reduction{.count = descriptor.count, .type = *type, .options = HAWSER_ALL_REDUCE_OPTIONS_INIT};
  reduction.options.op = *op;
  reduction.options.tag = descriptor.tag;
  reduction.options.quantization = *quantization;
  return reduction;
}

}  // namespace hawser_pccl
