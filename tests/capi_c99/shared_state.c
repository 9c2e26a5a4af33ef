/* Two peers in two processes bring their tensors to the same bytes, in plain C99. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include "hawser_shared_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT 500001

static void must(hawserResult_t result, const char* what) {
  if (result == hawserSuccess) return;
  fprintf(stderr, "%s: %s: %s\n", what, hawserGetResultName(result), hawserGetLastError());
  exit(1);
}

static void on_progress(void* user, uint64_t bytes_done, uint64_t bytes_total) {
  *(int*)user = bytes_done == bytes_total;
}

static float weights[COUNT];
static int64_t steps[2];

static int peer(const char* master, int has_content) {
  hawserCommConfig_t config = HAWSER_COMM_CONFIG_INIT;
  hawserSyncOptions_t options = HAWSER_SYNC_OPTIONS_INIT;
  hawserSyncInfo_t info = HAWSER_SYNC_INFO_INIT;
  hawserStateTensor_t tensors[2];
  hawserSyncSource_t sources[4];
  hawserCommInfo_t view = HAWSER_COMM_INFO_INIT;
  hawserComm_t comm = NULL;
  hawserSharedState_t state = NULL;
  char digest[HAWSER_DIGEST_BYTES];
  uint64_t revision = 0;
  int whole = 0;
  int i;

  config.master = master;
  config.connect_ms = 20000;
  must(hawserCommCreate(&config, &comm), "create");
  must(hawserCommConnect(comm), "connect");
  must(hawserCommGetInfo(comm, &view), "info");
  while (view.world_size < 2) {
    must(hawserCommUpdateTopology(comm), "update topology");
    must(hawserCommGetInfo(comm, &view), "info");
  }

  for (i = 0; i < COUNT; ++i) weights[i] = has_content ? (float)i : 0.0f;
  steps[0] = has_content ? 1000 : 0;
  memset(tensors, 0, sizeof tensors);
  tensors[0].name = "weights";
  tensors[0].data = weights;
  tensors[0].count = COUNT;
  tensors[0].type = hawserFloat32;
  tensors[1].name = "steps";
  tensors[1].data = steps;
  tensors[1].count = 2;
  tensors[1].type = hawserInt64;
  must(hawserSharedStateCreate(tensors, 2, &state), "create state");
  must(hawserSharedStateSetRevision(state, has_content ? 40 : 0), "set revision");

  options.tag = 3;
  options.progress = on_progress;
  options.user = &whole;
  info.sources = sources;
  info.source_capacity = 4;
  must(hawserSharedStateSync(comm, state, &options, &info), "sync");
  must(hawserSharedStateGetRevision(state, &revision), "revision");
  must(hawserSharedStateGetDigest(state, digest), "digest");
  if (strlen(digest) != 32 || revision != 40 || info.revision != 40 || info.world_size != 2) return 1;
  if (info.source_count != (has_content ? 0u : 1u) || whole == has_content) return 1;
  if (!has_content && (sources[0].bytes != info.bytes || info.bytes_fetched != info.bytes)) return 1;
  for (i = 0; i < COUNT; ++i)
    if (weights[i] != (float)i) {
      fprintf(stderr, "element %d is %g\n", i, (double)weights[i]);
      return 1;
    }
  if (steps[0] != 1000) return 1;

  /* A step that both make: nothing travels. */
  weights[7] += 1.0f;
  must(hawserSharedStateSetRevision(state, 41), "next revision");
  must(hawserSharedStateMarkChanged(state, "weights"), "mark");
  options.only_marked = 1;
  must(hawserSharedStateSync(comm, state, &options, &info), "second sync");
  if (info.bytes_fetched != 0 || info.revision != 41) return 1;
  must(hawserSharedStateDestroy(state), "destroy state");
  must(hawserCommDestroy(comm), "destroy");
  return 0;
}

int main(void) {
  hawserMasterConfig_t config = HAWSER_MASTER_CONFIG_INIT;
  hawserMaster_t master = NULL;
  char address[HAWSER_ADDRESS_BYTES];
  int ports[2];
  pid_t child;
  int status = 1;
  int result;

  /* The child is forked before any thread is there, and waits for the address. */
  if (pipe(ports) != 0) return 1;
  child = fork();
  if (child < 0) return 1;
  if (child == 0) {
    close(ports[1]);
    if (read(ports[0], address, sizeof address) != (ssize_t)sizeof address) _exit(1);
    _exit(peer(address, 0));
  }
  close(ports[0]);
  config.listen = "127.0.0.1:0";
  config.bootstrap_ms = 200;
  memset(address, 0, sizeof address);
  must(hawserMasterCreate(&config, &master), "create master");
  must(hawserMasterGetAddress(master, address, sizeof address), "address");
  must(hawserMasterStart(master), "start master");
  if (write(ports[1], address, sizeof address) != (ssize_t)sizeof address) return 1;
  result = peer(address, 1);
  if (waitpid(child, &status, 0) != child) return 1;
  must(hawserMasterStop(master), "stop master");
  must(hawserMasterDestroy(master), "destroy master");
  return result != 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}
