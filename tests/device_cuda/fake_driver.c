/* A libcuda.so.1 for machines without one: two GPUs whose memory is the host's. It is strict about what is
 * easy to get wrong: calls need the right context, copies stay within one allocation, events are late and
 * stand behind what their stream waits for. What a real driver does otherwise, only a real one shows. With
 * FAKE_IS_OLD it lacks what drivers before CUDA 11.7 lack. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int Result;
enum {
  kSuccess = 0,
  kInvalidValue = 1,
  kNotInitialised = 3,
  kInvalidContext = 201,
  kInvalidHandle = 400,
  kNotReady = 600
};
enum { kDevices = 2, kAllocations = 1024, kGates = 16384, kDepth = 16 };

typedef struct {
  uintptr_t at;
  size_t size;
  int device; /* -1: pinned. */
  int managed;
  size_t whole; /* Of the first mapping of an allocation: the bytes of all. */
  int legacy;   /* No mapping, and of no pool. */
} Allocation;
typedef struct {
  int device;
} Context;
typedef struct {
  int device;
} Stream;
typedef struct {
  int device;
  int asked;
  void* stream;
  int gates; /* That were there when it was recorded. */
} Event;
typedef struct {
  void* stream; /* Or the context of a default stream. */
  const _Atomic uint32_t* word;
  uint32_t number;
} Gate;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int initialised;
static Allocation allocations[kAllocations];
static Context contexts[kDevices] = {{0}, {1}};
static _Thread_local Context* stack[kDepth];
static _Thread_local int depth;

static Gate gates[kGates];
static atomic_int gate_count;

static Context* current(void) { return depth > 0 ? stack[depth - 1] : NULL; }
static void* stream_of(void* stream) { return stream != NULL ? stream : current(); }

/* Of the first so many gates: whether that stream, or any, stands at one. */
static int stands_at_gate(void* stream, int count) {
  int stands = 0;
  pthread_mutex_lock(&mutex);
  for (int i = 0; i < count && !stands; ++i)
    stands = (stream == NULL || gates[i].stream == stream) && *gates[i].word < gates[i].number;
  pthread_mutex_unlock(&mutex);
  return stands;
}

/* For tests: whatever may wait for all streams waits at their gates, and after 5 s has waited in vain. */
static atomic_int waits_for_gates;
static atomic_int waiting;
static atomic_int waited_in_vain;
void fake_wait_for_gates(int waits) { waits_for_gates = waits; }
int fake_waiting(void) { return waiting; }
int fake_waited_in_vain(void) { return waited_in_vain; }
static void synchronise(void) {
  const struct timespec pause = {0, 1000000};
  ++waiting;
  for (int i = 0; waits_for_gates && stands_at_gate(NULL, gate_count); ++i) {
    nanosleep(&pause, NULL);
    if (i == 5000) {
      ++waited_in_vain;
      break;
    }
  }
  --waiting;
}

/* With the mutex. */
static Allocation* find(uintptr_t at) {
  for (int i = 0; i < kAllocations; ++i)
    if (allocations[i].size > 0 && at >= allocations[i].at && at < allocations[i].at + allocations[i].size)
      return &allocations[i];
  return NULL;
}

/* For tests: its memory is made of mappings of at most so many bytes; of one, where that is 0. */
static size_t mapping_bytes;
void fake_map_by(size_t bytes) { mapping_bytes = bytes; }

/* A mapping is what has a size. With the mutex. */
static Result map(uintptr_t at, size_t size, int device, size_t whole, int legacy) {
  for (int i = 0; i < kAllocations; ++i) {
    if (allocations[i].size > 0) continue;
    allocations[i] = (Allocation){at, size, device, 0, whole, legacy};
    return kSuccess;
  }
  return 2;
}

static Result allocate(size_t bytes, int device, int of_pool, uintptr_t* at) {
  Result result = 2;
  pthread_mutex_lock(&mutex);
  *at = (uintptr_t)malloc(bytes);
  for (size_t done = 0; *at != 0 && done < bytes;) {
    const size_t left = bytes - done;
    const size_t size = device >= 0 && mapping_bytes > 0 && mapping_bytes < left ? mapping_bytes : left;
    result = map(*at + done, size, device, done == 0 ? bytes : 0, !of_pool && size == bytes);
    if (result != kSuccess) break;
    done += size;
  }
  pthread_mutex_unlock(&mutex);
  return result;
}

static Result release(uintptr_t at) {
  pthread_mutex_lock(&mutex);
  Allocation* const one = find(at);
  const Result result = one != NULL && one->at == at && one->whole > 0 ? kSuccess : kInvalidValue;
  if (result == kSuccess) {
    const uintptr_t end = at + one->whole;
    for (int i = 0; i < kAllocations; ++i)
      if (allocations[i].at >= at && allocations[i].at < end) allocations[i].size = 0;
    free((void*)at);
  }
  pthread_mutex_unlock(&mutex);
  return result;
}

/* For tests: memory becomes two allocations, one right behind the other. */
void fake_divide(void* at, size_t first) {
  pthread_mutex_lock(&mutex);
  Allocation* const one = find((uintptr_t)at);
  map(one->at + first, one->size - first, one->device, 0, one->legacy);
  one->size = first;
  pthread_mutex_unlock(&mutex);
}

/* For tests: memory becomes managed; what is put on a stream next, or on a caller's, fails. */
void fake_manage(void* at) {
  pthread_mutex_lock(&mutex);
  find((uintptr_t)at)->managed = 1;
  pthread_mutex_unlock(&mutex);
}
static _Atomic int next_result;
void fake_fail_next(int result) { next_result = result; }
static Result planned_failure(void) {
  const int result = next_result;
  next_result = 0;
  return result;
}

/* What tests count: contexts that a thread has left behind. */
int fake_depth(void) { return depth; }

Result cuInit(unsigned flags) {
  initialised = flags == 0;
  return initialised ? kSuccess : kInvalidValue;
}
Result cuDeviceGetCount(int* count) {
  *count = kDevices;
  return initialised ? kSuccess : kNotInitialised;
}
Result cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return ordinal >= 0 && ordinal < kDevices ? kSuccess : 101;
}
Result cuDevicePrimaryCtxRetain(void** context, int device) {
  *context = &contexts[device];
  return kSuccess;
}
Result cuCtxPushCurrent_v2(void* context) {
  if (depth == kDepth) return kInvalidContext;
  stack[depth++] = context;
  return kSuccess;
}
Result cuCtxPopCurrent_v2(void** context) {
  if (depth == 0) return kInvalidContext;
  *context = stack[--depth];
  return kSuccess;
}
Result cuPointerGetAttribute(void* value, int attribute, unsigned long long address) {
  pthread_mutex_lock(&mutex);
  const Allocation* const one = initialised ? find((uintptr_t)address) : NULL;
  if (one != NULL && attribute == 2) *(unsigned*)value = one->device < 0 ? 1 : 2;
  if (one != NULL && attribute == 8) *(unsigned*)value = one->managed;
  pthread_mutex_unlock(&mutex);
  return one != NULL ? kSuccess : kInvalidValue;
}
Result cuPointerGetAttributes(unsigned count, const int* attributes, void** values, unsigned long long address) {
  if (!initialised) return kNotInitialised;
  pthread_mutex_lock(&mutex);
  const Allocation* const one = find((uintptr_t)address);
  for (unsigned i = 0; i < count; ++i) switch (attributes[i]) {
      /* Managed memory counts as the host's where the driver was asked for its type. */
      case 2: *(unsigned*)values[i] = one == NULL ? 0 : one->device < 0 || one->managed ? 1 : 2; break;
      case 8: *(unsigned*)values[i] = one != NULL && one->managed; break;
      case 9: *(int*)values[i] = one == NULL ? -2 : one->device; break;
      case 10: *(unsigned*)values[i] = one != NULL && one->legacy && !one->managed; break;
      case 11: *(unsigned long long*)values[i] = one == NULL ? 0 : one->at; break;
      case 12: *(size_t*)values[i] = one == NULL ? 0 : one->size; break;
      default: abort();
    }
  pthread_mutex_unlock(&mutex);
  return kSuccess;
}
Result cuStreamCreate(void** stream, unsigned flags) {
  if (current() == NULL) return kInvalidContext;
  if (flags != 1) return kInvalidValue;
  synchronise();
  Stream* const made = malloc(sizeof *made);
  made->device = current()->device;
  *stream = made;
  return kSuccess;
}
Result cuStreamDestroy_v2(void* stream) {
  free(stream);
  return kSuccess;
}
Result cuStreamSynchronize(void* stream) {
  (void)stream;
  return current() == NULL ? kInvalidContext : kSuccess;
}
Result cuStreamWaitEvent(void* stream, void* event, unsigned flags) {
  (void)event;
  return stream == NULL || current() == NULL || flags != 0 ? kInvalidHandle : kSuccess;
}
Result cuEventCreate(void** event, unsigned flags) {
  if (current() == NULL) return kInvalidContext;
  if (flags != 2) return kInvalidValue;
  Event* const made = malloc(sizeof *made);
  made->device = current()->device;
  made->asked = 0;
  *event = made;
  return kSuccess;
}
Result cuEventDestroy_v2(void* event) {
  free(event);
  return kSuccess;
}
/* A null stream is the default one of the current context. */
Result cuEventRecord(void* event, void* stream) {
  const int device = stream != NULL ? ((Stream*)stream)->device : current() != NULL ? current()->device : -1;
  const Result failure = planned_failure();
  if (failure != kSuccess) return failure;
  ((Event*)event)->stream = stream_of(stream);
  ((Event*)event)->gates = gate_count;
  return ((Event*)event)->device == device ? kSuccess : kInvalidHandle;
}
Result cuEventQuery(void* event) {
  const Event* const one = event;
  return ((Event*)event)->asked++ < 250 || stands_at_gate(one->stream, one->gates) ? kNotReady : kSuccess;
}
Result cuMemcpyAsync(unsigned long long to, unsigned long long from, size_t bytes, void* stream) {
  if (current() == NULL || stream == NULL) return kInvalidContext;
  const Result failure = planned_failure();
  if (failure != kSuccess) return failure;
  const int device = ((Stream*)stream)->device;
  Result result = kSuccess;
  int on_device = 0;
  pthread_mutex_lock(&mutex);
  const unsigned long long sides[2] = {to, from};
  for (int i = 0; i < 2; ++i) {
    const Allocation* one = find((uintptr_t)sides[i]);
    if (one == NULL || one->device < 0) continue;
    on_device = 1;
    while (one != NULL && one->device == device && sides[i] + bytes > one->at + one->size)
      one = find(one->at + one->size);
    if (one == NULL || one->device != device) result = kInvalidValue;
  }
  pthread_mutex_unlock(&mutex);
  if (result == kSuccess && !on_device) result = kInvalidValue;
  if (result == kSuccess) memcpy((void*)(uintptr_t)to, (const void*)(uintptr_t)from, bytes);
  return result;
}
Result cuMemAlloc_v2(unsigned long long* at, size_t bytes) {
  if (current() == NULL) return kInvalidContext;
  const Result failure = planned_failure();
  if (failure != kSuccess) return failure;
  synchronise();
  uintptr_t made = 0;
  const Result result = allocate(bytes, current()->device, 0, &made);
  *at = made;
  return result;
}
Result cuMemFree_v2(unsigned long long at) {
  if (current() == NULL) return kInvalidContext;
  synchronise();
  return release((uintptr_t)at);
}
#ifndef FAKE_IS_OLD
/* The second device has no memory in the order of streams. */
Result cuDeviceGetAttribute(int* value, int attribute, int device) {
  if (attribute != 115) return kInvalidValue;
  *value = device == 0;
  return kSuccess;
}
/* A pool that may have what is allocated wait for other streams does. */
static int internal_dependencies = 1;
typedef struct {
  int allocation_type, handle_types, location_type, location;
  void* security;
  unsigned char reserved[64];
} PoolProps;
Result cuMemPoolCreate(void** pool, const PoolProps* props) {
  for (size_t i = 0; i < sizeof props->reserved; ++i)
    if (props->reserved[i] != 0) return kInvalidValue;
  if (props->allocation_type != 1 || props->handle_types != 0 || props->location_type != 1 ||
      props->location != 0 || props->security != NULL)
    return kInvalidValue;
  *pool = &internal_dependencies;
  return kSuccess;
}
Result cuMemPoolSetAttribute(void* pool, int attribute, void* value) {
  if (pool != &internal_dependencies || attribute != 3) return kInvalidValue;
  internal_dependencies = *(int*)value;
  return kSuccess;
}
Result cuMemAllocFromPoolAsync(unsigned long long* at, size_t bytes, void* pool, void* stream) {
  if (current() == NULL || pool != &internal_dependencies || stream == NULL || ((Stream*)stream)->device != 0)
    return kInvalidValue;
  const Result failure = planned_failure();
  if (failure != kSuccess) return failure;
  if (internal_dependencies) synchronise();
  uintptr_t made = 0;
  const Result result = allocate(bytes, 0, 1, &made);
  *at = made;
  return result;
}
Result cuMemFreeAsync(unsigned long long at, void* stream) {
  if (current() == NULL || stream == NULL || ((Stream*)stream)->device != 0) return kInvalidValue;
  return release((uintptr_t)at);
}
#endif
Result cuMemHostAlloc(void** at, size_t bytes, unsigned flags) {
  if (current() == NULL) return kInvalidContext;
  if (flags != 1) return kInvalidValue;
  synchronise();
  uintptr_t made = 0;
  const Result result = allocate(bytes, -1, 0, &made);
  *at = (void*)made;
  return result;
}
Result cuMemFreeHost(void* at) {
  if (current() == NULL) return kInvalidContext;
  synchronise();
  return release((uintptr_t)at);
}
#ifndef FAKE_IS_OLD
Result cuStreamWaitValue32_v2(void* stream, unsigned long long address, unsigned value, unsigned flags) {
  if (current() == NULL) return kInvalidContext;
  const Result failure = planned_failure();
  if (failure != kSuccess) return failure;
  pthread_mutex_lock(&mutex);
  const Allocation* const one = find((uintptr_t)address);
  const Result result =
      one != NULL && one->device < 0 && flags == 0 && gate_count < kGates ? kSuccess : kInvalidValue;
  if (result == kSuccess)
    gates[gate_count++] = (Gate){stream_of(stream), (const _Atomic uint32_t*)(uintptr_t)address, value};
  pthread_mutex_unlock(&mutex);
  return result;
}
#endif
/* An image is a string; its functions are the names in it, separated by spaces. */
Result cuModuleLoadData(void** module, const void* image) {
  if (current() == NULL) return kInvalidContext;
  synchronise();
  *module = (void*)(uintptr_t)image;
  return kSuccess;
}
Result cuModuleGetFunction(void** function, void* module, const char* name) {
  if (current() == NULL) return kInvalidContext;
  *function = (void*)(uintptr_t)strstr(module, name);
  return *function != NULL ? kSuccess : 500;
}
/* The one kernel that it knows, "set", writes the first byte of its parameters to its first memory. */
Result cuLaunchKernel(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                      unsigned block_y, unsigned block_z, unsigned shared, void* stream, void** parameters,
                      void** extra) {
  if (current() == NULL || function == NULL) return kInvalidContext;
  const Result failure = planned_failure();
  if (failure != kSuccess) return failure;
  if (grid_x == 0 || grid_y != 1 || grid_z != 1 || block_x != 256 || block_y != 1 || block_z != 1 || shared != 0 ||
      extra != NULL)
    return kInvalidValue;
  unsigned char* const arguments = parameters[0];
  if (strncmp(function, "set", 3) == 0) **(unsigned char**)arguments = arguments[64 * sizeof(void*)];
  return kSuccess;
}
Result cuGetErrorString(Result result, const char** words) {
  *words = result == kInvalidContext  ? "invalid device context"
           : result == kInvalidHandle ? "invalid resource handle"
           : result == 2              ? "out of memory"
                                      : "invalid argument";
  return kSuccess;
}
