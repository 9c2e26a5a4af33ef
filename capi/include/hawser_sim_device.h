/** @file hawser_sim_device.h
 * The simulated device: HAWSER_DEVICE=sim in the environment. It stands in for GPUs where there are none: its memory
 * faults (SIGSEGV) when the host touches it, its streams are late and asynchronous, and they fail if asked to. Tests of
 * programs with tensors on devices run on it. The conventions of hawser.h hold. All functions may be called from any
 * thread; each fails with InvalidUsage without HAWSER_DEVICE=sim.
 *
 * Options follow a colon, as in HAWSER_DEVICE=sim:seed=7,gbit=100: `seed` of delays and failures, `devices` (2), `gbit`
 * per second and stream (without: as fast as the host), `delay_us` (200: each piece of work waits up to so long),
 * `fails` (one in so many pieces of work fails, and with it its stream), `mib` of each device (4096),
 * `kernels=0` (as GPUs for which this build has no code).
 */
#ifndef HAWSER_SIM_DEVICE_H
#define HAWSER_SIM_DEVICE_H

#include "hawser.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Memory on a device. Errors: InvalidArgument (null, no such device), System (the device is full). */
HAWSER_API hawserResult_t hawserSimDeviceAllocate(int32_t device, uint64_t bytes, void** memory);

/** Null is allowed. Streams may have work on it, which goes on. Errors: InvalidArgument (it was not allocated here). */
HAWSER_API hawserResult_t hawserSimDeviceFree(void* memory);

/** Copies at once, past all streams, wherever the bytes lie. Errors: InvalidArgument (null, beyond an allocation). */
HAWSER_API hawserResult_t hawserSimDeviceCopy(void* to, const void* from, uint64_t bytes);

/** A stream for the options of collectives. It lasts as long as the process. Errors: InvalidArgument. */
HAWSER_API hawserResult_t hawserSimDeviceStream(int32_t device, void** stream);

/** Writes to a device's memory when the stream gets there. `from` is read before the call returns. Null stream: the
 *  device's default one. Errors: InvalidArgument. */
HAWSER_API hawserResult_t hawserSimDeviceWrite(void* stream, void* to, const void* from, uint64_t bytes);

/** Blocks until the stream has done what is on it: a few delays. Errors: InvalidArgument (null, no such stream), System
 * (its work failed), Timeout (after a minute). */
HAWSER_API hawserResult_t hawserSimDeviceSynchronise(void* stream);

/** From now on all work on the device fails, that of callers' streams too: what a broken GPU does. For the rest of the
 *  process. Errors: InvalidArgument (no such device). */
HAWSER_API hawserResult_t hawserSimDeviceBreak(int32_t device);

/** From now on the library's work on the device does not end. For the rest of the process. Errors: InvalidArgument. */
HAWSER_API hawserResult_t hawserSimDeviceHang(int32_t device);

/** Fill with HAWSER_SIM_DEVICE_COUNTERS_INIT. */
typedef struct hawserSimDeviceCounters {
  size_t size;
  uint64_t bytes_down;        /**< From devices to the host, by collectives. */
  uint64_t bytes_up;          /**< The other way. */
  uint64_t pinned_bytes_most; /**< The most pinned memory at one time, of all communicators together. */
  uint64_t launches;          /**< Of kernels. */
} hawserSimDeviceCounters_t;

#define HAWSER_SIM_DEVICE_COUNTERS_INIT {sizeof(hawserSimDeviceCounters_t), 0, 0, 0, 0}

/** Of this process so far. Errors: InvalidArgument (null, no size). */
HAWSER_API hawserResult_t hawserSimDeviceCount(hawserSimDeviceCounters_t* counters);

#ifdef __cplusplus
}
#endif

#endif
