/* A stranger's program in strict C99: version, a result's name, a master made and destroyed. */
#include <hawser.h>

#include <stdio.h>
#include <string.h>

int main(void) {
  hawserMaster_t master = NULL;
  hawserMasterConfig_t config = HAWSER_MASTER_CONFIG_INIT;
  char address[HAWSER_ADDRESS_BYTES] = "";
  char version[32];
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
  if (result != hawserSuccess) {
    (void)printf("%s: %s\n", hawserGetResultName(result), hawserGetLastError());
    return 1;
  }
  (void)printf("hawser %s from C99, master at %s: %s\n", version, address, hawserGetResultName(result));
  return hawserMasterDestroy(master) == hawserSuccess ? 0 : 1;
}
