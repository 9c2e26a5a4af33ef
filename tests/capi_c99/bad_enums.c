/* A C program can put any number into an enum: each is refused where it is none of its values. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "hawser.h"

static int failures = 0;

static void expect(int holds, const char* what) {
  if (holds) return;
  ++failures;
  fprintf(stderr, "does not hold: %s\n", what);
}

static hawserResult_t reduce(hawserComm_t comm, int type, int op, int plan) {
  static float values[10];
  hawserAllReduceOptions_t options = HAWSER_ALL_REDUCE_OPTIONS_INIT;
  options.op = (hawserReduceOp_t)op;
  options.plan = (hawserPlan_t)plan;
  return hawserAllReduce(comm, values, values, 10, (hawserDataType_t)type, &options, NULL);
}

int main(void) {
  hawserCommConfig_t config = HAWSER_COMM_CONFIG_INIT;
  hawserComm_t comm = NULL;
  config.master = "127.0.0.1:1";
  expect(hawserCommCreate(&config, &comm) == hawserSuccess, "create");
  expect(reduce(comm, 12, 0, 0) == hawserErrorInvalidArgument, "an unknown type is refused");
  expect(reduce(comm, 0, 5, 0) == hawserErrorInvalidArgument, "an unknown operation is refused");
  expect(reduce(comm, 0, 0, 4) == hawserErrorInvalidArgument, "an unknown plan is refused");
  expect(reduce(comm, 0, 0, -1) == hawserErrorInvalidArgument, "a negative plan is refused");
  expect(reduce(comm, 0, 1, 2) == hawserErrorInvalidUsage, "good ones are refused for not being connected");
  expect(hawserSetLogLevel((hawserLogLevel_t)9) == hawserErrorInvalidArgument, "an unknown log level is refused");
  expect(strlen(hawserGetResultName((hawserResult_t)77)) > 0, "an unknown result has a name");
  expect(hawserCommDestroy(comm) == hawserSuccess, "destroy");
  return failures != 0;
}
