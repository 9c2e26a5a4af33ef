/* The status of a run without peers, in plain C99. */
#include "hawser_status.h"

#include <stdio.h>
#include <string.h>

static int check(int fine, const char* what) {
  if (!fine) fprintf(stderr, "%s: %s\n", what, hawserGetLastError());
  return fine ? 0 : 1;
}

int main(void) {
  hawserMasterConfig_t config = HAWSER_MASTER_CONFIG_INIT;
  hawserStatusInfo_t info = HAWSER_STATUS_INFO_INIT;
  hawserStatusGroup_t group = HAWSER_STATUS_GROUP_INIT;
  hawserStatusPeer_t peer = HAWSER_STATUS_PEER_INIT;
  hawserStatusCollective_t collective = HAWSER_STATUS_COLLECTIVE_INIT;
  hawserMaster_t master = NULL;
  hawserStatus_t status = NULL;
  char address[HAWSER_ADDRESS_BYTES];
  int failures = 0;
  config.listen = "127.0.0.1:0";
  if (hawserMasterCreate(&config, &master) != hawserSuccess || hawserMasterStart(master) != hawserSuccess ||
      hawserMasterGetAddress(master, address, sizeof address) != hawserSuccess)
    return check(0, "master");
  if (hawserStatusQuery(address, 20000, &status) != hawserSuccess) return check(0, "query");
  failures += check(hawserStatusGetInfo(status, &info) == hawserSuccess, "info");
  failures += check(strcmp(info.version, hawserGetVersion()) == 0, "version");
  failures += check(info.world_size == 0 && info.groups == 0 && info.peers == 0 && info.collectives == 0, "nobody");
  failures += check(hawserStatusGetGroup(status, 0, &group) == hawserErrorInvalidArgument, "no group");
  failures += check(hawserStatusGetPeer(status, 0, &peer) == hawserErrorInvalidArgument, "no peer");
  failures += check(hawserStatusGetCollective(status, 0, &collective) == hawserErrorInvalidArgument, "no collective");
  failures += check(hawserStatusDestroy(status) == hawserSuccess, "destroy");
  failures += check(hawserMasterDestroy(master) == hawserSuccess, "end of the master");
  return failures == 0 ? 0 : 1;
}
