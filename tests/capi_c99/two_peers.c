/* Two peers in two processes reduce over the C99 interface. The second process also shows that a program
 * without any C++ can use the library. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hawser.h"

#define COUNT 1001

static void must(hawserResult_t result, const char* what) {
  if (result == hawserSuccess) return;
  fprintf(stderr, "%s: %s: %s\n", what, hawserGetResultName(result), hawserGetLastError());
  exit(1);
}

static int peer(const char* master, float scale) {
  hawserCommConfig_t config = HAWSER_COMM_CONFIG_INIT;
  hawserAllReduceOptions_t options = HAWSER_ALL_REDUCE_OPTIONS_INIT;
  hawserReduceInfo_t info = HAWSER_REDUCE_INFO_INIT;
  hawserCommInfo_t view = HAWSER_COMM_INFO_INIT;
  uint64_t contributors[4];
  hawserMember_t members[4] = {HAWSER_MEMBER_INIT};
  uint32_t member_count = 0;
  hawserComm_t comm = NULL;
  float send[COUNT];
  float receive[COUNT];
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
  must(hawserCommGetMembers(comm, members, 4, &member_count), "members");
  if (member_count != 2 || members[view.rank].peer_id != view.peer_id) return 1;

  for (i = 0; i < COUNT; ++i) send[i] = scale * (float)i;
  options.op = hawserAvg;
  options.tag = 7;
  info.contributors = contributors;
  info.contributor_capacity = 4;
  must(hawserAllReduce(comm, send, receive, COUNT, hawserFloat32, &options, &info), "all-reduce");
  for (i = 0; i < COUNT; ++i)
    if (receive[i] != 2.0f * (float)i) {
      fprintf(stderr, "element %d is %g, not %g\n", i, (double)receive[i], 2.0 * i);
      return 1;
    }
  if (info.world_size != 2 || info.rank != view.rank || contributors[info.rank] != view.peer_id) return 1;
  must(hawserAllReduce(comm, send, send, COUNT, hawserFloat32, NULL, NULL), "all-reduce in place");
  if (send[COUNT - 1] != 4.0f * (float)(COUNT - 1)) return 1;
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

  if (strlen(hawserGetVersion()) < 5) return 1;
  if (hawserCommConnect(NULL) != hawserErrorInvalidArgument || hawserGetLastError()[0] == '\0') return 1;

  /* The child is forked before any thread is there, and waits for the address. */
  if (pipe(ports) != 0) return 1;
  child = fork();
  if (child < 0) return 1;
  if (child == 0) {
    close(ports[1]);
    if (read(ports[0], address, sizeof address) != (ssize_t)sizeof address) _exit(1);
    _exit(peer(address, 1.0f));
  }
  close(ports[0]);
  config.listen = "127.0.0.1:0";
  config.bootstrap_ms = 200;
  memset(address, 0, sizeof address);
  must(hawserMasterCreate(&config, &master), "create master");
  must(hawserMasterGetAddress(master, address, sizeof address), "address");
  must(hawserMasterStart(master), "start master");
  if (write(ports[1], address, sizeof address) != (ssize_t)sizeof address) return 1;
  result = peer(address, 3.0f);
  if (waitpid(child, &status, 0) != child) return 1;
  must(hawserMasterStop(master), "stop master");
  must(hawserMasterDestroy(master), "destroy master");
  return result != 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}
