/* A run with keys, in C99: the secret, an issued key, and a question that only a key of the run gets answered. */
#define _POSIX_C_SOURCE 200809L
#include <hawser_keys.h>
#include <hawser_status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failures = 0;

static void check(int holds, const char* what) {
  if (holds) return;
  ++failures;
  fprintf(stderr, "failed: %s (%s)\n", what, hawserGetLastError());
}

int main(void) {
  char folder[] = "/tmp/hawser-c99-XXXXXX";
  char secret[64], issued[64], address[HAWSER_ADDRESS_BYTES];
  hawserKeyOptions_t options = HAWSER_KEY_OPTIONS_INIT;
  hawserKeyInfo_t info = HAWSER_KEY_INFO_INIT;
  hawserMasterConfig_t config = HAWSER_MASTER_CONFIG_INIT;
  hawserQueryOptions_t query = HAWSER_QUERY_OPTIONS_INIT;
  hawserMaster_t master = NULL;
  hawserStatus_t status = NULL;
  if (mkdtemp(folder) == NULL) return 1;
  snprintf(secret, sizeof secret, "%s/run.secret", folder);
  snprintf(issued, sizeof issued, "%s/observer.key", folder);

  check(hawserSecretCreate(secret) == hawserSuccess, "a secret is made");
  check(hawserSecretCreate(secret) == hawserErrorInvalidArgument, "it is not overwritten");
  options.file = issued;
  options.secret_file = secret;
  options.name = "observer";
  options.role = hawserRoleObserver;
  check(hawserKeyIssue(&options) == hawserSuccess, "a key is issued");
  check(hawserKeyGetInfo(issued, &info) == hawserSuccess && info.role == hawserRoleObserver, "it says its role");
  check(strlen(info.key) == HAWSER_KEY_BYTES - 1, "it has a number");

  config.listen = "127.0.0.1:0";
  config.secret_file = secret;
  check(hawserMasterCreate(&config, &master) == hawserSuccess, "a master takes the secret");
  check(hawserMasterStart(master) == hawserSuccess, "it starts");
  check(hawserMasterGetAddress(master, address, sizeof address) == hawserSuccess, "it has an address");
  query.timeout_ms = 20000;
  check(hawserStatusQueryWith(address, &query, &status) == hawserErrorRefused, "nobody is answered without a key");
  query.secret_file = issued;
  check(hawserStatusQueryWith(address, &query, &status) == hawserSuccess, "an observer is answered");
  check(hawserOperate(address, &query, hawserOperatorDrain, NULL, NULL, 0) == hawserErrorRefused,
        "an observer commands nothing");
  check(hawserStatusDestroy(status) == hawserSuccess, "the status is freed");
  check(hawserMasterDestroy(master) == hawserSuccess, "the master is freed");
  unlink(secret);
  unlink(issued);
  rmdir(folder);
  return failures == 0 ? 0 : 1;
}
