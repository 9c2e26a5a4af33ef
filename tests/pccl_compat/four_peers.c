/* A program as it is written for PCCL: a master and four peers in threads. Three meet, the fourth joins while they work
 * and leaves again, and the last one ends alone. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pccl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT 1001
#define TENSORS 5

static ccoip_socket_address_t master_address;
static pcclMasterInstance_t* master;
static pthread_barrier_t before_fourth;

static void fail_at(int line, const char* what) {
  fprintf(stderr, "line %d: %s: %s\n", line, what, pcclCompatGetLastError());
  exit(1);
}
#define CHECK(condition) \
  do                     \
    if (!(condition)) fail_at(__LINE__, #condition); \
  while (0)

static int attribute(pcclComm_t* comm, pcclAttribute_t which) {
  int value = 0;
  CHECK(pcclGetAttribute(comm, which, &value) == pcclSuccess);
  return value;
}

static int group_size(pcclComm_t* comm) { return attribute(comm, PCCL_ATTRIBUTE_PEER_GROUP_WORLD_SIZE); }

static pcclReduceDescriptor_t describe(pcclRedOp_t op, uint64_t tag) {
  pcclReduceDescriptor_t descriptor;
  memset(&descriptor, 0, sizeof descriptor);
  descriptor.count = COUNT;
  descriptor.op = op;
  descriptor.tag = tag;
  descriptor.src_descriptor.datatype = pcclFloat;
  return descriptor;
}

static void fill(float* values, float value) {
  int i;
  for (i = 0; i < COUNT; ++i) values[i] = value;
}

static void check_all(const float* values, float value) {
  int i;
  for (i = 0; i < COUNT; ++i) CHECK(values[i] == value);
}

/* Sums ones as programs for PCCL do it: again after a loss, as long as somebody else is there. */
static pcclResult_t count_members(pcclComm_t* comm, pcclReduceInfo_t* info) {
  float ones[COUNT];
  float sums[COUNT];
  const pcclReduceDescriptor_t descriptor = describe(pcclSum, 3);
  pcclResult_t result;
  fill(ones, 1.0f);
  do result = pcclAllReduce(ones, sums, &descriptor, comm, info);
  while (result == pcclRankConnectionLost);
  if (result == pcclSuccess) check_all(sums, (float)info->local_world_size);
  check_all(ones, 1.0f);
  return result;
}

static void reduce_in_background(pcclComm_t* comm, int peer) {
  float first[COUNT];
  float second[COUNT];
  float result[COUNT];
  const pcclReduceDescriptor_t average = describe(pcclAvg, 10);
  const pcclReduceDescriptor_t largest = describe(pcclMax, 11);
  pcclAsyncReduceOp_t operations[2];
  pcclAsyncReduceOp_t refused;
  pcclReduceInfo_t info;
  bool pending = true;
  fill(first, (float)(3 * peer));
  fill(second, (float)peer);
  CHECK(pcclAllReduceAsync(first, first, &average, comm, &operations[0]) == pcclSuccess);
  CHECK(pcclAllReduceAsync(second, result, &largest, comm, &operations[1]) == pcclSuccess);
  CHECK(pcclAllReduceAsync(second, result, &largest, comm, &refused) == pcclInvalidArgument);
  CHECK(pcclUpdateTopology(comm) == pcclPendingAsyncOps);
  CHECK(pcclArePeersPending(comm, &pending) == pcclSuccess && !pending);
  CHECK(pcclAwaitAsyncReduce(&operations[1], NULL) == pcclSuccess);
  CHECK(pcclAwaitAsyncReduce(&operations[0], &info) == pcclSuccess && info.local_world_size == 3);
  CHECK(pcclAwaitAsyncReduce(&operations[0], NULL) == pcclInvalidArgument);
  check_all(first, 3.0f);
  check_all(result, 2.0f);
}

static void reduce_list(pcclComm_t* comm, int peer, int members) {
  static float values[3][TENSORS][COUNT];
  pcclReduceOpDescriptor_t list[TENSORS];
  pcclReduceInfo_t info;
  int i;
  for (i = 0; i < TENSORS; ++i) {
    fill(values[peer][i], (float)i);
    list[i].sendbuf = values[peer][i];
    list[i].recvbuf = values[peer][i];
    list[i].descriptor = describe(pcclSum, (uint64_t)i);
  }
  list[1].descriptor.quantization_options.algorithm = pcclQuantMinMax;
  list[1].descriptor.quantization_options.quantized_datatype = pcclUint8;
  CHECK(pcclAllReduceMultipleWithRetry(list, TENSORS, comm, &info, 2) == pcclSuccess);
  CHECK(info.local_world_size == (uint32_t)members && info.tx_bytes > 0 && info.rx_bytes > 0);
  for (i = 0; i < TENSORS; ++i) check_all(values[peer][i], (float)(i * members));
  list[0].descriptor.quantization_options.algorithm = pcclQuantZeroPointScale;
  list[0].descriptor.quantization_options.quantized_datatype = pcclDouble;
  CHECK(pcclAllReduceMultipleWithRetry(list, 1, comm, NULL, 2) == pcclInvalidArgument);
}

/* Two peers hold the same weights, one holds others. The popular ones go to that one. Halves count in full. */
static void share(pcclComm_t* comm, int peer) {
  const float mine = peer == 2 ? 5.0f : 7.0f;
  float weights[COUNT];
  uint16_t halves[COUNT];
  pcclTensorInfo_t tensors[2] = {{"weights", NULL, COUNT, pcclFloat, pcclDeviceCpu, false},
                                 {"halves", NULL, COUNT, pcclBFloat16, pcclDeviceCpu, false}};
  pcclSharedState_t state = {4, 2, NULL};
  pcclSharedStateSyncInfo_t info;
  pcclReduceDescriptor_t descriptor = describe(pcclSum, 12);
  uint64_t bytes[2];
  const uint64_t content = COUNT * (sizeof *weights + sizeof *halves);
  int i;
  fill(weights, mine);
  for (i = 0; i < COUNT; ++i) halves[i] = (uint16_t)mine;
  tensors[0].data = weights;
  tensors[1].data = halves;
  state.infos = tensors;
  CHECK(pcclSynchronizeSharedState(comm, &state, PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR, &info) ==
        pcclSuccess);
  check_all(weights, 7.0f);
  CHECK(halves[0] == 7 && halves[COUNT - 1] == 7 && state.revision == 4);
  CHECK(info.rx_bytes == (peer == 2 ? content : 0));
  bytes[0] = info.tx_bytes;
  bytes[1] = info.rx_bytes;
  descriptor.count = 2;
  descriptor.src_descriptor.datatype = pcclUint64;
  CHECK(pcclAllReduce(bytes, bytes, &descriptor, comm, NULL) == pcclSuccess);
  CHECK(bytes[0] == content && bytes[1] == content);

  state.revision = 5;
  CHECK(pcclSynchronizeSharedState(comm, &state, PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR, &info) ==
        pcclSuccess);
  CHECK(info.rx_bytes == 0 && info.tx_bytes == 0);
  state.revision = 7; /* More than one step. */
  CHECK(pcclSynchronizeSharedState(comm, &state, PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR, NULL) ==
        pcclInvalidUsage);
  state.revision = 5;
  fill(weights, mine);
  CHECK(pcclSynchronizeSharedState(comm, &state,
                                   peer == 2 ? PCCL_SHARED_STATE_SYNC_STRATEGY_SEND_ONLY
                                             : PCCL_SHARED_STATE_SYNC_STRATEGY_RECEIVE_ONLY,
                                   &info) == pcclSuccess);
  check_all(weights, 5.0f);
  CHECK(info.rx_bytes == (peer == 2 ? 0 : COUNT * sizeof *weights)); /* Who has received may have passed it on. */
  CHECK(peer != 2 || info.tx_bytes != 0);
}

static pcclComm_t* create(ccoip_socket_address_t address) {
  pcclCommCreateParams_t params;
  pcclComm_t* comm = NULL;
  memset(&params, 0, sizeof params);
  params.master_address = address;
  params.p2p_connection_pool_size = 4;
  CHECK(pcclCreateCommunicator(&params, &comm) == pcclSuccess);
  return comm;
}

static void* fourth_peer(void* unused) {
  pcclComm_t* comm = create(master_address);
  pcclReduceInfo_t info;
  pthread_barrier_wait(&before_fourth);
  CHECK(pcclConnect(comm) == pcclSuccess);
  CHECK(count_members(comm, &info) == pcclSuccess && info.local_world_size == 4);
  CHECK(pcclDestroyCommunicator(comm) == pcclSuccess);
  return unused;
}

static void* peer_of(void* number) {
  const int peer = *(const int*)number;
  pcclComm_t* comm = create(master_address);
  pcclReduceInfo_t info;
  bool pending = false;
  int value = 0;
  CHECK(pcclUpdateTopology(comm) == pcclInvalidUsage);
  CHECK(pcclGetAttribute(comm, PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE, &value) == pcclInvalidUsage);
  CHECK(pcclConnect(comm) == pcclSuccess);
  CHECK(pcclConnect(comm) == pcclInvalidUsage);
  while (group_size(comm) < 3) CHECK(pcclUpdateTopology(comm) == pcclSuccess);
  CHECK(attribute(comm, PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE) == 3);
  CHECK(attribute(comm, PCCL_ATTRIBUTE_NUM_DISTINCT_PEER_GROUPS) == 1);
  CHECK(attribute(comm, PCCL_ATTRIBUTE_LARGEST_PEER_GROUP_WORLD_SIZE) == 3);
  CHECK(pcclOptimizeTopology(comm) == pcclSuccess);
  reduce_in_background(comm, peer);
  reduce_list(comm, peer, 3);
  share(comm, peer);

  pthread_barrier_wait(&before_fourth);
  while (!pending) CHECK(pcclArePeersPending(comm, &pending) == pcclSuccess);
  CHECK(pcclUpdateTopology(comm) == pcclSuccess && group_size(comm) == 4);
  CHECK(count_members(comm, &info) == pcclSuccess && info.local_world_size == 4);
  do CHECK(count_members(comm, &info) == pcclSuccess);
  while (info.local_world_size > 3);

  if (peer != 0) {
    CHECK(pcclDestroyCommunicator(comm) == pcclSuccess);
    return NULL;
  }
  while (count_members(comm, &info) == pcclSuccess) CHECK(info.local_world_size < 4);
  CHECK(count_members(comm, &info) == pcclTooFewPeers && group_size(comm) == 1);
  CHECK(pcclOptimizeTopology(comm) == pcclInvalidUsage);
  CHECK(pcclArePeersPending(comm, &pending) == pcclSuccess && !pending);
  CHECK(pcclDestroyCommunicator(comm) == pcclSuccess);
  return NULL;
}

/* A port that is bound and not listened on refuses connections. */
static void connect_to_nobody(void) {
  struct sockaddr_in address;
  socklen_t bytes = sizeof address;
  ccoip_socket_address_t nobody = master_address;
  pcclComm_t* comm;
  const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(descriptor >= 0 && bind(descriptor, (struct sockaddr*)&address, sizeof address) == 0);
  CHECK(getsockname(descriptor, (struct sockaddr*)&address, &bytes) == 0);
  nobody.port = ntohs(address.sin_port);
  comm = create(nobody);
  CHECK(pcclConnect(comm) == pcclMasterConnectionFailed);
  CHECK(strstr(pcclCompatGetLastError(), "127.0.0.1") != NULL);
  CHECK(pcclDestroyCommunicator(comm) == pcclSuccess);
  close(descriptor);
}

static void interrupt(int signal_number) {
  (void)signal_number;
  if (pcclInterruptMaster(master) != pcclSuccess) _exit(1);
}

int main(void) {
  const ccoip_socket_address_t loopback = {{inetIPv4, {{127, 0, 0, 1}}, {{0}}}, 0};
  pcclMasterInstance_t* other = NULL;
  pcclComm_t* comm = NULL;
  pcclCommCreateParams_t params;
  pcclBuildInfo_t build;
  pthread_t threads[4];
  int numbers[3] = {0, 1, 2};
  int i;

  memset(&params, 0, sizeof params);
  CHECK(pcclCreateCommunicator(&params, &comm) == pcclNotInitialized);
  CHECK(pcclInit() == pcclSuccess && pcclInit() == pcclSuccess);
  CHECK(pcclGetBuildInfo(&build) == pcclSuccess && build.has_cuda_support);

  CHECK(pcclCreateMaster(loopback, &master) == pcclSuccess);
  CHECK(pcclInterruptMaster(master) == pcclInvalidUsage);
  CHECK(pcclMasterAwaitTermination(master) == pcclInvalidUsage);
  CHECK(pcclRunMaster(master) == pcclSuccess);
  CHECK(pcclRunMaster(master) == pcclInvalidUsage);
  CHECK(pcclCompatGetMasterAddress(master, &master_address) == pcclSuccess && master_address.port != 0);
  CHECK(pcclCreateMaster(master_address, &other) == pcclSuccess);
  CHECK(pcclRunMaster(other) == pcclInvalidUsage); /* The port is taken. */
  CHECK(pcclDestroyMaster(other) == pcclSuccess);
  connect_to_nobody();

  CHECK(pthread_barrier_init(&before_fourth, NULL, 4) == 0);
  for (i = 0; i < 3; ++i) CHECK(pthread_create(&threads[i], NULL, peer_of, &numbers[i]) == 0);
  CHECK(pthread_create(&threads[3], NULL, fourth_peer, NULL) == 0);
  for (i = 0; i < 4; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK(pthread_barrier_destroy(&before_fourth) == 0);

  CHECK(signal(SIGUSR1, interrupt) != SIG_ERR);
  CHECK(raise(SIGUSR1) == 0);
  CHECK(pcclMasterAwaitTermination(master) == pcclSuccess);
  CHECK(pcclMasterAwaitTermination(master) == pcclSuccess);
  CHECK(pcclDestroyMaster(master) == pcclSuccess);
  return 0;
}
