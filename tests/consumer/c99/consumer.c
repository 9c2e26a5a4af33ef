/* A stranger's program in strict C99: version, a result's name, a master and a shared state made and destroyed. */
#include <hawser.h>
#include <hawser_shared_state.h>

#include <stdio.h>
#include <string.h>

int main(void) {
  hawserMaster_t master = NULL;
  hawserMasterConfig_t config = HAWSER_MASTER_CONFIG_INIT;
  char address[HAWSER_ADDRESS_BYTES] = "";
  char version[32];
  float weights[4] = {0.0f, 1.0f, 2.0f, 3.0f};
  hawserStateTensor_t tensor = {"weights", NULL, 4, hawserFloat32, hawserMemoryByAddress, 0};
  hawserSharedState_t state = NULL;
  char digest[HAWSER_DIGEST_BYTES] = "";
  hawserResult_t result;

  (void)snprintf(version, sizeof version, "%d.%d.%d", HAWSER_VERSION_MAJOR, HAWSER_VERSION_MINOR,
                 HAWSER_VERSION_PATCH);
  if (strcmp(hawserGetVersion(), version) != 0) {
    (void)printf("header %s, library %s\n", version, hawserGetVersion());
    return 1;
  }

  config.listen = "127.0.0.1:0";
  result = hawserMasterCreate(&config, &master);
  if (result == hawserSuccess) result = hawserMasterGetAddress(master, address, sizeof address);
  tensor.data = weights;
  if (result == hawserSuccess) result = hawserSharedStateCreate(&tensor, 1, &state);
  if (result == hawserSuccess) result = hawserSharedStateGetDigest(state, digest);
  if (result == hawserSuccess) result = hawserSharedStateDestroy(state);
  if (result != hawserSuccess) {
    (void)printf("%s: %s\n", hawserGetResultName(result), hawserGetLastError());
    return 1;
  }
  (void)printf("hawser %s from C99, master at %s, digest %s: %s\n", version, address, digest,
               hawserGetResultName(result));
  return hawserMasterDestroy(master) == hawserSuccess ? 0 : 1;
}
