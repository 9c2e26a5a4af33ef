/** @file pccl_compat.h
 *  The calls of PCCL 1.0 (Prime Collective Communications Library) on Hawser, for programs that were written for PCCL.
 *  New programs use hawser.h.
 *
 *  Names, numbers and layouts are those of PCCL 1.0. docs/pccl.md has a table of calls, a table of what differs, and
 *  how to switch. Link with libpccl_compat.
 *
 *  Conventions that hold for every function:
 *  - Outputs are written on success. Otherwise they are left as they were, unless the function says so.
 *  - After any other result, pcclCompatGetLastError() gives a sentence for a person.
 *  - Handles are safe to use from several threads, as in hawser.h. No call may use a handle once its destroy call has
 *    begun.
 *  - Keys and access are those of hawser.h: HAWSER_SECRET_FILE names the run's key. Without it masters and peers use
 *    this machine's loopback addresses only, unless HAWSER_INSECURE is 1.
 */
#ifndef HAWSER_PCCL_COMPAT_H
#define HAWSER_PCCL_COMPAT_H

#include <stddef.h>
#include <stdint.h>

#ifndef __cplusplus
#  include <stdbool.h>
#endif

#define PCCL_EXPORT __attribute__((visibility("default")))
#define PCCL_NULLABLE

/** The ports that PCCL's programs name. Only the first has a meaning here: a master's usual port. */
#define CCOIP_PROTOCOL_PORT_MASTER 48148
#define CCOIP_PROTOCOL_PORT_SHARED_STATE 48149
#define CCOIP_PROTOCOL_PORT_P2P 48150
#define CCOIP_PROTOCOL_PORT_BANDWIDTH_BENCHMARK 48151

#ifdef __cplusplus
extern "C" {
#endif

/* --------------------------------------------------------------------------------------- addresses */

typedef enum ccoip_inet_protocol_t { inetIPv4 = 0, inetIPv6 = 1 } ccoip_inet_protocol_t;

/** Bytes in network order. */
typedef struct ccoip_ipv4_address_t {
  uint8_t data[4];
} ccoip_ipv4_address_t;

typedef struct ccoip_ipv6_address_t {
  uint8_t data[16];
} ccoip_ipv6_address_t;

/** `protocol` says which of the two counts. */
typedef struct ccoip_inet_address_t {
  ccoip_inet_protocol_t protocol;
  ccoip_ipv4_address_t ipv4;
  ccoip_ipv6_address_t ipv6;
} ccoip_inet_address_t;

/** `port` is in the host's order. */
typedef struct ccoip_socket_address_t {
  ccoip_inet_address_t inet;
  uint16_t port;
} ccoip_socket_address_t;

/* ------------------------------------------------------------------------------------------- enums */

typedef enum pcclResult_t {
  pcclSuccess = 0,
  pcclNotInitialized = 1,
  pcclInternalError = 2,
  pcclInvalidArgument = 3,
  pcclInvalidUsage = 4,
  /** This peer is alone in its group. */
  pcclTooFewPeers = 5,
  /** The master cannot be reached, refused this peer or removed it. Connect again. */
  pcclMasterConnectionFailed = 6,
  pcclRankConnectionFailed = 7, /**< Never returned here. */
  /** The collective ended without a result: a member was lost, called something else or did not come, or the master
   *  was restarted. Send buffers are intact. Call again with the rest. */
  pcclRankConnectionLost = 8,
  pcclNoSharedStateAvailable = 9, /**< Never returned here. */
  /** An all-reduce of this communicator has not been awaited. */
  pcclPendingAsyncOps = 10,
  pcclUpdateTopologyFailed = 11,
  pcclTopologyOptimizationFailed = 12
} pcclResult_t;

typedef enum pcclDataType_t {
  pcclUint8 = 0,
  pcclInt8 = 1,
  pcclInt16 = 2,
  pcclUint16 = 3,
  pcclUint32 = 4,
  pcclInt32 = 5,
  pcclUint64 = 6,
  pcclInt64 = 7,
  pcclFloat16 = 8,
  pcclBFloat16 = 9,
  pcclFloat = 10,
  pcclDouble = 11
} pcclDataType_t;

/** Where a tensor's memory is. Hawser finds that out by its address, so both values mean the same here. */
typedef enum pcclDeviceType_t { pcclDeviceCpu = 0, pcclDeviceCuda = 1 } pcclDeviceType_t;

typedef enum pcclRedOp_t { pcclSum = 0, pcclAvg = 1, pcclProd = 2, pcclMax = 3, pcclMin = 4 } pcclRedOp_t;

typedef enum pcclAttribute_t {
  PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE = 1,             /**< Members of all groups together. */
  PCCL_ATTRIBUTE_PEER_GROUP_WORLD_SIZE = 2,         /**< Members of this peer's group. */
  PCCL_ATTRIBUTE_NUM_DISTINCT_PEER_GROUPS = 3,      /**< Groups that have members. */
  PCCL_ATTRIBUTE_LARGEST_PEER_GROUP_WORLD_SIZE = 4, /**< Members of the largest group. */
} pcclAttribute_t;

typedef enum pcclSharedStateSyncStrategy_t {
  /** The peer offers its content and takes the elected one. */
  PCCL_SHARED_STATE_SYNC_STRATEGY_ENFORCE_POPULAR = 0,
  /** The peer offers nothing and takes the elected content. */
  PCCL_SHARED_STATE_SYNC_STRATEGY_RECEIVE_ONLY = 1,
  /** The peer offers its content and never takes another. */
  PCCL_SHARED_STATE_SYNC_STRATEGY_SEND_ONLY = 2,
} pcclSharedStateSyncStrategy_t;

/** A hint without effect, as in PCCL 1.0. */
typedef enum pcclDistributionHint_t {
  pcclDistributionNone = 0,
  pcclDistributionNormal = 1,
  pcclDistributionUniform = 2
} pcclDistributionHint_t;

typedef enum pcclQuantizationAlgorithm_t {
  pcclQuantNone = 0,
  pcclQuantMinMax = 1,
  pcclQuantZeroPointScale = 2
} pcclQuantizationAlgorithm_t;

/* ----------------------------------------------------------------------------------------- structs */

typedef struct pcclCommCreateParams_t {
  ccoip_socket_address_t master_address;
  uint32_t peer_group; /**< Peers of equal group reduce together. */
  /** Ignored: Hawser decides by measurement how many connections a link has, and collectives share them. */
  uint32_t p2p_connection_pool_size;
} pcclCommCreateParams_t;

typedef struct pcclComm_t pcclComm_t;
typedef struct pcclMasterInstanceState_t pcclMasterInstance_t;
typedef struct pcclRankInfo_t pcclRankInfo_t; /**< Named by PCCL, used by no call. */

typedef struct pcclRankUuid_t {
  uint8_t data[16];
} pcclRankUuid_t; /**< Named by PCCL, used by no call. */

typedef struct pcclReduceInfo_t {
  uint32_t local_world_size; /**< Members whose inputs are in the result. */
  uint64_t tx_bytes;         /**< Payload that this peer sent. */
  uint64_t rx_bytes;         /**< Payload that this peer received. */
} pcclReduceInfo_t;

typedef struct pcclReduceOperandDescriptor_t {
  pcclDataType_t datatype;
  pcclDistributionHint_t distribution_hint;
} pcclReduceOperandDescriptor_t;

/** To pcclUint8, pcclInt8 or pcclUint16, for buffers of floats. The type is not read if the algorithm is none. */
typedef struct pcclQuantizationOptions_t {
  pcclDataType_t quantized_datatype;
  pcclQuantizationAlgorithm_t algorithm;
} pcclQuantizationOptions_t;

typedef struct pcclReduceDescriptor_t {
  size_t count; /**< Elements. */
  pcclRedOp_t op;
  uint64_t tag; /**< The same on all members. The four highest numbers are taken. */
  pcclReduceOperandDescriptor_t src_descriptor;
  pcclQuantizationOptions_t quantization_options;
} pcclReduceDescriptor_t;

typedef struct pcclReduceSingleDescriptor_t {
  void* sendbuf;
  void* recvbuf;
  pcclReduceDescriptor_t descriptor;
} pcclReduceOpDescriptor_t;

/** An all-reduce in the background. There is nothing to free. */
typedef struct pcclAsyncReduceOp_t {
  pcclComm_t* comm;
  uint64_t tag;
} pcclAsyncReduceOp_t;

typedef struct pcclTensorInfo_t {
  const char* name; /**< Unique within the state. */
  void* data;
  size_t count; /**< Elements. */
  pcclDataType_t datatype;
  pcclDeviceType_t device_type;
  bool allow_content_inequality; /**< Members of one revision may hold different content. */
} pcclTensorInfo_t;

typedef struct pcclSharedState_t {
  uint64_t revision;
  size_t count;
  pcclTensorInfo_t* infos;
} pcclSharedState_t;

typedef struct pcclSharedStateSyncInfo_t {
  uint64_t tx_bytes; /**< Content that other members got from here. */
  uint64_t rx_bytes; /**< Content that came here. */
} pcclSharedStateSyncInfo_t;

typedef struct pcclBuildInfo_t {
  bool has_cuda_support; /**< Always true: the CUDA driver is found at run time. */
} pcclBuildInfo_t;

/* ----------------------------------------------------------------------------------------- process */

/** Must be called before the calls with communicators; these return pcclNotInitialized until then. Calls with masters
 *  do not need it. A second call does nothing. Does not block. */
PCCL_EXPORT pcclResult_t pcclInit(void);

/** Errors: InvalidArgument (null). */
PCCL_EXPORT pcclResult_t pcclGetBuildInfo(pcclBuildInfo_t* info);

/** The sentence of the last call of this thread that did not succeed: what happened, who and where, what to do. "" if
 *  there was none. Valid until the thread's next call. Not in PCCL. */
PCCL_EXPORT const char* pcclCompatGetLastError(void);

/* ------------------------------------------------------------------------------------ communicator */

/** Copies the parameters. Does not block. Errors: NotInitialized, InvalidArgument (null). */
PCCL_EXPORT pcclResult_t pcclCreateCommunicator(const pcclCommCreateParams_t* params, pcclComm_t** comm_out);

/** Leaves the run, ends calls in flight and frees. Blocks at most one second. Errors: NotInitialized, InvalidArgument
 *  (null). */
PCCL_EXPORT pcclResult_t pcclDestroyCommunicator(pcclComm_t* communicator);

/** Does not block. Errors: NotInitialized, InvalidArgument (null, no such attribute), InvalidUsage (not connected),
 *  MasterConnectionFailed (this peer is out of the run). */
PCCL_EXPORT pcclResult_t pcclGetAttribute(const pcclComm_t* communicator, pcclAttribute_t attribute,
                                          int* p_attribute_out);

/** Joins the run. If nothing listens at the master's address, it fails at once, or after 5 s if the host is silent.
 *  Otherwise it waits for up to an hour until all members call pcclUpdateTopology, which admits this peer. The first
 *  peers of a run are admitted together, one second after the master's start. A failure writes its sentence to stderr.
 *  May be called again after any failure, and after the master has removed this peer.
 *  Errors: NotInitialized, InvalidArgument (null; a master on another machine and no key), InvalidUsage (connected),
 *  MasterConnectionFailed, InternalError (no port, no memory). */
PCCL_EXPORT pcclResult_t pcclConnect(pcclComm_t* communicator);

/** Lets newcomers join. All members of all groups must call it. The loss of a member meanwhile is no error.
 *  Blocks until all have called, or returns at once if nobody waits (hawserCommUpdateTopology). Errors: NotInitialized,
 *  InvalidArgument (null), InvalidUsage (not connected), PendingAsyncOps, UpdateTopologyFailed (a member called
 *  something else or did not come), MasterConnectionFailed. */
PCCL_EXPORT pcclResult_t pcclUpdateTopology(pcclComm_t* communicator);

/** Writes whether newcomers wait that pcclUpdateTopology can admit. All members of the group must call it, and all get
 *  the same answer: true if any of them knows of a newcomer. Several groups may get different answers; the next
 *  pcclUpdateTopology then waits for the later group.
 *  Blocks as an all-reduce does. All-reduces may be in flight. Errors: those of pcclAllReduce, without TooFewPeers. */
PCCL_EXPORT pcclResult_t pcclArePeersPending(const pcclComm_t* communicator, bool* pending_out);

/** Measures the links between the members of the group that no traffic has shown yet. All members must call it. A group
 *  of one has nothing to measure and succeeds if other groups have members. Blocks as hawserCommOptimizeTopology.
 *  Errors: NotInitialized, InvalidArgument (null), InvalidUsage (not connected, alone in the run), PendingAsyncOps,
 *  TopologyOptimizationFailed, MasterConnectionFailed. */
PCCL_EXPORT pcclResult_t pcclOptimizeTopology(const pcclComm_t* communicator);

/* ------------------------------------------------------------------------------------- collectives */

/** Reduces over the group; every member gets the same bits. The buffers are equal or disjoint, on the host or on
 *  devices. On any error `sendbuff` holds its original values. Bounds are those of hawserAllReduce.
 *  Errors: NotInitialized, InvalidArgument (null, zero count, unknown enum value, tag in flight or taken, quantisation
 *  that does not fit), InvalidUsage (not connected), TooFewPeers, RankConnectionLost, MasterConnectionFailed,
 *  InternalError. @param reduce_info_out may be null. */
PCCL_EXPORT pcclResult_t pcclAllReduce(const void* sendbuff, void* recvbuff, const pcclReduceDescriptor_t* descriptor,
                                       const pcclComm_t* communicator, pcclReduceInfo_t* PCCL_NULLABLE reduce_info_out);

/** The same in the background. The buffers belong to the library until pcclAwaitAsyncReduce has returned. The tag stays
 *  in use until then. Up to 4096 may be in flight. RankConnectionLost comes from pcclAwaitAsyncReduce. */
PCCL_EXPORT pcclResult_t pcclAllReduceAsync(const void* sendbuff, void* recvbuff,
                                            const pcclReduceDescriptor_t* descriptor, const pcclComm_t* communicator,
                                            pcclAsyncReduceOp_t* reduce_handle_out);

/** Blocks until the operation has ended, and gives its result. Call it once for each operation. If all others have left
 *  meanwhile, it is RankConnectionLost, and the group's size is 1. Errors: those of pcclAllReduce; InvalidArgument also
 *  if there is no such operation, or another thread awaits it. @param reduce_info_out may be null. */
PCCL_EXPORT pcclResult_t pcclAwaitAsyncReduce(const pcclAsyncReduceOp_t* reduce_handle,
                                              pcclReduceInfo_t* PCCL_NULLABLE reduce_info_out);

/** Reduces a list, up to `max_in_flight` at once, in the order of the list, which is the same on all members. After a
 *  loss it repeats what was not done, until all is done or this peer is alone. Each entry's result comes from one
 *  collective. The info has the group's size at the end, and the payload of what was done. It is written with
 *  TooFewPeers, too.
 *  Errors: those of pcclAllReduce. RankConnectionLost: members called different things, or one did not come. */
PCCL_EXPORT pcclResult_t pcclAllReduceMultipleWithRetry(const pcclReduceOpDescriptor_t* descriptors, size_t count,
                                                        const pcclComm_t* communicator,
                                                        pcclReduceInfo_t* PCCL_NULLABLE reduce_info_out,
                                                        int max_in_flight);

/** Brings the tensors of all members of the group to the same bytes and revision. All members call it with the same
 *  tensors. docs/shared_state.md says which content is elected. A revision may exceed the last agreed one by one at
 *  most. The tensors must not be touched meanwhile. On success `shared_state->revision` is the elected one.
 *  Bounds and memory are those of hawserSharedStateSync, which also says what an error leaves.
 *  Errors: NotInitialized, InvalidArgument (null, a tensor that does not fit), PendingAsyncOps, InvalidUsage (not
 *  connected, alone in the group, members differ, nobody offers), MasterConnectionFailed, InternalError.
 *  @param sync_info_out may be null. */
PCCL_EXPORT pcclResult_t pcclSynchronizeSharedState(const pcclComm_t* communicator, pcclSharedState_t* shared_state,
                                                    pcclSharedStateSyncStrategy_t strategy,
                                                    pcclSharedStateSyncInfo_t* PCCL_NULLABLE sync_info_out);

/* ------------------------------------------------------------------------------------------ master */

/** Copies the address. The port is bound by pcclRunMaster. The addresses 0.0.0.0 and :: mean all interfaces, IPv4 and
 *  IPv6; without a key all loopback addresses. Port 0 takes any free port. Errors: InvalidArgument (null). */
PCCL_EXPORT pcclResult_t pcclCreateMaster(ccoip_socket_address_t listen_address,
                                          pcclMasterInstance_t** p_master_handle_out);

/** Binds the port and serves in threads of the library. A failure writes its sentence to stderr. One run per master.
 *  Errors: InvalidArgument (null; an address of other machines and no key), InvalidUsage (it has run already; port
 *  taken). */
PCCL_EXPORT pcclResult_t pcclRunMaster(pcclMasterInstance_t* master_instance);

/** Where a running master listens, with the real port. Not in PCCL. Errors: InvalidArgument (null), InvalidUsage (it
 *  was never run). */
PCCL_EXPORT pcclResult_t pcclCompatGetMasterAddress(pcclMasterInstance_t* master_instance,
                                                    ccoip_socket_address_t* address_out);

/** Asks the master to end, which it does within a second. Does not block, and may be called from a signal handler.
 *  Errors: InvalidArgument (null), InvalidUsage (it was never run). */
PCCL_EXPORT pcclResult_t pcclInterruptMaster(pcclMasterInstance_t* master_instance);

/** Blocks until pcclInterruptMaster was called and the master has ended. Errors: InvalidArgument (null), InvalidUsage
 *  (it was never run). */
PCCL_EXPORT pcclResult_t pcclMasterAwaitTermination(pcclMasterInstance_t* master_instance);

/** Ends the master if need be, and frees. Errors: InvalidArgument (null). */
PCCL_EXPORT pcclResult_t pcclDestroyMaster(pcclMasterInstance_t* master_instance);

#ifdef __cplusplus
}
#endif
#endif
