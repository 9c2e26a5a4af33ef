/** @file hawser.h
 * Hawser, C99 interface: collectives among peers that join, leave and die, over ordinary TCP.
 *
 * Conventions that hold for every function:
 *  - Every function returns a ::hawserResult_t; `hawserSuccess` is 0. Output arguments are written on
 *    success, and otherwise left as they were unless the function says so.
 *  - After any other result, hawserGetLastError() gives a sentence for a person: what happened, who, in
 *    which phase, what to do. It is kept per thread.
 *  - Handles are safe to use from several threads. What may not run together (two update-topology calls,
 *    update-topology beside a collective, anything beside connect, two collectives with one tag) is
 *    answered with `hawserErrorInvalidUsage`; nothing is undefined, except use of a handle after its
 *    destroy call has begun.
 *  - The library never ends the process, never writes to stdout, and installs no signal handler.
 *  - Times are milliseconds, sizes bytes, counts elements.
 */
#ifndef HAWSER_H
#define HAWSER_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#  if defined(HAWSER_BUILDING_SHARED)
#    define HAWSER_API __declspec(dllexport)
#  elif defined(HAWSER_USING_SHARED)
#    define HAWSER_API __declspec(dllimport)
#  else
#    define HAWSER_API
#  endif
#else
#  define HAWSER_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define HAWSER_VERSION_MAJOR 0
#define HAWSER_VERSION_MINOR 1
#define HAWSER_VERSION_PATCH 0

/** Bytes of a peer's name with its closing zero; of an address "[v6%zone]:port" with its closing zero. */
#define HAWSER_NAME_BYTES 64
#define HAWSER_ADDRESS_BYTES 96

/** What a call came to. The numbers are stable. */
typedef enum hawserResult {
  hawserSuccess = 0,
  /** An argument is unusable (null, unknown enum value, zero count, bad address). Nothing was done. */
  hawserErrorInvalidArgument = 1,
  /** The call does not fit the state of the handle or a call under way. Nothing was done. */
  hawserErrorInvalidUsage = 2,
  /** The group has fewer than two members. Update the topology until others have joined, or wait. */
  hawserErrorTooFewPeers = 3,
  /** A member was lost (died, left, or made no progress). Inputs are intact; call again with the rest. */
  hawserErrorPeerLost = 4,
  /** Members called different things. Inputs are intact. The sentence says who called what. */
  hawserErrorMismatch = 5,
  /** A bound from the config passed. Inputs are intact; the sentence names whom it waited for. */
  hawserErrorTimeout = 6,
  /** The master could not be reached within the bound. This communicator is out of the run: connect again. */
  hawserErrorMasterUnreachable = 7,
  /** The master removed this peer (for example after silence). Connect again to join as a newcomer. */
  hawserErrorExpelled = 8,
  /** The master refused this peer: other protocol version, limits reached. The sentence says why. */
  hawserErrorRefused = 9,
  /** The master was restarted; the members resumed with the next epoch. Inputs are intact; call again. */
  hawserErrorMasterRestarted = 10,
  /** The operating system refused something (port in use, out of memory, out of file descriptors). */
  hawserErrorSystem = 11,
  /** The handle is being destroyed, or the master was stopped, while the call waited. */
  hawserErrorClosed = 12,
  /** A bug in Hawser. Please report it with the sentence. */
  hawserErrorInternal = 13
} hawserResult_t;

typedef enum hawserDataType { hawserFloat32 = 0 } hawserDataType_t;

typedef enum hawserReduceOp {
  hawserSum = 0,
  /** Sum divided by the number of contributors, once, at the end. */
  hawserAvg = 1
} hawserReduceOp_t;

typedef enum hawserPlan {
  /** Chosen per call from size and world size by the cost model. All members must ask for the same. */
  hawserPlanAuto = 0,
  hawserPlanRing = 1,
  hawserPlanDirect = 2
} hawserPlan_t;

typedef enum hawserLogLevel {
  hawserLogError = 0,
  hawserLogWarning = 1,
  hawserLogInfo = 2,
  hawserLogDebug = 3,
  hawserLogOff = -1
} hawserLogLevel_t;

typedef struct hawserMaster* hawserMaster_t;
typedef struct hawserComm* hawserComm_t;

/** Short name of a result, e.g. "peer lost". Never null, static storage. */
HAWSER_API const char* hawserGetResultName(hawserResult_t result);

/** The sentence that belongs to the last call of this thread that did not succeed; "" if there was none.
 *  Valid until the thread's next Hawser call. */
HAWSER_API const char* hawserGetLastError(void);

/** "major.minor.patch" of the library that is loaded. */
HAWSER_API const char* hawserGetVersion(void);

/* ---------------------------------------------------------------------------------------------- log */

/** Called for each log event at or above the level; `message` is one line without a newline, valid during
 *  the call. May be called from any thread of the library, never from two at once. It must return soon and
 *  must not call the library. */
typedef void (*hawserLogCallback_t)(void* user, hawserLogLevel_t level, const char* message);

/** Sets where log lines of this process go; null restores the default (stderr).
 *  Default level: hawserLogWarning. A normal shutdown logs no error and no warning. */
HAWSER_API hawserResult_t hawserSetLogCallback(hawserLogCallback_t callback, void* user);
HAWSER_API hawserResult_t hawserSetLogLevel(hawserLogLevel_t level);

/* ------------------------------------------------------------------------------------------- master */

/** Fill with HAWSER_MASTER_CONFIG_INIT, then change what you need. Zero (or null) in a field added after
 *  `size` means its default. */
typedef struct hawserMasterConfig {
  size_t size; /**< sizeof(hawserMasterConfig_t) of the caller, set by the initialiser. */
  /** "ADDR:PORT", "[V6]:PORT" or "HOST:PORT"; port 0 takes any free port. Null: "0.0.0.0:48500". */
  const char* listen;
  /** A member that says nothing for so long is lost. Default 5000. */
  uint32_t silence_ms;
  /** A member that its neighbours wait for in a collective and that makes no progress for so long (as they
   *  report it) is lost. Default 6000. */
  uint32_t stall_ms;
  /** Members that have called wait so long for a member that is alive and has not. Default 600000. */
  uint32_t call_wait_ms;
  /** After a restart, how long to wait for all former members to resume. Default 5000. */
  uint32_t recovery_ms;
  /** A fresh master collects peers (or members of a run that lost its master) for so long before it forms
   *  the first view. Default 1000. */
  uint32_t bootstrap_ms;
  /** Bound for opening links to newcomers during an update-topology. Default 10000. */
  uint32_t link_open_ms;
  /** Connections held at once, peers or not. Default 4096. */
  uint32_t connections_max;
} hawserMasterConfig_t;

#define HAWSER_MASTER_CONFIG_INIT {sizeof(hawserMasterConfig_t), NULL, 0, 0, 0, 0, 0, 0, 0}

/** Binds the port and listens; peers may dial from now on and are served once the master runs.
 *  Does not block. Errors: InvalidArgument (address), System (port taken; the sentence names it). */
HAWSER_API hawserResult_t hawserMasterCreate(const hawserMasterConfig_t* config, hawserMaster_t* master);

/** The address that the master listens on, with the real port. `buffer` holds HAWSER_ADDRESS_BYTES. */
HAWSER_API hawserResult_t hawserMasterGetAddress(hawserMaster_t master, char* buffer, size_t buffer_bytes);

/** Serves until hawserMasterStop(); blocks the calling thread for that long. One run per master.
 *  Errors: InvalidUsage (runs already). */
HAWSER_API hawserResult_t hawserMasterRun(hawserMaster_t master);

/** Serves in a thread of the library; returns at once. Errors: InvalidUsage (runs already). */
HAWSER_API hawserResult_t hawserMasterStart(hawserMaster_t master);

/** Ends the run within a second; peers see a closed connection, keep their view and redial.
 *  From any thread; not from a signal handler. */
HAWSER_API hawserResult_t hawserMasterStop(hawserMaster_t master);

/** Stops if need be and frees. Null is allowed. */
HAWSER_API hawserResult_t hawserMasterDestroy(hawserMaster_t master);

/* ------------------------------------------------------------------------------------- communicator */

/** Fill with HAWSER_COMM_CONFIG_INIT, then set at least `master`. */
typedef struct hawserCommConfig {
  size_t size;
  /** "HOST:PORT" of the master: IPv4, [IPv6] or host name. Required. */
  const char* master;
  /** For people: shown in errors, logs and tables. At most 63 bytes. Null: "HOSTNAME:PID". */
  const char* name;
  /** Peers of equal group reduce together. Default 0. */
  uint32_t group;
  /** Address (IPv4, IPv6 or host name, no port) that other peers shall dial. Null: what the master sees. */
  const char* advertise_address;
  /** Address to listen on for other peers. Null: all interfaces, IPv4 and IPv6. */
  const char* listen_address;
  /** Ports to listen on, first to last; 0 and 0: any free port. */
  uint16_t port_first;
  uint16_t port_last;
  /** TCP connections per link. Default 4. */
  uint32_t connections_per_link;
  /** Bound of hawserCommConnect, waiting for admission included. Default 3600000. */
  uint32_t connect_ms;
  /** How long to redial a lost master, and how long a blocking call may outlast it. Default 60000. */
  uint32_t master_redial_ms;
  /** Silence of the master after which its connection counts as dead. Default 5000. */
  uint32_t silence_ms;
  /** No progress in a collective for so long: complain to the master about whom we wait for. Default 6000. */
  uint32_t stall_ms;
} hawserCommConfig_t;

#define HAWSER_COMM_CONFIG_INIT {sizeof(hawserCommConfig_t), NULL, NULL, 0, NULL, NULL, 0, 0, 0, 0, 0, 0, 0}

typedef struct hawserCommInfo {
  uint64_t peer_id;             /**< This peer's id in the run. */
  uint64_t epoch;               /**< Number of this group's view; grows with every change. */
  uint32_t world_size;          /**< Admitted members over all groups. */
  uint32_t rank;                /**< Position of this peer in its group's view. */
  uint32_t group;               /**< This peer's group number. */
  uint32_t group_size;          /**< Members in this group's view. */
  uint32_t largest_group_size;  /**< Members in the largest group. */
  uint32_t group_count;         /**< Number of groups that have members. */
} hawserCommInfo_t;

typedef struct hawserMember {
  uint64_t peer_id;
  char name[HAWSER_NAME_BYTES];
  char address[HAWSER_ADDRESS_BYTES]; /**< Where other peers dial it. */
} hawserMember_t;

/** Makes a communicator, opens its listening port and starts its thread. Does not block.
 *  Strings of the config are copied. Errors: InvalidArgument, System (no port free in the range). */
HAWSER_API hawserResult_t hawserCommCreate(const hawserCommConfig_t* config, hawserComm_t* comm);

/** Joins the run: dials the master, waits as pending until the members admit this peer (the first peers of
 *  a run are admitted at once), opens links to all members of its group.
 *  Blocks up to config.connect_ms. May be called again after Expelled, MasterUnreachable, Refused or
 *  Timeout: the peer then joins as a newcomer.
 *  Errors: InvalidUsage (connected already), Timeout, MasterUnreachable, Refused, Closed. */
HAWSER_API hawserResult_t hawserCommConnect(hawserComm_t comm);

/** Leaves the run gracefully (others are told at once), ends calls under way with Closed, frees.
 *  Blocks at most one second. Null is allowed. No other call on the handle may begin after this one has. */
HAWSER_API hawserResult_t hawserCommDestroy(hawserComm_t comm);

/** The current view as this peer knows it. Does not block.
 *  Errors: InvalidUsage (not connected), Expelled, MasterUnreachable. */
HAWSER_API hawserResult_t hawserCommGetInfo(hawserComm_t comm, hawserCommInfo_t* info);

/** Members of this group in rank order: writes up to `capacity` entries and their number in the view to
 *  `count`. Does not block. Errors as hawserCommGetInfo. */
HAWSER_API hawserResult_t hawserCommGetMembers(hawserComm_t comm, hawserMember_t* members, uint32_t capacity,
                                               uint32_t* count);

/** Writes 1 if peers wait for admission, as far as the master has told, else 0. Does not block.
 *  Different members may briefly see different answers: use it to report, and call
 *  hawserCommUpdateTopology in the same place on all members. */
HAWSER_API hawserResult_t hawserCommArePeersPending(hawserComm_t comm, int* pending);

/** Admits pending peers. All members of all groups must call it; it returns when the new view stands, at
 *  once if nobody waits. The death of a member meanwhile is no error: the view that stands is without it.
 *  Blocks until all members have called, at most the master's call_wait_ms, plus link_open_ms for newcomers.
 *  Errors: InvalidUsage (a collective is in flight here, not connected), Mismatch (a member waits in a
 *  collective instead), Timeout, MasterRestarted, MasterUnreachable, Expelled, Closed. */
HAWSER_API hawserResult_t hawserCommUpdateTopology(hawserComm_t comm);

/* --------------------------------------------------------------------------------------- all-reduce */

/** Fill with HAWSER_ALL_REDUCE_OPTIONS_INIT. */
typedef struct hawserAllReduceOptions {
  size_t size;
  hawserReduceOp_t op;
  /** The caller's number for this collective among several in flight. Same on all members. */
  uint64_t tag;
  hawserPlan_t plan;
} hawserAllReduceOptions_t;

#define HAWSER_ALL_REDUCE_OPTIONS_INIT {sizeof(hawserAllReduceOptions_t), hawserSum, 0, hawserPlanAuto}

/** What a collective was. Set `size`, `contributors` and `contributor_capacity` before the call (or use
 *  HAWSER_REDUCE_INFO_INIT for no contributor list); the rest is written on success. */
typedef struct hawserReduceInfo {
  size_t size;
  /** Ids of the members whose inputs are in the result, in rank order; the caller's array, or null. */
  uint64_t* contributors;
  uint32_t contributor_capacity; /**< Entries that `contributors` can take; more are cut. */
  uint32_t world_size;           /**< Number of contributors. */
  uint32_t rank;                 /**< Of this peer among them. */
  hawserPlan_t plan;             /**< Ring or direct: what was used. */
  uint64_t epoch;                /**< The view in which it ran. */
  uint64_t sequence;             /**< The how-manieth on this tag in this view, from 0. */
  uint64_t bytes_sent;           /**< Payload bytes, repeats after broken connections included. */
  uint64_t bytes_received;
  uint64_t transfer_us;          /**< From the call to the own result being whole. */
  uint64_t commit_us;            /**< From then to the master's commit. */
} hawserReduceInfo_t;

#define HAWSER_REDUCE_INFO_INIT {sizeof(hawserReduceInfo_t), NULL, 0, 0, 0, hawserPlanAuto, 0, 0, 0, 0, 0, 0}

/** Reduces `count` elements over the group; every member gets the same bits in `receive`.
 *
 *  `send` and `receive` hold count elements each and are either equal (in place) or disjoint. They must
 *  stay valid and untouched by the caller until the call returns. On any error `send` holds its original
 *  values; an out-of-place `receive` is then unspecified.
 *  Memory beyond the buffers: at most 32 MiB out of place; in place the payload's size on top.
 *  Blocks until all members have called and the result is committed. Bounds: a dead member is noticed at
 *  once or within the master's silence_ms or stall_ms; members that don't call are waited for up to
 *  call_wait_ms; a lost master for up to master_redial_ms.
 *  Several collectives may be in flight from several threads if their tags differ.
 *  Result: exact in the sense that each contributor's element is added exactly once, in an order that
 *  depends on the plan; all members hold the same bits.
 *  Errors: InvalidArgument, InvalidUsage (tag in flight already; update-topology under way; not connected;
 *  buffers overlap in part), TooFewPeers, PeerLost, Mismatch, Timeout, MasterRestarted,
 *  MasterUnreachable, Expelled, System (no memory for an in-place scratch), Closed.
 *  After PeerLost, Mismatch, Timeout and MasterRestarted the same call may be made again at once.
 *  @param options null: sum, tag 0, automatic plan.   @param info may be null. */
HAWSER_API hawserResult_t hawserAllReduce(hawserComm_t comm, const void* send, void* receive, uint64_t count,
                                          hawserDataType_t type, const hawserAllReduceOptions_t* options,
                                          hawserReduceInfo_t* info);

#ifdef __cplusplus
}
#endif
#endif
