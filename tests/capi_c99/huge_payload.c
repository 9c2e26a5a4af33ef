/* More than 2 GiB of bytes, which no 32-bit count of bytes anywhere survives. Two peers in one process share
 * the pages of their inputs; skipped where the machine has too little memory. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hawser.h"

#define COUNT ((uint64_t)540000001) /* 2.01 GiB of float32. */

static const char* master_address;
static float* input;

static float value_at(uint64_t i) { return (float)(i % 1000003 % 509); }

static int fail(const char* what, hawserResult_t result) {
  fprintf(stderr, "%s: %s: %s\n", what, hawserGetResultName(result), hawserGetLastError());
  return 1;
}

static int reduce_as_peer(float* output) {
  hawserCommConfig_t config = HAWSER_COMM_CONFIG_INIT;
  hawserCommInfo_t view = HAWSER_COMM_INFO_INIT;
  hawserReduceInfo_t info = HAWSER_REDUCE_INFO_INIT;
  hawserComm_t comm = NULL;
  hawserResult_t result;
  uint64_t i;

  config.master = master_address;
  result = hawserCommCreate(&config, &comm);
  if (result != hawserSuccess) return fail("create", result);
  result = hawserCommConnect(comm);
  while (result == hawserSuccess && (result = hawserCommGetInfo(comm, &view)) == hawserSuccess &&
         view.world_size < 2)
    result = hawserCommUpdateTopology(comm);
  if (result != hawserSuccess) return fail("connect", result);
  result = hawserAllReduce(comm, input, output, COUNT, hawserFloat32, NULL, &info);
  if (result != hawserSuccess) return fail("all-reduce", result);
  for (i = 0; i < COUNT; ++i)
    if (output[i] != 2.0f * value_at(i)) {
      fprintf(stderr, "element %llu is %g\n", (unsigned long long)i, (double)output[i]);
      return 1;
    }
  printf("%llu us to transfer, %llu us to commit\n", (unsigned long long)info.transfer_us,
         (unsigned long long)info.commit_us);
  result = hawserCommDestroy(comm);
  return result == hawserSuccess ? 0 : fail("destroy", result);
}

static void* peer_thread(void* output) {
  return reduce_as_peer((float*)output) == 0 ? output : NULL;
}

int main(void) {
  hawserMasterConfig_t config = HAWSER_MASTER_CONFIG_INIT;
  hawserMaster_t master = NULL;
  char address[HAWSER_ADDRESS_BYTES];
  pthread_t thread;
  void* other = NULL;
  int failed;
  uint64_t i;
  float* outputs[2];
  const double memory = (double)sysconf(_SC_AVPHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);

  if (memory < 5.0 * 4.0 * (double)COUNT) {
    printf("skipped: %.1f GiB of memory are free\n", memory / (1 << 30));
    return 0;
  }
  input = malloc(COUNT * sizeof *input);
  outputs[0] = malloc(COUNT * sizeof *input);
  outputs[1] = malloc(COUNT * sizeof *input);
  if (!input || !outputs[0] || !outputs[1]) return 1;
  for (i = 0; i < COUNT; ++i) input[i] = value_at(i);

  config.listen = "127.0.0.1:0";
  config.bootstrap_ms = 200;
  if (hawserMasterCreate(&config, &master) != hawserSuccess || hawserMasterStart(master) != hawserSuccess ||
      hawserMasterGetAddress(master, address, sizeof address) != hawserSuccess)
    return fail("master", hawserErrorInternal);
  master_address = address;
  if (pthread_create(&thread, NULL, peer_thread, outputs[1]) != 0) return 1;
  failed = reduce_as_peer(outputs[0]);
  pthread_join(thread, &other);
  hawserMasterDestroy(master);
  free(input);
  free(outputs[0]);
  free(outputs[1]);
  return failed || other == NULL;
}
