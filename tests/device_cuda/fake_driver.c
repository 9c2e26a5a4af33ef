/* A libcuda.so.1 for machines without one: two GPUs whose memory is the host's. It is strict about what is easy to get
 * wrong: calls need the right context, copies stay within one allocation, events are late. What a real driver does
 * otherwise, only a real one shows. */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int Result;
enum {
  kSuccess = 0,
  kInvalidValue = 1,
  kNotInitialised = 3,
  kInvalidContext = 201,
  kInvalidHandle = 400,
  kNotReady = 600
};
enum { kDevices = 2, kAllocations = 64, kDepth = 16 };

typedef struct {
  uintptr_t at;
  size_t size;
  int device; /* -1: pinned. */
  int managed;
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
} Event;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int initialised;
static Allocation allocations[kAllocations];
static Context contexts[kDevices] = {{0}, {1}};
static _Thread_local Context* stack[kDepth];
static _Thread_local int depth;

static Context* current(void) { return depth > 0 ? stack[depth - 1] : NULL; }

/* With the mutex. */
static Allocation* find(uintptr_t at) {
  for (int i = 0; i < kAllocations; ++i)
    if (allocations[i].size > 0 && at >= allocations[i].at && at < allocations[i].at + allocations[i].size)
      return &allocations[i];
  return NULL;
}

static Result allocate(size_t bytes, int device, uintptr_t* at) {
  Result result = 2;
  pthread_mutex_lock(&mutex);
  for (int i = 0; i < kAllocations && result != kSuccess; ++i) {
    if (allocations[i].size > 0) continue;
    *at = (uintptr_t)malloc(bytes);
    if (*at == 0) break;
    allocations[i] = (Allocation){*at, bytes, device, 0};
    result = kSuccess;
  }
  pthread_mutex_unlock(&mutex);
  return result;
}

static Result release(uintptr_t at) {
  pthread_mutex_lock(&mutex);
  Allocation* const one = find(at);
  const Result result = one != NULL && one->at == at ? kSuccess : kInvalidValue;
  if (result == kSuccess) {
    one->size = 0;
    free((void*)at);
  }
  pthread_mutex_unlock(&mutex);
  return result;
}

/* For tests: memory becomes managed; what is put on a stream next fails. */
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
Result cuPointerGetAttributes(unsigned count, const int* attributes, void** values, unsigned long long address) {
  if (!initialised) return kNotInitialised;
  pthread_mutex_lock(&mutex);
  const Allocation* const one = find((uintptr_t)address);
  for (unsigned i = 0; i < count; ++i) switch (attributes[i]) {
      /* Managed memory counts as the host's where the driver was asked for its type. */
      case 2: *(unsigned*)values[i] = one == NULL ? 0 : one->device < 0 || one->managed ? 1 : 2; break;
      case 8: *(unsigned*)values[i] = one != NULL && one->managed; break;
      case 9: *(int*)values[i] = one == NULL ? -2 : one->device; break;
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
  return ((Event*)event)->device == device ? kSuccess : kInvalidHandle;
}
Result cuEventQuery(void* event) { return ((Event*)event)->asked++ < 250 ? kNotReady : kSuccess; }
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
    const Allocation* const one = find((uintptr_t)sides[i]);
    if (one == NULL || one->device < 0) continue;
    if (one->device != device || sides[i] + bytes > one->at + one->size) result = kInvalidValue;
    on_device = 1;
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
  uintptr_t made = 0;
  const Result result = allocate(bytes, current()->device, &made);
  *at = made;
  return result;
}
Result cuMemFree_v2(unsigned long long at) { return current() == NULL ? kInvalidContext : release((uintptr_t)at); }
Result cuMemHostAlloc(void** at, size_t bytes, unsigned flags) {
  if (current() == NULL) return kInvalidContext;
  if (flags != 1) return kInvalidValue;
  uintptr_t made = 0;
  const Result result = allocate(bytes, -1, &made);
  *at = (void*)made;
  return result;
}
Result cuMemFreeHost(void* at) { return current() == NULL ? kInvalidContext : release((uintptr_t)at); }
Result cuStreamWaitValue32_v2(void* stream, unsigned long long address, unsigned value, unsigned flags) {
  (void)stream;
  (void)value;
  if (current() == NULL) return kInvalidContext;
  pthread_mutex_lock(&mutex);
  const Allocation* const one = find((uintptr_t)address);
  pthread_mutex_unlock(&mutex);
  return one != NULL && one->device < 0 && flags == 0 ? kSuccess : kInvalidValue;
}
/* An image is a string; its functions are the names in it, separated by spaces. */
Result cuModuleLoadData(void** module, const void* image) {
  if (current() == NULL) return kInvalidContext;
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
  if (current() == NULL || stream == NULL || function == NULL) return kInvalidContext;
  if (grid_x == 0 || grid_y != 1 || grid_z != 1 || block_x != 256 || block_y != 1 || block_z != 1 || shared != 0 ||
      extra != NULL)
    return kInvalidValue;
  unsigned char* const arguments = parameters[0];
  if (strncmp(function, "set", 3) == 0) **(unsigned char**)arguments = arguments[64 * sizeof(void*)];
  return kSuccess;
}
Result cuGetErrorString(Result result, const char** words) {
  *words = result == kInvalidContext ? "invalid device context" : result == 2 ? "out of memory" : "invalid argument";
  return kSuccess;
}
