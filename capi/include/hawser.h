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

typedef enum hawserDataType {
  hawserFloat32 = 0,
  hawserFloat64 = 1,
  hawserFloat16 = 2,
  hawserBfloat16 = 3,
  hawserInt8 = 4,
  hawserUint8 = 5,
  hawserInt16 = 6,
  hawserUint16 = 7,
  hawserInt32 = 8,
  hawserUint32 = 9,
  hawserInt64 = 10,
  hawserUint64 = 11
} hawserDataType_t;

/** Floats: IEEE arithmetic; 16-bit floats are kept in float32 on the way and rounded once, at the end. Which
 *  order partial sums are added in depends on the plan and on arrival; all members hold the same bits.
 *  Integers: sum and prod wrap modulo 2^bits. */
typedef enum hawserReduceOp {
  hawserSum = 0,
  /** Sum divided by the number of contributors, once, at the end. Integers: the exact mean (it cannot
   *  overflow), rounded to nearest, ties to even. */
  hawserAvg = 1,
  hawserProd = 2,
  /** A NaN in any input gives NaN; +0 is larger than -0. */
  hawserMax = 3,
  hawserMin = 4
} hawserReduceOp_t;

/** How floats are made smaller on the wire. Rounded to nearest, or at random where asked. All members end with
 *  the same bits: the root of each chunk keeps the value that the others decode. In a ring every hop quantises
 *  the partial sum again; the direct plan quantises twice. An infinity or NaN makes its whole group (chunk, or
 *  block) NaN. docs/quantization.md has formulas, error bounds and measured errors. */
typedef enum hawserQuantizationScheme {
  hawserQuantizeNone = 0,
  /** One scale per chunk, from its smallest to its largest value. To uint8, int8 or uint16. */
  hawserQuantizeMinMax = 1,
  /** The same, with 0 exactly representable. To uint8, int8 or uint16. */
  hawserQuantizeZeroPointScale = 2,
  /** A scale for each block of 64 to 1024 values, symmetric around 0. To int8 or int4. */
  hawserQuantizeBlockwise = 3,
  /** To bfloat16 or float16. */
  hawserQuantizeCast = 4
} hawserQuantizationScheme_t;

typedef enum hawserQuantizedType {
  hawserToUint8 = 0,
  hawserToInt8 = 1,
  hawserToUint16 = 2,
  hawserToInt4 = 3,
  hawserToBfloat16 = 4,
  hawserToFloat16 = 5
} hawserQuantizedType_t;

/** For float32, float64, float16 and bfloat16. Same on all members. */
typedef struct hawserQuantization {
  hawserQuantizationScheme_t scheme;
  hawserQuantizedType_t type;
  uint32_t block;      /**< Blockwise: values per scale, a power of two from 64 to 1024. Else 0. */
  uint32_t stochastic; /**< 1: round up or down at random, right on average. */
} hawserQuantization_t;

typedef enum hawserPlan {
  /** Chosen per call by the cost model (docs/planning.md), from what the members have measured of the links between
   *  them; as long as nothing is known, that is direct. All members must ask for the same. */
  hawserPlanAuto = 0,
  hawserPlanRing = 1,
  hawserPlanDirect = 2,
  /** Inside regions, then across, then inside. Direct where no regions are known. */
  hawserPlanHierarchical = 3
} hawserPlan_t;

typedef enum hawserLogLevel {
  hawserLogError = 0,
  hawserLogWarning = 1,
  hawserLogNotice = 2, /**< The default: who joined, left, was lost, came back or was refused. */
  hawserLogInfo = 3,
  hawserLogDebug = 4,
  hawserLogOff = -1
} hawserLogLevel_t;

typedef struct hawserMaster* hawserMaster_t;
typedef struct hawserComm* hawserComm_t;
typedef struct hawserOp* hawserOp_t;
typedef struct hawserResidual* hawserResidual_t;

/** Short name of a result, e.g. "peer lost". Never null, static storage. */
HAWSER_API const char* hawserGetResultName(hawserResult_t result);

/** The sentence that belongs to the last call of this thread that did not succeed; "" if there was none.
 *  Valid until the thread's next Hawser call. */
HAWSER_API const char* hawserGetLastError(void);

/** "major.minor.patch" of the library that is loaded. */
HAWSER_API const char* hawserGetVersion(void);

/* ---------------------------------------------------------------------------------------------- log */

/** Called for each log event at or above the level; `message` is one line without a newline and without a time,
 *  valid during the call. May be called from any thread of the library, never from two at once. It must return soon
 *  and must not call the library. */
typedef void (*hawserLogCallback_t)(void* user, hawserLogLevel_t level, const char* message);

/** Sets where log lines of this process go; null restores the default: stderr. A line there begins with the time in
 *  UTC, as in "2026-11-29T13:05:07.123Z hawser notice: MESSAGE", and has at most 4096 bytes. Hawser never waits for
 *  what reads stderr: lines that it does not take at once are lost, and the next line is preceded by one that tells
 *  how many. Only a file on a disk that hangs can hold a line up.
 *  Default level: hawserLogNotice. A normal shutdown logs no error and no warning. */
HAWSER_API hawserResult_t hawserSetLogCallback(hawserLogCallback_t callback, void* user);
/** Leaves out what matters less than this. At any time, from any thread. Errors: InvalidArgument (no such level). */
HAWSER_API hawserResult_t hawserSetLogLevel(hawserLogLevel_t level);

/* ------------------------------------------------------------------------------------------- master */

/** What the master does with a straggler; which one that is: docs/failures.md. */
typedef enum hawserStragglerPolicy {
  hawserStragglerReport = 0, /**< All members and the master log a warning with its name; hawser status shows it. */
  hawserStragglerExpel = 1,  /**< It is reported and expelled; the others get PeerLost and go on without it. */
} hawserStragglerPolicy_t;

/** Fill with HAWSER_MASTER_CONFIG_INIT, then change what you need. Zero (or null) in a field added after
 *  `size` means its default. */
typedef struct hawserMasterConfig {
  size_t size; /**< sizeof(hawserMasterConfig_t) of the caller, set by the initialiser. */
  /** "ADDR:PORT", "[V6]:PORT", "HOST:PORT", or ":PORT" for all interfaces, IPv4 and IPv6; port 0 takes any free port.
   *  "0.0.0.0:PORT" is all interfaces over IPv4 only, "[::]:PORT" over IPv6 only. Null: ":48500". */
  const char* listen;
  /** A member that says nothing for so long is lost. Default 5000. */
  uint32_t silence_ms;
  /** A member that its neighbours wait for in a collective and that makes no progress for so long (as they
   *  report it) is lost. Default 6000. */
  uint32_t stall_ms;
  /** Members that have called wait so long for a member that is alive and has not. Default 600000. */
  uint32_t call_wait_ms;
  /** How long a member may be away whose connection to the master broke, before it is lost; less if most other members
   *  tell that their links to it are gone, too. And after a restart, how long to wait for all former members. Default 5000. */
  uint32_t recovery_ms;
  /** A fresh master collects peers (or members of a run that lost its master) for so long before it forms
   *  the first view. Default 1000. */
  uint32_t bootstrap_ms;
  /** A newcomer whose links to the members do not all stand after so long is refused. Nobody waits for it meanwhile.
   *  Default 10000. */
  uint32_t link_open_ms;
  /** Connections held at once, peers or not. Default 4096. */
  uint32_t connections_max;
  /** A hawserStragglerPolicy_t: what happens to a member that holds up a collective, which goes on but slowly.
   *  Default hawserStragglerReport. */
  uint32_t straggler_policy;
  /** For so long a member must hold up a collective before it is reported, or expelled. Default 10000. */
  uint32_t straggler_ms;
  /** A member holds one up if its links deliver less than this part of what they did before and the plan counts on:
   *  above 0, at most 1. 0: the default, 0.25. */
  double straggler_ratio;
} hawserMasterConfig_t;

#define HAWSER_MASTER_CONFIG_INIT {sizeof(hawserMasterConfig_t), NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/** Binds the port and listens; peers may dial from now on and are served once the master runs.
 *  Does not block. Errors: InvalidArgument (address), System (port taken; the sentence names it). */
HAWSER_API hawserResult_t hawserMasterCreate(const hawserMasterConfig_t* config, hawserMaster_t* master);

/** The address that the master listens on, with the real port. For ":PORT" it is "0.0.0.0:PORT", which peers on this
 *  host can dial over IPv4. `buffer` holds HAWSER_ADDRESS_BYTES.
 *  Does not block. Errors: InvalidArgument (null, or the buffer is too small: the sentence says for what). */
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
  /** Address (IPv4, IPv6 or host name, no port) that other peers shall dial. Null: what the master sees; if that is an
   *  address of this machine only, the host of `master`. A peer that nobody can dial dials the others. */
  const char* advertise_address;
  /** Address to listen on for other peers. Null: all interfaces, IPv4 and IPv6. */
  const char* listen_address;
  /** Ports to listen on, first to last; 0 and 0: any free port. */
  uint16_t port_first;
  uint16_t port_last;
  /** TCP connections per link. Default: 1 between peers on one host; between hosts 2 to 8 at first (more over
   *  longer ways), then as many as fill the way without overflowing a queue on it, up to 32. At most 64. */
  uint32_t connections_per_link;
  /** Bound of hawserCommConnect, waiting for admission included. Default 3600000. */
  uint32_t connect_ms;
  /** How long to redial a lost master, and how long a blocking call may outlast it. Default 60000. */
  uint32_t master_redial_ms;
  /** Silence of the master after which its connection counts as dead. Default 5000. */
  uint32_t silence_ms;
  /** No progress in a collective for so long: complain to the master about whom we wait for. Default 6000. */
  uint32_t stall_ms;
  /** Payloads carry a checksum (XXH3, 64 bits), except over connections whose ends have proven to each other that they
   *  are on one machine, so that the bytes never leave its memory. 1: there too. */
  uint32_t check_same_host;
  /** What newcomers that prefetch a shared state from this member (hawserSharedStateOffer) may take of its uplink,
   *  whose speed is what recent traffic has shown: 1 to 100. A quarter of that while collectives of this member are
   *  under way. Default 25. */
  uint32_t prefetch_share_percent;
  /** Peers of which each is of no use without the others, such as the ranks (of several groups) that hold the shards
   *  of one replica: they give one number, drawn at random, and how many they are. They are admitted together; if one is
   *  lost, the others are expelled, and come in anew together. One that leaves takes nobody along. Default 0, 0: no
   *  party. At most 1024. */
  uint32_t party_size;
  uint64_t party;
  /** TCP's congestion control towards other hosts, such as "bbr". Null: the system's. Create fails with
   *  InvalidArgument, and names those that there are, if the system does not let this process choose it. */
  const char* congestion_control;
  /** Of each connection to another host, as SO_SNDBUF and SO_RCVBUF: then the system does not fit them itself, which
   *  it mostly does better. Default 0: the system's. At most 1 GiB. */
  uint32_t send_buffer_bytes;
  uint32_t receive_buffer_bytes;
  /** The first members of the group shall be so many at least: hawserCommConnect of the first ones waits for the others.
   *  If they differ, what most of them wish counts. No meaning once the group has members. Default 0: whoever is there
   *  bootstrap_ms after the master's start. At most 1024. */
  uint32_t min_peers;
  /** Threads of this communicator that carry its connections and work on payloads (sums, checksums, quantisation,
   *  compression). 1: one thread does everything. More: that one decides, and the others carry the connections between
   *  them; a link to a peer on the same machine then has one connection for each of these. Default 0: 1 on two cores or
   *  fewer, else half as many as there are cores and one more, at most 5. At most 64. */
  uint32_t io_threads;
} hawserCommConfig_t;

#define HAWSER_COMM_CONFIG_INIT \
  {sizeof(hawserCommConfig_t), NULL, NULL, 0, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0, 0, 0, 0}

/** Fill with HAWSER_COMM_INFO_INIT. */
typedef struct hawserCommInfo {
  size_t size;
  uint64_t peer_id;             /**< This peer's id in the run. */
  uint64_t epoch;               /**< Number of this group's view; grows with every change. */
  uint32_t world_size;          /**< Admitted members over all groups. */
  uint32_t rank;                /**< Position of this peer in its group's view. */
  uint32_t group;               /**< This peer's group number. */
  uint32_t group_size;          /**< Members in this group's view. */
  uint32_t largest_group_size;  /**< Members in the largest group. */
  uint32_t group_count;         /**< Number of groups that have members. */
} hawserCommInfo_t;

#define HAWSER_COMM_INFO_INIT {sizeof(hawserCommInfo_t), 0, 0, 0, 0, 0, 0, 0, 0}

/** Fill the first entry of an array with HAWSER_MEMBER_INIT; its size holds for all. */
typedef struct hawserMember {
  size_t size;
  uint64_t peer_id;
  char name[HAWSER_NAME_BYTES];
  char address[HAWSER_ADDRESS_BYTES]; /**< Where other peers dial it. */
} hawserMember_t;

#define HAWSER_MEMBER_INIT {sizeof(hawserMember_t), 0, "", ""}

/** Makes a communicator, opens its listening port and starts its thread. Does not block.
 *  Strings of the config are copied. Errors: InvalidArgument, System (no port free in the range). */
HAWSER_API hawserResult_t hawserCommCreate(const hawserCommConfig_t* config, hawserComm_t* comm);

/** States something that all members of the group must have alike beyond their calls, such as the hyperparameters of an
 *  optimiser: "sync_every", "500". Terms are compared at the admission: a newcomer whose terms are not those of the
 *  members is refused, and the sentence has both values. They hold from the next hawserCommConnect on.
 *  Does not block. `name` has 1 to 63 bytes, `value` at most 127, both printable UTF-8 text; a null value takes the term
 *  back. At most 32. Errors: InvalidArgument, InvalidUsage (connected, or connecting), Closed. */
HAWSER_API hawserResult_t hawserCommSetTerm(hawserComm_t comm, const char* name, const char* value);

/** Joins the run: dials the master, opens links to all members of its group while they go on, and waits until they admit
 *  this peer, which they do when all of them call hawserCommUpdateTopology.
 *  The first peers of a run are admitted together, bootstrap_ms after the master's start, or when min_peers are there.
 *  Blocks up to config.connect_ms; the log tells why after 2 s, and every 10 s, while the master cannot be reached. May
 *  be called again after Expelled, MasterUnreachable, Refused or Timeout: the peer then joins as a newcomer.
 *  Errors: InvalidUsage (connected already), Timeout, MasterUnreachable (also at once, if what answers there is no
 *  master), Refused (other version, other terms, limits reached, no link to a member came to stand within the master's
 *  link_open_ms, or an address that others cannot use), Closed. */
HAWSER_API hawserResult_t hawserCommConnect(hawserComm_t comm);

/** Leaves the run gracefully (others are told at once) and ends calls under way with Closed. The handle stays, and every
 *  later call with it ends with Closed, but for hawserCommDestroy: for programs in which other threads may be about to
 *  call. Blocks at most one second. Again: does nothing. */
HAWSER_API hawserResult_t hawserCommClose(hawserComm_t comm);

/** Leaves the run gracefully (others are told at once), ends calls under way with Closed, frees.
 *  Blocks at most one second. Null is allowed. No other call on the handle may begin after this one has. */
HAWSER_API hawserResult_t hawserCommDestroy(hawserComm_t comm);

/** The current view as this peer knows it. Does not block.
 *  Errors: InvalidArgument (the size is not set), InvalidUsage (not connected), Expelled, MasterUnreachable. */
HAWSER_API hawserResult_t hawserCommGetInfo(hawserComm_t comm, hawserCommInfo_t* info);

/** Members of this group in rank order: writes up to `capacity` entries and their number in the view to
 *  `count`. Entries lie as far apart as the `size` of the first one says, which the caller sets; all that are
 *  written get it. Does not block. Errors as hawserCommGetInfo.
 *  @param members null with a capacity of 0: only the number is asked for. */
HAWSER_API hawserResult_t hawserCommGetMembers(hawserComm_t comm, hawserMember_t* members, uint32_t capacity,
                                               uint32_t* count);

/** Writes 1 if peers wait for admission that the next update-topology can let in, as far as the master has told, else 0.
 *  Does not block. Errors: InvalidUsage (not connected), Closed.
 *  Different members may briefly see different answers: use it to report, and call
 *  hawserCommUpdateTopology in the same place on all members. */
HAWSER_API hawserResult_t hawserCommArePeersPending(hawserComm_t comm, int* pending);

/** Admits pending peers whose links to all members stand: nobody is waited for whose links do not. All members of all
 *  groups must call it; it returns when the new view stands, at once if nobody waits. The death of a member meanwhile is
 *  no error: the view that stands is without it. The first call of a newcomer succeeds at once if the members that
 *  admitted it are in a collective already, so that a loop may begin with this call.
 *  Blocks until all members have called, at most the master's call_wait_ms.
 *  Errors: InvalidUsage (a collective is in flight here, not connected), Mismatch (a member waits in a
 *  collective instead), Timeout, MasterRestarted, MasterUnreachable, Expelled, Closed. */
HAWSER_API hawserResult_t hawserCommUpdateTopology(hawserComm_t comm);

/** What hawserCommWait waits for: any of these that is not zero. Fill with HAWSER_WAIT_OPTIONS_INIT. */
typedef struct hawserWaitOptions {
  size_t size;
  uint32_t joiner;     /**< 1: somebody waits for admission that the next update-topology can let in. */
  uint32_t group_size; /**< The group has so many members at least. */
  uint64_t epoch;      /**< Another view than that of this epoch (hawserCommInfo_t) is in force: somebody joined or left. */
  uint32_t timeout_ms; /**< Bound. UINT32_MAX: as long as this peer is a member. Default 600000. */
} hawserWaitOptions_t;

#define HAWSER_WAIT_OPTIONS_INIT {sizeof(hawserWaitOptions_t), 0, 0, 0, 0}

/** What held when hawserCommWait ended; any number of these, added. */
#define HAWSER_MET_JOINER 1u
#define HAWSER_MET_GROUP_SIZE 2u
#define HAWSER_MET_EPOCH 4u

/** Blocks until something of what is asked for holds, and returns at once if it does already: for members that have
 *  nothing to do until somebody comes or goes. Takes no part in anything: other calls may go on meanwhile, and any number
 *  of threads may wait. Members may see things at different moments.
 *  Errors: InvalidArgument (nothing is asked for), InvalidUsage (not connected), Timeout, MasterUnreachable, Expelled,
 *  Closed.  @param met may be null. */
HAWSER_API hawserResult_t hawserCommWait(hawserComm_t comm, const hawserWaitOptions_t* options, uint32_t* met);

/** Called while hawserCommOptimizeTopology lasts, in the calling thread, when this member is done with another pair:
 *  with `pairs_done` of `pairs_total` other members. It must not call the library with this communicator. */
typedef void (*hawserOptimizeCallback_t)(void* user, uint64_t pairs_done, uint64_t pairs_total);

/** Fill with HAWSER_OPTIMIZE_OPTIONS_INIT. */
typedef struct hawserOptimizeOptions {
  size_t size;
  /** 1: probe all links, those that are known too. */
  uint32_t all_pairs;
  /** Not 0: probe those too whose measurement is older. */
  uint32_t age_ms_max;
  /** Of one probe, from one member to another. Default: 3.5 round trips, 160 to 900 ms; many end earlier. At most
   *  10000. */
  uint32_t probe_ms_max;
  /** After so long this member begins no further probe; what is not probed then stays unknown. Default 60000. */
  uint32_t total_ms_max;
  /** Bytes of one probe: 65536 to 1073741824. The same on all members. Default 67108864. */
  uint64_t probe_bytes_max;
  hawserOptimizeCallback_t progress; /**< Or null. */
  void* progress_user;               /**< Handed to it. */
} hawserOptimizeOptions_t;

#define HAWSER_OPTIMIZE_OPTIONS_INIT {sizeof(hawserOptimizeOptions_t), 0, 0, 0, 0, 0, NULL, NULL}

/** Fill with HAWSER_OPTIMIZE_INFO_INIT. */
typedef struct hawserOptimizeInfo {
  size_t size;
  uint64_t epoch;         /**< The view in which it ran. */
  uint64_t bytes_sent;    /**< Of probes. */
  uint64_t bytes_received;
  uint64_t total_us;      /**< From the call to its end. */
  uint64_t wait_us;       /**< Of that, until all members had called. */
  uint32_t world_size;    /**< Members that took part. */
  uint32_t rank;
  uint32_t pairs;         /**< Other members with whom this one probed, in either direction. */
  uint32_t measured;      /**< Links from this member to another that were probed with success. */
  uint32_t lower_bounds;  /**< Of these, those that carry more than a probe could show. */
  uint32_t silent;        /**< Links from this member over which nothing came through in time: still unknown. */
} hawserOptimizeInfo_t;

#define HAWSER_OPTIMIZE_INFO_INIT {sizeof(hawserOptimizeInfo_t), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/** Measures the links between the members of this group of which no traffic has shown the rate yet (or which the
 *  options ask for), by short bursts; what comes next, of all tags, is planned from them by all members alike. All
 *  members of the group must call it, and nothing else beside it. Each is in one pair at a time, both directions at
 *  once; pairs that share no member go side by side: with N members that takes about N - 1 probes' time. Links within one
 *  host are not probed: if there are no others, it only meets the other members.
 *  A link whose probe did not reach its full rate in time is known by a lower bound, and is probed again next time.
 *  Blocks until all have called and all probes are over; bounds for lost, silent and missing members as for
 *  hawserAllReduce. What was measured before an error is not lost: it counts from the next commit on.
 *  Errors: InvalidArgument, InvalidUsage (a collective or update-topology is in flight here, not connected, more than
 *  128 members), TooFewPeers, PeerLost, Mismatch (a member called something else, or another probe_bytes_max), Timeout,
 *  MasterRestarted, MasterUnreachable, Expelled, Closed.  @param options, info may be null. */
HAWSER_API hawserResult_t hawserCommOptimizeTopology(hawserComm_t comm, const hawserOptimizeOptions_t* options,
                                                     hawserOptimizeInfo_t* info);

/* ------------------------------------------------------------------------------------- collectives */

/** Options of reductions. Fill with HAWSER_ALL_REDUCE_OPTIONS_INIT. */
typedef struct hawserAllReduceOptions {
  size_t size;
  hawserReduceOp_t op;
  /** The caller's number for this collective among several in flight. Same on all members. */
  uint64_t tag;
  hawserPlan_t plan;
  hawserQuantization_t quantization;
  /** Error feedback: what quantisation loses in this call is added to the next call with this handle. Null:
   *  none. Only with a quantisation, for sum and avg, all-reduce only. */
  hawserResidual_t residual;
  /** 1: compress what this member sends without loss (byte-shuffled, zstd). Turns itself off, link by link,
   *  where values don't shrink or the link is faster than the compression. Need not be the same on all. */
  uint32_t compress;
  /** The epoch (hawserCommInfo_t) that the caller's idea of ranks and sizes comes from, for reduce-scatter;
   *  if another view is in force the call ends with PeerLost. 0: that of the moment of the call. */
  uint64_t epoch;
} hawserAllReduceOptions_t;

#define HAWSER_ALL_REDUCE_OPTIONS_INIT                                                                          \
  {sizeof(hawserAllReduceOptions_t), hawserSum, 0, hawserPlanAuto,                                              \
   {hawserQuantizeNone, hawserToUint8, 0, 0}, NULL, 0, 0}

/** Options of the other collectives. Fill with HAWSER_COLLECTIVE_OPTIONS_INIT. */
typedef struct hawserCollectiveOptions {
  size_t size;
  uint64_t tag;
  hawserPlan_t plan;
  uint32_t compress; /**< As above. */
  uint64_t epoch;    /**< As above. */
} hawserCollectiveOptions_t;

#define HAWSER_COLLECTIVE_OPTIONS_INIT {sizeof(hawserCollectiveOptions_t), 0, hawserPlanAuto, 0, 0}

#define HAWSER_REASON_BYTES 96

/** What a collective was. Set `size`, `contributors` and `contributor_capacity` before the call (or use
 *  HAWSER_REDUCE_INFO_INIT for no contributor list); the rest is written on success. */
typedef struct hawserReduceInfo {
  size_t size;
  /** Ids of the members whose inputs are in the result, in rank order; the caller's array, or null. */
  uint64_t* contributors;
  uint32_t contributor_capacity; /**< Entries that `contributors` can take; more are cut. */
  uint32_t world_size;           /**< Number of contributors. */
  uint32_t rank;                 /**< Of this peer among them. */
  hawserPlan_t plan;             /**< Not Auto: what was used. */
  uint64_t epoch;                /**< The view in which it ran. */
  uint64_t sequence;             /**< The how-manieth on this tag in this view, from 0. */
  uint64_t bytes_sent;           /**< Payload bytes, repeats after broken connections included. */
  uint64_t bytes_received;
  uint64_t transfer_us;          /**< From all having called to the own result being whole. */
  uint64_t commit_us;            /**< From then to the master's commit. */
  uint64_t wait_us;              /**< From the call until all whose data comes here had called. */
  uint64_t reduce_us;            /**< Of wait and transfer, spent computing. */
  uint32_t attempts;             /**< 1, or how often hawserAllReduceMany had to call. */
  char plan_reason[HAWSER_REASON_BYTES]; /**< Why this plan, in words. */
  uint64_t predicted_us; /**< What the plan was expected to take, commit included; 0: the links are not measured. */
} hawserReduceInfo_t;

#define HAWSER_REDUCE_INFO_INIT \
  {sizeof(hawserReduceInfo_t), NULL, 0, 0, 0, hawserPlanAuto, 0, 0, 0, 0, 0, 0, 0, 0, 0, "", 0}

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
 *  Result: exact in the sense that each contributor's element is counted exactly once, in an order that
 *  depends on the plan; all members hold the same bits.
 *  Errors: InvalidArgument, InvalidUsage (tag in flight already; update-topology under way; not connected;
 *  buffers overlap in part), TooFewPeers, PeerLost, Mismatch, Timeout, MasterRestarted,
 *  MasterUnreachable, Expelled, System (no memory for an in-place scratch), Closed.
 *  After PeerLost, Mismatch, Timeout and MasterRestarted the same call may be made again at once.
 *  @param options null: sum, tag 0, automatic plan.   @param info may be null. */
HAWSER_API hawserResult_t hawserAllReduce(hawserComm_t comm, const void* send, void* receive, uint64_t count,
                                          hawserDataType_t type, const hawserAllReduceOptions_t* options,
                                          hawserReduceInfo_t* info);

/** Each member gets its share of the reduction: `send` holds count elements for every rank, in rank order
 *  (count * group size in all), `receive` count elements. Disjoint, or in place: receive ==
 *  send + rank * count elements. Input, errors, bounds and memory as for hawserAllReduce; the payload is the
 *  receive buffer. Plan: the climbing half of an all-reduce. */
HAWSER_API hawserResult_t hawserReduceScatter(hawserComm_t comm, const void* send, void* receive, uint64_t count,
                                              hawserDataType_t type, const hawserAllReduceOptions_t* options,
                                              hawserReduceInfo_t* info);

/** Everybody's `count` elements go to everybody: `receive` holds count elements of every rank, in rank order
 *  (count * group size in all). Disjoint, or in place: send == receive + rank * count elements. On any error
 *  `send` is as it was; the rest of `receive` is unspecified. Errors and bounds as for hawserAllReduce. */
HAWSER_API hawserResult_t hawserAllGather(hawserComm_t comm, const void* send, void* receive, uint64_t count,
                                          hawserDataType_t type, const hawserCollectiveOptions_t* options,
                                          hawserReduceInfo_t* info);

/** The `count` elements in the root's `send` go to everybody's `receive`. `root` is a rank, the same on all
 *  members; the others' `send` is not looked at and may be null. At the root the buffers are equal or
 *  disjoint. After any error the others' `receive` is unspecified. Errors and bounds as for hawserAllReduce. */
HAWSER_API hawserResult_t hawserBroadcast(hawserComm_t comm, const void* send, void* receive, uint64_t count,
                                          hawserDataType_t type, uint32_t root,
                                          const hawserCollectiveOptions_t* options, hawserReduceInfo_t* info);

/** Returns when all members have called. Errors and bounds as for hawserAllReduce. */
HAWSER_API hawserResult_t hawserBarrier(hawserComm_t comm, const hawserCollectiveOptions_t* options,
                                        hawserReduceInfo_t* info);

/* ------------------------------------------------------------------------------------ in background */

/** As hawserAllReduce, but returns at once with a handle. The buffers, and the residual, belong to the
 *  library until the operation has ended. Any number of tags may be in flight (up to 4096); they share the
 *  links fairly. Errors found at once: InvalidArgument, InvalidUsage, Closed, Expelled, MasterUnreachable;
 *  then there is no handle. All others come from hawserOpWait. */
HAWSER_API hawserResult_t hawserAllReduceAsync(hawserComm_t comm, const void* send, void* receive,
                                               uint64_t count, hawserDataType_t type,
                                               const hawserAllReduceOptions_t* options, hawserOp_t* op);

/** Blocks until the operation has ended, or for `timeout_ms`. 0: looks and does not wait. From 2^40 on, such as
 *  UINT64_MAX: as long as it takes, which is bounded as for hawserAllReduce. Gives what it came to, again and
 *  again, also after hawserCommDestroy; Timeout from a timeout_ms that passed is told apart by hawserOpTest.
 *  Several threads may wait. @param info may be null. */
HAWSER_API hawserResult_t hawserOpWait(hawserOp_t op, uint64_t timeout_ms, hawserReduceInfo_t* info);

/** Writes 1 if the operation has ended, well or not, else 0. Does not block. Errors: InvalidArgument (null). */
HAWSER_API hawserResult_t hawserOpTest(hawserOp_t op, int* ended);

/** Waits for the end if need be, and frees. Null is allowed. May be called after hawserCommDestroy, which
 *  ends operations with Closed. */
HAWSER_API hawserResult_t hawserOpDestroy(hawserOp_t op);

/* --------------------------------------------------------------------------------------- many at once */

/** One tensor of a list: as for hawserAllReduce. */
typedef struct hawserTensor {
  const void* send;
  void* receive;
  uint64_t count;
  hawserDataType_t type;
} hawserTensor_t;

/** Fill with HAWSER_MANY_OPTIONS_INIT. Same on all members, but for `compress` and `in_flight`. */
typedef struct hawserManyOptions {
  size_t size;
  hawserReduceOp_t op;
  /** Tags from this one on are used, as many as there are tensors. */
  uint64_t first_tag;
  hawserPlan_t plan;
  hawserQuantization_t quantization; /**< Of floats; other tensors go as they are. */
  uint32_t compress;
  /** Collectives in flight at once. Default 8. */
  uint32_t in_flight;
  /** Small tensors of one type are put together up to so many bytes. Default 4 MiB; 1: never. */
  uint32_t fuse_bytes;
} hawserManyOptions_t;

#define HAWSER_MANY_OPTIONS_INIT                                                                                \
  {sizeof(hawserManyOptions_t), hawserSum, 0, hawserPlanAuto, {hawserQuantizeNone, hawserToUint8, 0, 0}, 0, 0, 0}

typedef struct hawserManyInfo {
  size_t size;
  uint64_t tensors;      /**< That are reduced. All of them on success. */
  uint64_t collectives;  /**< That it took: fewer than tensors where small ones were put together. */
  uint32_t attempts;     /**< 1, and 1 more for each time that a loss ended some of them. */
  /** Contributors of the tensors differ if a member was lost in between: the fewest and the most. */
  uint32_t world_size_least;
  uint32_t world_size_most;
  uint64_t bytes_sent;
  uint64_t bytes_received;
  uint64_t total_us;
} hawserManyInfo_t;

#define HAWSER_MANY_INFO_INIT {sizeof(hawserManyInfo_t), 0, 0, 0, 0, 0, 0, 0, 0}

/** Reduces a list of tensors that share no memory, several at once, the same list on all members, and calls again what a loss (or
 *  a restart of the master) undid until all is done. Every tensor's result is one collective's, with the same
 *  bits and the same contributors on all members. On an error, each tensor either has its result (the same
 *  tensors on all members) or its input is intact; `done`, unless null, gets 1 or 0 for each.
 *  Blocks as long as the collectives do, and as retries go on. Memory as for in_flight calls, and twice
 *  fuse_bytes for each. Errors: TooFewPeers (the others are gone), and those of hawserAllReduce that a retry
 *  does not mend: InvalidArgument, InvalidUsage, Mismatch, Timeout, MasterUnreachable, Expelled, System,
 *  Closed. @param options, info, done may be null. */
HAWSER_API hawserResult_t hawserAllReduceMany(hawserComm_t comm, const hawserTensor_t* tensors, uint64_t count,
                                              const hawserManyOptions_t* options, hawserManyInfo_t* info,
                                              uint8_t* done);

/* ------------------------------------------------------------------------------------ error feedback */

/** Keeps what quantisation lost, element by element, for one tensor of `count` elements: a chunk is quantised
 *  once at each member, and the error of that is added to the member's next contribution (Seide et al. 2014;
 *  Karimireddy et al. 2019). A call that fails leaves it as it was. In use by one call at a time.
 *  Memory: 8 bytes per element, 16 for float64. Errors: InvalidArgument (not a float type), System. */
HAWSER_API hawserResult_t hawserResidualCreate(uint64_t count, hawserDataType_t type, hawserResidual_t* residual);
/** Forgets what is owed. Errors: InvalidUsage (in use). */
HAWSER_API hawserResult_t hawserResidualReset(hawserResidual_t residual);
/** The root mean square of what is owed. Does not block, but reads all of it. Errors: InvalidUsage (in use). */
HAWSER_API hawserResult_t hawserResidualGetNorm(hawserResidual_t residual, double* root_mean_square);
/** Frees. Errors: InvalidUsage (in use; nothing is freed). Null is allowed. */
HAWSER_API hawserResult_t hawserResidualDestroy(hawserResidual_t residual);

#ifdef __cplusplus
}
#endif
#endif
