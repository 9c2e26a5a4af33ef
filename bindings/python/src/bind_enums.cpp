#include <hawser.h>
#include <hawser_shared_state.h>

#include "bind.hpp"

namespace nb = nanobind;

namespace hawser_python {

void bind_enums(nb::module_& module) {
  nb::enum_<hawserDataType_t>(module, "DataType", "Types of elements that travel.")
      .value("FLOAT32", hawserFloat32)
      .value("FLOAT64", hawserFloat64)
      .value("FLOAT16", hawserFloat16)
      .value("BFLOAT16", hawserBfloat16)
      .value("INT8", hawserInt8)
      .value("UINT8", hawserUint8)
      .value("INT16", hawserInt16)
      .value("UINT16", hawserUint16)
      .value("INT32", hawserInt32)
      .value("UINT32", hawserUint32)
      .value("INT64", hawserInt64)
      .value("UINT64", hawserUint64);

  nb::enum_<hawserReduceOp_t>(
      module, "ReduceOp",
      "How elements are combined. 16-bit floats are kept in float32 on the way and rounded "
      "once; sums and products of integers wrap.")
      .value("SUM", hawserSum)
      .value("AVG", hawserAvg,
             "Sum divided by the number of contributors, once; integers: to nearest, ties to even.")
      .value("PROD", hawserProd)
      .value("MAX", hawserMax, "A NaN in any input gives NaN.")
      .value("MIN", hawserMin, "A NaN in any input gives NaN.");

  nb::enum_<hawserPlan_t>(module, "Plan", "How data travels. The same on all members.")
      .value("AUTO", hawserPlanAuto, "Chosen per call, from size and measured links.")
      .value("RING", hawserPlanRing)
      .value("DIRECT", hawserPlanDirect)
      .value("HIERARCHICAL", hawserPlanHierarchical);

  nb::enum_<hawserQuantizationScheme_t>(module, "QuantizationScheme",
                                        "docs/quantization.md has the formulas.")
      .value("NONE", hawserQuantizeNone)
      .value("MIN_MAX", hawserQuantizeMinMax)
      .value("ZERO_POINT_SCALE", hawserQuantizeZeroPointScale)
      .value("BLOCKWISE", hawserQuantizeBlockwise)
      .value("CAST", hawserQuantizeCast);

  nb::enum_<hawserQuantizedType_t>(module, "QuantizedType", "What quantised values travel as.")
      .value("UINT8", hawserToUint8)
      .value("INT8", hawserToInt8)
      .value("UINT16", hawserToUint16)
      .value("INT4", hawserToInt4)
      .value("BFLOAT16", hawserToBfloat16)
      .value("FLOAT16", hawserToFloat16);

  nb::enum_<hawserSyncStrategy_t>(module, "SyncStrategy", "What a member does in a synchronisation.")
      .value("ENFORCE_POPULAR", hawserSyncEnforcePopular,
             "Offers its content, and takes the elected one: of the highest revision the one that most hold.")
      .value("SEND_ONLY", hawserSyncSendOnly, "Offers its content, and never takes another.")
      .value("RECEIVE_ONLY", hawserSyncReceiveOnly, "Offers nothing, and takes the elected content.");

  nb::enum_<hawserLogLevel_t>(module, "LogLevel", "From which level on the library logs.")
      .value("OFF", hawserLogOff)
      .value("ERROR", hawserLogError)
      .value("WARNING", hawserLogWarning)
      .value("NOTICE", hawserLogNotice)
      .value("INFO", hawserLogInfo)
      .value("DEBUG", hawserLogDebug);
}

}  // namespace hawser_python
