/** @file hawser.h
 *  Hawser, C99 interface: collectives among peers that join, leave and die, over ordinary TCP.
 *
 *  Conventions that hold for every function:
 *  - Every function returns a ::hawserResult_t; `hawserSuccess` is 0. Output arguments are written on success.
 *    Otherwise they are left as they were, unless the function says so.
 *  - After any other result, hawserGetLastError() gives a sentence for a person: what happened, who and where, what to
 *    do. It is kept per thread. docs/errors.md has a table of all results.
 *  - Handles are safe to use from several threads. Some calls may not run at the same time: two update-topology calls,
 *    update-topology and a collective, connect and anything else, two collectives with one tag. The later one returns
 *    `hawserErrorInvalidUsage`. Nothing is undefined, except use of a handle after its destroy call has begun.
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
/** Bytes of a key in hexadecimal digits, with its closing zero. */
#define HAWSER_KEY_BYTES 65

/** The result of a call. The numbers are stable. */
typedef enum hawserResult {
  hawserSuccess = 0,
  /** An argument is unusable (null, unknown enum value, zero count, bad address). Nothing was done. */
  hawserErrorInvalidArgument = 1,
  /** The call does not fit the state of the handle or a call in flight. Nothing was done. */
  hawserErrorInvalidUsage = 2,
  /** This peer is alone in its group. Wait for others with hawserCommWait, then call update-topology. */
  hawserErrorTooFewPeers = 3,
  /** A member was lost (died, left, or made no progress). Inputs are intact; call again with the rest. */
  hawserErrorPeerLost = 4,
  /** Members called different things. Inputs are intact. The sentence says who called what. */
  hawserErrorMismatch = 5,
  /** A time-out of the configuration passed. Inputs are intact. The sentence names whom the call waited for. */
  hawserErrorTimeout = 6,
  /** The master could not be reached in time. This communicator is out of the run: connect again. */
  hawserErrorMasterUnreachable = 7,
  /** The master removed this peer (for example after silence). Connect again to join as a newcomer. */
  hawserErrorExpelled = 8,
  /** The master refused this peer: other protocol version, other settings, no link to a member, limits reached. The
   *  sentence says why. */
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

/** Floats: IEEE arithmetic. 16-bit floats are summed in float32 and rounded once, at the end. The order in which
 *  partial sums are added depends on the plan and on arrival. All members hold the same bits.
 *  Integers: sum and prod wrap modulo 2^bits. */
typedef enum hawserReduceOp {
  hawserSum = 0,
  /** The sum divided by the number of contributors, once, at the end. Integers: the exact mean, rounded to nearest,
   *  ties to even. It cannot overflow. */
  hawserAvg = 1,
  hawserProd = 2,
  /** A NaN in any input gives NaN; +0 is larger than -0. */
  hawserMax = 3,
  hawserMin = 4
} hawserReduceOp_t;

/** How floats are made smaller on the wire. If in doubt take blockwise int8 with blocks of 256:
 *  `{hawserQuantizeBlockwise, hawserToInt8, 256, 0}`. It sends a quarter of the bytes of float32, and large values do
 *  not spoil small ones far away. With one scale per chunk (min_max, zero_point_scale) they do. docs/quantization.md
 *  compares all schemes.
 *  Values are rounded to nearest, or at random if `stochastic` is set. All members end with the same bits: the root of
 *  each chunk keeps the value that the others decode. The direct plan quantises twice; a ring quantises the partial sum
 *  at every hop. An infinity or NaN makes its whole chunk or block NaN. */
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

/** A choice of scheme and type, for float32, float64, float16 and bfloat16. It must be the same on all members. */
typedef struct hawserQuantization {
  hawserQuantizationScheme_t scheme;
  hawserQuantizedType_t type;
  uint32_t block;      /**< Blockwise: values per scale, a power of two from 64 to 1024. Otherwise 0. */
  uint32_t stochastic; /**< 1: values are rounded up or down at random, so that errors average out. */
} hawserQuantization_t;

typedef enum hawserPlan {
  /** Chosen for each call from the measured links (docs/planning.md). Direct as long as nothing is measured. All
   *  members must ask for the same. */
  hawserPlanAuto = 0,
  hawserPlanRing = 1,
  hawserPlanDirect = 2,
  /** Reduces inside regions, then across regions, then spreads the result inside. Direct if no regions are known.
   *  Groups of more than 128 members, which have not all links, always take this one with rows of ranks for regions, or
   *  a ring. */
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

/** Called for each log event at or above the level; `message` is one line without a newline and without a time, valid
 *  during the call. May be called from any thread of the library, never from two at once. It must return soon and must
 *  not call the library. */
typedef void (*hawserLogCallback_t)(void* user, hawserLogLevel_t level, const char* message);

/** Sets where log lines of this process go. Null restores the default: stderr. A line there begins with the time in
 *  UTC, as in "2026-11-29T13:05:07.123Z hawser notice: MESSAGE", and has at most 4096 bytes. Hawser never waits for the
 *  reader of stderr. Lines that the reader does not take at once are lost, and the next line says how many. Only a file
 *  on a disk that hangs can delay a line.
 *  Default level: hawserLogNotice. A normal shutdown logs no error and no warning. */
HAWSER_API hawserResult_t hawserSetLogCallback(hawserLogCallback_t callback, void* user);
/** Drops log lines below this level. At any time, from any thread. Errors: InvalidArgument (no such level). */
HAWSER_API hawserResult_t hawserSetLogLevel(hawserLogLevel_t level);

/* ------------------------------------------------------------------------------------------- master */

/** What the master does with a straggler. docs/failures.md says which member is one. */
typedef enum hawserStragglerPolicy {
  hawserStragglerReport = 0, /**< All members and the master log a warning with its name. hawser status shows it. */
  hawserStragglerExpel = 1,  /**< It is reported and expelled. The others get PeerLost and go on without it. */
} hawserStragglerPolicy_t;

/** Fill with HAWSER_MASTER_CONFIG_INIT, then change what you need. Zero or null in a field means its default. */
typedef struct hawserMasterConfig {
  size_t size; /**< sizeof(hawserMasterConfig_t) of the caller, set by the initialiser. */
  /** "ADDR:PORT", "[V6]:PORT", "HOST:PORT", or ":PORT" for all interfaces, IPv4 and IPv6; port 0 takes any free port.
   *  "0.0.0.0:PORT" is all interfaces over IPv4 only, "[::]:PORT" over IPv6 only. Null: ":48500". */
  const char* listen;
  /** A member that is silent for so long is lost. Default 5000. */
  uint32_t silence_ms;
  /** A member is lost if its neighbours wait for it in a collective and report no progress for so long. Default
   *  6000. */
  uint32_t stall_ms;
  /** How long members that have called wait for a member that is alive and has not called. Default 600000. */
  uint32_t call_wait_ms;
  /** How long a member may be away after its connection to the master broke; then it is lost. It is lost sooner if most
   *  other members report that their links to it are broken, too. After a restart of the master: how long it waits for
   *  former members whose links stand; for others at most silence_ms, and a second if most links to them are broken.
   *  Default 5000. */
  uint32_t recovery_ms;
  /** How long a fresh master collects peers, or members of a run that lost its master, before it forms the first view.
   *  Default 1000. */
  uint32_t bootstrap_ms;
  /** A newcomer is refused if it has no link to some member after so long. Nobody waits for it meanwhile.
   *  Default 10000. */
  uint32_t link_open_ms;
  /** Connections that the master holds at once, from peers and from others. Default 4096. */
  uint32_t connections_max;
  /** A hawserStragglerPolicy_t: what happens to a member whose slow links hold up a collective.
   *  Default hawserStragglerReport. */
  uint32_t straggler_policy;
  /** How long a member must hold up a collective before it is reported or expelled. Default 10000. */
  uint32_t straggler_ms;
  /** A link is slow if it delivers less than this part of what the plan expects from earlier measurements. Above 0, at
   *  most 1. Default 0.25. */
  double straggler_ratio;
  /** The run's secret (`hawser keygen FILE`), or an issued key of an operator. With it all connections are under
   *  TLS 1.3, and only holders of keys of the run are heard. Null: what HAWSER_SECRET_FILE names, if anything. Without
   *  a key the master listens on loopback addresses only: all of them if `listen` names no address. */
  const char* secret_file;
  /** A file of rules: whom the master admits (docs/operations.md). Changes by operators are written to it. It need not
   *  be there. Null: none, and changes end with the master. */
  const char* rules_file;
  /** 1: without a key the master listens to other machines, in plain, to whoever comes. Also if HAWSER_INSECURE
   *  is 1. */
  uint32_t insecure;
  /** All masters of the run, as its peers' `master` has them: "HOST:PORT,HOST:PORT", at most 8; its own address may be
   *  among them. One of them serves the run, the others stand by: one takes it over when more than half of its members
   *  come to it. Each needs the list. Null: this master is the only one. */
  const char* masters;
  /** 1: it takes runs over, and begins none. One master of the list has 0: it begins the run, once it has reached all
   *  others. */
  uint32_t standby;
  /** "etcd://HOST:PORT,HOST:PORT/NAME", or "etcds://..." for TLS: whoever of the masters holds this lease serves the
   *  run, with whichever of its members come, also with fewer than half. All masters of the list have the same.
   *  docs/failures.md says what that costs. Null: there is none, and more than half of the members decide. */
  const char* lease;
  /** For etcds://: a file with the certificates that sign that of the etcd. Null: the system's. */
  const char* lease_ca;
  /** The certificate that this master shows to the etcd. Null: none. */
  const char* lease_cert;
  /** The key of that certificate. Null: none. */
  const char* lease_key;
} hawserMasterConfig_t;

#define HAWSER_MASTER_CONFIG_INIT \
  {sizeof(hawserMasterConfig_t), NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, 0, NULL, 0, NULL, NULL, NULL, NULL}

/** Binds the port and listens. Peers may dial from now on. They are served once the master runs.
 *  Reads secret_file and rules_file. Errors: InvalidArgument (address, lease, file, an address of other machines
 *  without a key), System (port taken; the sentence names it). */
HAWSER_API hawserResult_t hawserMasterCreate(const hawserMasterConfig_t* config, hawserMaster_t* master);

/** The address that the master listens on, with the real port. For ":PORT" it is "0.0.0.0:PORT", which peers on this
 *  host can dial over IPv4. `buffer` holds HAWSER_ADDRESS_BYTES.
 *  Does not block. Errors: InvalidArgument (null, or the buffer is too small; the sentence gives the size needed). */
HAWSER_API hawserResult_t hawserMasterGetAddress(hawserMaster_t master, char* buffer, size_t buffer_bytes);

/** Serves until hawserMasterStop(), and blocks the calling thread until then. One run per master.
 *  Errors: InvalidUsage (it runs already). */
HAWSER_API hawserResult_t hawserMasterRun(hawserMaster_t master);

/** Serves in a thread of the library. Returns at once. Errors: InvalidUsage (it runs already). */
HAWSER_API hawserResult_t hawserMasterStart(hawserMaster_t master);

/** Ends hawserMasterRun or the library's thread within a second. Peers see a closed connection, keep their view and
 *  redial. May be called from any thread, but not from a signal handler. */
HAWSER_API hawserResult_t hawserMasterStop(hawserMaster_t master);

/** Stops if need be and frees. Null is allowed. */
HAWSER_API hawserResult_t hawserMasterDestroy(hawserMaster_t master);

/* ------------------------------------------------------------------------------------- communicator */

/** Fill with HAWSER_COMM_CONFIG_INIT, then set at least `master`. */
typedef struct hawserCommConfig {
  size_t size;
  /** "HOST:PORT" of the master: IPv4, [IPv6] or host name. Required. Where several masters may serve the run, all of
   *  them, separated by commas, at most 8, in the same order at all peers. They are dialled in turn. */
  const char* master;
  /** For people: shown in errors, logs and tables. At most 63 bytes. Give each peer its own: the master warns of names
   *  that two members have. Null: "HOSTNAME:PID". */
  const char* name;
  /** Peers of equal group reduce together. Default 0. */
  uint32_t group;
  /** Address that other peers dial: IPv4, IPv6 or a host name. With a port (HOST:PORT, [IPV6]:PORT) where that is not
   *  the one that this peer listens on, as behind `docker -p`. Null: the source address of this peer's connection to the
   *  master. If that is a loopback address, other machines dial the host of their own `master`. Set
   *  it if the master sees another address than the one that other peers can reach (VPN, containers, several networks).
   *  A peer that nobody can dial dials the others. */
  const char* advertise_address;
  /** Address to listen on for other peers. Null: all interfaces, IPv4 and IPv6. */
  const char* listen_address;
  /** Ports to listen on: the first free one from port_first to port_last. Open them in firewalls. 0 in port_last: only
   *  port_first. 0 in both: any free port. */
  uint16_t port_first;
  uint16_t port_last;
  /** TCP connections to each other peer. Default: 1 between peers on one host. Between hosts it begins with 2 to 8,
   *  more for longer round trips. Then measurements decide, up to 32. At most 64. */
  uint32_t connections_per_link;
  /** How long hawserCommConnect blocks at most, waiting for admission included. Default 3600000. */
  uint32_t connect_ms;
  /** How long a lost master is redialled. Calls wait for it meanwhile, then end with MasterUnreachable. Default
   *  60000. */
  uint32_t master_redial_ms;
  /** A master that is silent for so long is dialled anew. Default 5000. */
  uint32_t silence_ms;
  /** After so long without progress in a collective this peer reports to the master whom it waits for. Default 6000. */
  uint32_t stall_ms;
  /** Payloads carry a checksum (XXH3, 64 bits), except between two processes that have proven that they share a
   *  machine: there the bytes never leave its memory. 1: payloads between them carry one, too. */
  uint32_t check_same_host;
  /** The part of this member's uplink, in percent, that newcomers may take when they prefetch a shared state from it
   *  (hawserSharedStateOffer): 1 to 100. The speed of the uplink is measured. While collectives of this member are in
   *  flight, a quarter of that part. Default 25. */
  uint32_t prefetch_share_percent;
  /** A party: peers of which each is of no use without the others, such as the ranks that hold the shards of one
   *  replica. All give the same number, drawn at random, and the size of the party. They are admitted together. If one
   *  is lost, the others are expelled, and may join again together. One that leaves takes nobody along. They may be in
   *  several groups. Default 0 and 0: no party. At most 1024. */
  uint32_t party_size;
  uint64_t party;
  /** TCP's congestion control towards other hosts, such as "bbr". Null: the system's. If the system does not allow it,
   *  hawserCommCreate fails with InvalidArgument, and the sentence names the allowed ones. */
  const char* congestion_control;
  /** SO_SNDBUF and SO_RCVBUF of each connection to another host. Setting them turns off the system's automatic tuning,
   *  which is usually better. Default 0: the system's. At most 1 GiB. */
  uint32_t send_buffer_bytes;
  uint32_t receive_buffer_bytes;
  /** The first peers of the group wait in hawserCommConnect until there are so many. If they give different numbers,
   *  the one that most of them give counts. It has no meaning once the group has members. Default 0: the group begins
   *  bootstrap_ms after the master's start, with the peers that are there. At most 1024. */
  uint32_t min_peers;
  /** Threads of this communicator that carry its connections and work on payloads (sums, checksums, quantisation,
   *  compression). 1: one thread does everything. With more, one thread decides and the others share the connections. A
   *  link to a peer on the same machine has one connection for each of these others. Default 0: 1 on two cores or
   *  fewer, otherwise half of the cores and one more, at most 5. At most 64. */
  uint32_t io_threads;
  /** The run's secret, or a key that was issued to this member (`hawser keygen`). The master must have one of the same
   *  run. All connections are then under TLS 1.3 with both sides proven. Links between two processes of one machine
   *  prove both sides, and go on in plain. Null: what HAWSER_SECRET_FILE names, if anything. Without a key this peer
   *  listens on loopback addresses and dials no others. */
  const char* secret_file;
  /** 1: without a key this peer connects to other machines, in plain, and to whoever comes. Also if HAWSER_INSECURE is
   *  1. */
  uint32_t insecure;
  /** 1: links between two processes of one machine are encrypted, too. For measurements. */
  uint32_t tls_same_host;
  /** 1: this peer signs what it gives to each collective: the SHA-256 of its send buffer, and its largest magnitude,
   *  norm, and number of infinities and NaNs. The master keeps that for the latest collectives (`hawser attest`). The
   *  call reads the buffer first, in the caller's thread, at some 0.8 GB/s; of tensors on devices it waits for the
   *  stream meanwhile. Needs a secret_file. */
  uint32_t attest;
  /** 1: this peer is a relay (`hawser relay`). It has no tensors, counts nowhere as a member, and calls nothing but
   *  Connect and Wait: the members' all-reduces may be summed here. Members then send each byte once. At most 8 in a
   *  group, and only in groups of up to 128 members, relays counted. */
  uint32_t relay;
  /** What a relay offers in each direction, in Mbit/s. Default 0: plans find out by themselves, a doubling at a time. */
  uint32_t relay_mbit;
  /** What a relay takes at most for the sums of all calls together, in MiB. Default 256. Calls beyond the eighth at a
   *  time take 2 MiB each besides. */
  uint32_t relay_memory_mib;
} hawserCommConfig_t;

#define HAWSER_COMM_CONFIG_INIT                                                                                 \
  {sizeof(hawserCommConfig_t), NULL, NULL, 0, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0, 0, 0, 0, \
   NULL, 0, 0, 0, 0, 0, 0}

/** Fill with HAWSER_COMM_INFO_INIT. */
typedef struct hawserCommInfo {
  size_t size;
  uint64_t peer_id;             /**< This peer's id in the run. */
  uint64_t epoch;               /**< Number of this group's view; grows with every change. */
  uint32_t world_size;          /**< Members of all groups together. */
  uint32_t rank;                /**< Position of this peer in its group's view. */
  uint32_t group;               /**< This peer's group number. */
  uint32_t group_size;          /**< Members in this group's view. */
  uint32_t largest_group_size;  /**< Members in the largest group. */
  uint32_t group_count;         /**< Number of groups that have members. */
} hawserCommInfo_t;

#define HAWSER_COMM_INFO_INIT {sizeof(hawserCommInfo_t), 0, 0, 0, 0, 0, 0, 0, 0}

/** Fill the first entry of an array with HAWSER_MEMBER_INIT. Its size counts for all entries. */
typedef struct hawserMember {
  size_t size;
  uint64_t peer_id;
  char name[HAWSER_NAME_BYTES];
  char address[HAWSER_ADDRESS_BYTES]; /**< Where other peers dial it. */
} hawserMember_t;

#define HAWSER_MEMBER_INIT {sizeof(hawserMember_t), 0, "", ""}

/** Makes a communicator, opens its listening port and starts its thread. Does not block.
 *  Strings of the configuration are copied. Reads secret_file. Errors: InvalidArgument (also a secret_file that is
 *  none, or that others may read; an address of other machines without a key), System (no port free in the range). */
HAWSER_API hawserResult_t hawserCommCreate(const hawserCommConfig_t* config, hawserComm_t* comm);

/** States a setting that all members of the group must have alike, such as a hyperparameter: "sync_every", "500". The
 *  master compares these terms when a newcomer says hello. A newcomer that differs from the members is refused, and the
 *  sentence has both values. Terms count from the next hawserCommConnect on.
 *  Does not block. `name` has 1 to 63 bytes, `value` at most 127, both printable UTF-8 text. A null value removes the
 *  term. At most 32 terms. Errors: InvalidArgument, InvalidUsage (connected, or connecting), Closed. */
HAWSER_API hawserResult_t hawserCommSetTerm(hawserComm_t comm, const char* name, const char* value);

/** Joins the run. It dials the master and opens links to the members of its group while they go on. Then it waits until
 *  all members call hawserCommUpdateTopology, which admits it.
 *  The first peers of a run are admitted together: bootstrap_ms after the master's start, or when min_peers are there.
 *  When this returns, the members have just returned from update-topology. Go on with hawserCommUpdateTopology, which
 *  then succeeds at once, or with the call that the members make next. Any other call is a Mismatch.
 *  Blocks up to config.connect_ms. While the master cannot be reached, the log says why, after 2 s and then every 10 s.
 *  May be called again after Expelled, MasterUnreachable, Refused or Timeout: the peer then joins as a newcomer.
 *  Errors: InvalidUsage (connected already), Timeout, MasterUnreachable (at once if what answers there is no master),
 *  Refused (another version, other terms, limits reached, no link to a member within the master's link_open_ms, or an
 *  address that others cannot use), Closed. */
HAWSER_API hawserResult_t hawserCommConnect(hawserComm_t comm);

/** Leaves the run; the others learn of it at once. Ends calls in flight with Closed. The handle stays valid, and every
 *  later call with it ends with Closed, except hawserCommDestroy. Use it where other threads may be about to call.
 *  Blocks at most one second. A second call does nothing. */
HAWSER_API hawserResult_t hawserCommClose(hawserComm_t comm);

/** Leaves the run; the others learn of it at once. Ends calls in flight with Closed, and frees.
 *  Blocks at most one second. Null is allowed. No other call on the handle may begin after this one has begun. */
HAWSER_API hawserResult_t hawserCommDestroy(hawserComm_t comm);

/** The current view as this peer knows it. Does not block.
 *  Errors: InvalidArgument (the size is not set), InvalidUsage (not connected), Expelled, MasterUnreachable. */
HAWSER_API hawserResult_t hawserCommGetInfo(hawserComm_t comm, hawserCommInfo_t* info);

/** Writes up to `capacity` members of this group, in rank order, and the number of all members to `count`. The `size`
 *  of the first entry, which the caller sets, is the distance between entries. Does not block. Errors as
 *  hawserCommGetInfo. @param members null with a capacity of 0: only the number is written. */
HAWSER_API hawserResult_t hawserCommGetMembers(hawserComm_t comm, hawserMember_t* members, uint32_t capacity,
                                               uint32_t* count);

/** Writes 1 if newcomers wait that the next update-topology can admit, as far as this peer knows; otherwise 0.
 *  Does not block. Errors: InvalidUsage (not connected), Closed.
 *  Members may briefly see different answers. So use it for reports only, and call hawserCommUpdateTopology in the same
 *  place on all members. */
HAWSER_API hawserResult_t hawserCommArePeersPending(hawserComm_t comm, int* pending);

/** Lets newcomers join that have links to all members (in groups of more than 128: to 16 of them). Newcomers without
 *  these links are not waited for. All members of all groups must call it. It returns when the new view is in force, or
 *  at once after the last call if nobody joins. The loss of a member meanwhile is no error: the new view is without it.
 *  A newcomer's first call succeeds at once if the members that admitted it are in a collective already. So a loop may
 *  begin with this call.
 *  In a run of one group it returns at once, without a round trip, if nobody waited for admission when the last
 *  collective was committed, and this peer has heard of nobody since. Members do not wait for each other then, and who
 *  has come since may have to wait for the next call. After an error they wait for each other again.
 *  Otherwise blocks until all members have called, at most the master's call_wait_ms. Errors: InvalidUsage
 * (a collective is in flight here, not connected), Mismatch (a member called a collective instead), Timeout,
 *  MasterRestarted, MasterUnreachable, Expelled, Closed. */
HAWSER_API hawserResult_t hawserCommUpdateTopology(hawserComm_t comm);

/** What hawserCommWait waits for: the first of these that holds, of those that are not zero. Fill with
 *  HAWSER_WAIT_OPTIONS_INIT. */
typedef struct hawserWaitOptions {
  size_t size;
  uint32_t joiner;     /**< 1: a newcomer waits that the next update-topology can admit. */
  uint32_t group_size; /**< The group has at least so many members. */
  uint64_t epoch;      /**< The view has another epoch than this one (hawserCommInfo_t): somebody joined or left. */
  uint32_t timeout_ms; /**< UINT32_MAX: as long as this peer is a member. Default 600000. */
} hawserWaitOptions_t;

#define HAWSER_WAIT_OPTIONS_INIT {sizeof(hawserWaitOptions_t), 0, 0, 0, 0}

/** What held when hawserCommWait ended: the sum of these bits. */
#define HAWSER_MET_JOINER 1u
#define HAWSER_MET_GROUP_SIZE 2u
#define HAWSER_MET_EPOCH 4u

/** Blocks until one of the conditions holds, and returns at once if one does already. It is for members that have
 *  nothing to do until somebody joins or leaves. It is no collective: other calls may go on meanwhile, and any number
 *  of threads may wait. Members may see a change at different moments.
 *  Errors: InvalidArgument (no condition is given), InvalidUsage (not connected), Timeout, MasterUnreachable, Expelled,
 *  Closed.  @param met may be null. */
HAWSER_API hawserResult_t hawserCommWait(hawserComm_t comm, const hawserWaitOptions_t* options, uint32_t* met);

/** Called by hawserCommOptimizeTopology, in the calling thread, each time that this member has probed another member:
 *  it is done with `pairs_done` of `pairs_total`. It must not call the library with this communicator. */
typedef void (*hawserOptimizeCallback_t)(void* user, uint64_t pairs_done, uint64_t pairs_total);

/** Fill with HAWSER_OPTIMIZE_OPTIONS_INIT. */
typedef struct hawserOptimizeOptions {
  size_t size;
  /** 1: probe all links, also those that are measured already. */
  uint32_t all_pairs;
  /** Not 0: also probe links whose measurement is older than this. */
  uint32_t age_ms_max;
  /** How long one probe lasts at most. Default: 3.5 round trips, 160 to 900 ms. Many end earlier. At most 10000. */
  uint32_t probe_ms_max;
  /** After so long this member begins no further probe. The links that are left stay unknown. Default 60000. */
  uint32_t total_ms_max;
  /** Bytes of one probe: 65536 to 1073741824, the same on all members. Default 67108864. */
  uint64_t probe_bytes_max;
  hawserOptimizeCallback_t progress; /**< May be null. */
  void* progress_user;               /**< The first argument of `progress`. */
} hawserOptimizeOptions_t;

#define HAWSER_OPTIMIZE_OPTIONS_INIT {sizeof(hawserOptimizeOptions_t), 0, 0, 0, 0, 0, NULL, NULL}

/** Fill with HAWSER_OPTIMIZE_INFO_INIT. */
typedef struct hawserOptimizeInfo {
  size_t size;
  uint64_t epoch;         /**< The view in which it ran. */
  uint64_t bytes_sent;    /**< Bytes of probes. */
  uint64_t bytes_received;
  uint64_t total_us;      /**< From the call to its end. */
  uint64_t wait_us;       /**< Part of total_us: until all members had called. */
  uint32_t world_size;    /**< Members that took part. */
  uint32_t rank;
  uint32_t pairs;         /**< Other members that this one probed, or that probed it. */
  uint32_t measured;      /**< Links from this member to another that were measured. */
  uint32_t lower_bounds;  /**< Part of `measured`: links that carry more than a probe could show. */
  uint32_t silent;        /**< Links from this member that let nothing through in time: still unknown. */
} hawserOptimizeInfo_t;

#define HAWSER_OPTIMIZE_INFO_INIT {sizeof(hawserOptimizeInfo_t), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/** Measures links between the members of this group by short bursts: those whose rate no traffic has shown yet, and
 *  those that the options ask for. All members plan their next collectives, of all tags, from the result. All members
 *  of the group must call it, and no collective may be in flight. Each member is in one pair at a time and probes both
 *  directions at once. Pairs that share no member run at the same time. So N members need about the time of N - 1
 *  probes. Links within one host are not probed.
 *  If a probe did not reach the full rate of its link in time, the link has a lower bound, and the next call probes it
 *  again. Measurements made before an error are kept: they count from the next commit on.
 *  Blocks until all members have called and all probes are over. Bounds for lost, silent and missing members are those
 *  of hawserAllReduce.
 *  Errors: InvalidArgument, InvalidUsage (a collective or update-topology is in flight here, not connected, more than
 *  128 members), TooFewPeers, PeerLost, Mismatch (a member called something else, or another probe_bytes_max), Timeout,
 *  MasterRestarted, MasterUnreachable, Expelled, Closed.  @param options, info may be null. */
HAWSER_API hawserResult_t hawserCommOptimizeTopology(hawserComm_t comm, const hawserOptimizeOptions_t* options,
                                                     hawserOptimizeInfo_t* info);

/* ----------------------------------------------------------------------------------------- devices */

/** Writes where all of these bytes lie, as collectives see it: the number of a device, or -1 for the host. On a device
 *  that is unknown here (no driver loaded in this process, or HAWSER_DEVICE=none) it is -1 as well. Does not block.
 *  Errors: InvalidArgument (null output; the bytes are not within one allocation of a device; HAWSER_DEVICE has a value
 *  that it cannot have). */
HAWSER_API hawserResult_t hawserDeviceOf(const void* address, uint64_t bytes, int32_t* device);

/* ------------------------------------------------------------------------------------- collectives */

/** Options of reductions. Fill with HAWSER_ALL_REDUCE_OPTIONS_INIT. */
typedef struct hawserAllReduceOptions {
  size_t size;
  hawserReduceOp_t op;
  /** The caller's number for this collective, so that several may be in flight. The same on all members. */
  uint64_t tag;
  hawserPlan_t plan;
  hawserQuantization_t quantization;
  /** Error feedback: the loss of quantisation in this call is added to the next call with this handle. Null: none. Only
   *  for quantised all-reduces with sum or avg. */
  hawserResidual_t residual;
  /** 1: this member compresses what it sends, without loss (byte-shuffled, zstd). Each link turns it off by itself if
   *  values do not shrink, or if the link is faster than the compression. Members may differ. */
  uint32_t compress;
  /** The epoch (hawserCommInfo_t) that the caller's ranks and sizes belong to. If another view is in force, the call
   *  ends with PeerLost, unless nothing but relays has gone since. 0: the epoch at the moment of the call. */
  uint64_t epoch;
  /** For buffers on a device: a stream of that device (a CUstream). What is on it at the moment of the call comes
   *  first. Null: the device's default stream. If the buffers lie on two devices, it is that of `send`, and what is on
   *  the other device's default stream comes first there. Where each buffer lies is found by its address. */
  void* stream;
  /** After so long, from when the call begins on this peer, this member gives it up: it ends with Timeout at all
   *  members, as does what else is under way in the group, and the group stays as it is. Whoever has the result by then
   *  may have a success, and then all have it. Members may differ. 0: never. A lost master is waited for all the same.
   *  Of calls given up in a row the second lasts 50 ms longer, each next one twice as long, and at most 30 s: so a
   *  member whose bound is too short delays the others, but cannot stop them. */
  uint32_t timeout_ms;
} hawserAllReduceOptions_t;

#define HAWSER_ALL_REDUCE_OPTIONS_INIT                                                                          \
  {sizeof(hawserAllReduceOptions_t), hawserSum, 0, hawserPlanAuto,                                              \
   {hawserQuantizeNone, hawserToUint8, 0, 0}, NULL, 0, 0, NULL, 0}

/** Options of the other collectives. Fill with HAWSER_COLLECTIVE_OPTIONS_INIT. */
typedef struct hawserCollectiveOptions {
  size_t size;
  uint64_t tag;
  hawserPlan_t plan;
  uint32_t compress; /**< As above. */
  uint64_t epoch;    /**< As above. */
  void* stream;      /**< As above. */
  uint32_t timeout_ms; /**< As above. */
} hawserCollectiveOptions_t;

#define HAWSER_COLLECTIVE_OPTIONS_INIT {sizeof(hawserCollectiveOptions_t), 0, hawserPlanAuto, 0, 0, NULL, 0}

#define HAWSER_REASON_BYTES 96

/** What a collective did. Set `size`, `contributors` and `contributor_capacity` before the call, or use
 *  HAWSER_REDUCE_INFO_INIT, which asks for no list of contributors. The rest is written on success. */
typedef struct hawserReduceInfo {
  size_t size;
  /** The caller's array for the ids of the members whose inputs are in the result, in rank order. May be null. */
  uint64_t* contributors;
  uint32_t contributor_capacity; /**< Entries that `contributors` has room for. No more are written. */
  uint32_t world_size;           /**< Number of contributors. */
  uint32_t rank;                 /**< Position of this peer among them. */
  hawserPlan_t plan;             /**< The plan that was used, never Auto. */
  uint64_t epoch;                /**< The view in which it ran. */
  uint64_t sequence;             /**< Index of this call among those with its tag in this view, from 0. */
  uint64_t bytes_sent;           /**< Payload bytes, repeats after broken connections included. */
  uint64_t bytes_received;
  uint64_t transfer_us;          /**< From the end of wait_us until this member's result was complete. */
  uint64_t commit_us;            /**< From then to the master's commit. */
  uint64_t wait_us;              /**< From the call until all members whose data comes here had called. */
  uint64_t reduce_us;            /**< Part of wait_us and transfer_us that was spent computing. */
  uint32_t attempts;             /**< 1, or the number of calls that hawserAllReduceMany made. */
  char plan_reason[HAWSER_REASON_BYTES]; /**< Why this plan was taken, in words. */
  uint64_t predicted_us; /**< Predicted from when all had called to the commit: by the plan, times what
                            * the latest calls alike took of that. 0: the links are not measured. */
} hawserReduceInfo_t;

#define HAWSER_REDUCE_INFO_INIT \
  {sizeof(hawserReduceInfo_t), NULL, 0, 0, 0, hawserPlanAuto, 0, 0, 0, 0, 0, 0, 0, 0, 0, "", 0}

/** Reduces `count` elements over the group. Every member gets the same bits in `receive`.
 *
 *  Buffers may lie on the host or on devices, `send` and `receive` on different ones if they are disjoint. Members may
 *  differ. On a device, chunks are copied through at most 64 MiB of pinned memory, and 1 MiB for each thread that
 *  waits for a device; in place with a copy of the payload on the device. Memory of a device is kept for later calls:
 *  at most 64 MiB once a caller has waited for the last. The result is there when the call returns. If a device fails,
 *  this peer's communicator ends with System; the others go on without it.
 *
 *  `send` and `receive` hold `count` elements each and are either equal (in place) or disjoint. They must stay valid
 *  and untouched by the caller until the call returns. On any error `send` holds its original values, and an
 *  out-of-place `receive` is unspecified.
 *  Memory beyond the buffers: at most 32 MiB. In place, the size of the payload on top.
 *  Blocks until all members have called and the result is committed. Bounds: a dead member is noticed at once, or
 *  within the master's silence_ms or stall_ms. Members that do not call are waited for up to call_wait_ms. A lost
 *  master is waited for up to master_redial_ms.
 *  Several collectives may be in flight from several threads if their tags differ.
 *  Each contributor's element counts exactly once. The order of addition depends on the plan and on arrival. Errors:
 *  InvalidArgument, InvalidUsage (tag in flight already; update-topology in progress; not connected; buffers overlap in
 *  part), TooFewPeers, PeerLost, Mismatch, Timeout, MasterRestarted, MasterUnreachable, Expelled, System (no memory for
 *  an in-place scratch), Closed.
 *  After PeerLost, Mismatch, Timeout and MasterRestarted the same call may be made again at once.
 *  @param options null: sum, tag 0, automatic plan.   @param info may be null. */
HAWSER_API hawserResult_t hawserAllReduce(hawserComm_t comm, const void* send, void* receive, uint64_t count,
                                          hawserDataType_t type, const hawserAllReduceOptions_t* options,
                                          hawserReduceInfo_t* info);

/** Each member gets its share of the reduction. `send` holds `count` elements for every rank, in rank order (count *
 *  group size in all). `receive` holds `count` elements. The buffers are disjoint, or in place: receive == send + rank
 *  * count elements. Input, errors, bounds and memory are as for hawserAllReduce, and the payload is the receive
 *  buffer. */
HAWSER_API hawserResult_t hawserReduceScatter(hawserComm_t comm, const void* send, void* receive, uint64_t count,
                                              hawserDataType_t type, const hawserAllReduceOptions_t* options,
                                              hawserReduceInfo_t* info);

/** Every member gets the `count` elements of all members: `receive` holds `count` elements of each rank, in rank order
 *  (count * group size in all). The buffers are disjoint, or in place: send == receive + rank * count elements. On any
 *  error `send` is as it was, and the rest of `receive` is unspecified. Errors and bounds as for hawserAllReduce. */
HAWSER_API hawserResult_t hawserAllGather(hawserComm_t comm, const void* send, void* receive, uint64_t count,
                                          hawserDataType_t type, const hawserCollectiveOptions_t* options,
                                          hawserReduceInfo_t* info);

/** The `count` elements in the root's `send` go to everybody's `receive`. `root` is a rank, the same on all members.
 *  The others' `send` is ignored and may be null. At the root the buffers are equal or disjoint. After any error the
 *  others' `receive` is unspecified. Errors and bounds as for hawserAllReduce. */
HAWSER_API hawserResult_t hawserBroadcast(hawserComm_t comm, const void* send, void* receive, uint64_t count,
                                          hawserDataType_t type, uint32_t root,
                                          const hawserCollectiveOptions_t* options, hawserReduceInfo_t* info);

/** Returns when all members have called. Errors and bounds as for hawserAllReduce. */
HAWSER_API hawserResult_t hawserBarrier(hawserComm_t comm, const hawserCollectiveOptions_t* options,
                                        hawserReduceInfo_t* info);

/* ---------------------------------------------------------------------------------------- messages */

/** A message may come from any member. */
#define HAWSER_ANY_RANK UINT32_MAX

/** Options of messages. Fill with HAWSER_MESSAGE_OPTIONS_INIT. */
typedef struct hawserMessageOptions {
  size_t size;
  /** Tells messages between the same two members apart. Other numbers than those of collectives. */
  uint64_t tag;
  /** The other side by its peer id (hawserMember_t) instead of its rank, which changes with the group. A receive may
   *  name a member that has gone, for messages that it had sent whole. 0: by its rank. */
  uint64_t peer_id;
  /** The epoch that the rank belongs to. If another view is in force, the call ends with PeerLost. 0: the epoch at the
   *  moment of the call. */
  uint64_t epoch;
  /** After so long the call ends with Timeout. Default 600000. */
  uint32_t timeout_ms;
} hawserMessageOptions_t;

#define HAWSER_MESSAGE_OPTIONS_INIT {sizeof(hawserMessageOptions_t), 0, 0, 0, 0}

/** Sends `count` elements to the member with the rank `to`, which calls hawserReceive with the same size and tag.
 *  Messages of one tag between two members arrive in the order of the calls. They go over the links that collectives
 *  use; up to 64 KiB they go before the data of these. No commit and no master take part. A change of the group that
 *  both sides survive does not concern them.
 *
 *  Blocks until the other side's process has the whole message. That is soon for up to 64 KiB, of which it keeps 1 MiB
 *  and 1024 messages from each member; for others it is when that side receives. Sends of one tag end in their order.
 *  So a message arrives although its sender leaves afterwards; unless the receive that it goes to times out while its
 *  last bytes come. Not the other way round: who leaves at once after its last receive may be lost to the sender
 *  before this has heard that the message came. Let both call something, such as a barrier, before they leave. Each tag
 *  in use costs both sides some 100 bytes as long as they are members.
 *
 *  Errors: PeerLost (the other side is gone), Timeout (it has not received; it never will, and the next message is
 *  the next), InvalidArgument (null; no such rank, or this peer's own; a buffer on a device), InvalidUsage (not
 *  connected; a relay; 65536 are in flight, or as many tags in use to that member; the group has more than 128 members
 *  and no link to that one), Closed, Expelled, MasterUnreachable. @param info may be null; its only contributor is the
 *  other side. */
HAWSER_API hawserResult_t hawserSend(hawserComm_t comm, const void* data, uint64_t count, hawserDataType_t type,
                                     uint32_t to, const hawserMessageOptions_t* options, hawserReduceInfo_t* info);

/** Receives `count` elements from the member with the rank `from`, or with HAWSER_ANY_RANK from whoever has sent one of
 *  that tag first. Blocks until they are there. A message of another size ends the call with Mismatch, whose sentence
 *  has both sizes; the message stays for the next call.
 *
 *  Errors as for hawserSend, and: Mismatch, TooFewPeers (from any rank, and nobody else is left). PeerLost: that member
 *  has gone, and had not sent one whole. Timeout: also if the sender's call timed out in the middle of the message.
 *  After PeerLost, Timeout and Closed the buffer is unspecified. */
HAWSER_API hawserResult_t hawserReceive(hawserComm_t comm, void* data, uint64_t count, hawserDataType_t type,
                                        uint32_t from, const hawserMessageOptions_t* options,
                                        hawserReduceInfo_t* info);

/** The same, but return at once with a handle, for hawserOpWait and the others below. The buffer belongs to the library
 *  until the operation has ended. All errors but InvalidArgument (null) and Closed come from hawserOpWait. */
HAWSER_API hawserResult_t hawserSendAsync(hawserComm_t comm, const void* data, uint64_t count, hawserDataType_t type,
                                          uint32_t to, const hawserMessageOptions_t* options, hawserOp_t* op);
HAWSER_API hawserResult_t hawserReceiveAsync(hawserComm_t comm, void* data, uint64_t count, hawserDataType_t type,
                                             uint32_t from, const hawserMessageOptions_t* options, hawserOp_t* op);

/* ------------------------------------------------------------------------------------ in background */

/** As hawserAllReduce, but returns at once with a handle. The buffers and the residual belong to the library until the
 *  operation has ended. Up to 4096 tags may be in flight. They share the links fairly. Errors found at once:
 *  InvalidArgument, InvalidUsage, Closed, Expelled, MasterUnreachable; then there is no handle. All other errors come
 *  from hawserOpWait. So does InvalidUsage if the call that this one does not go with began at the same moment in
 *  another thread. */
HAWSER_API hawserResult_t hawserAllReduceAsync(hawserComm_t comm, const void* send, void* receive,
                                               uint64_t count, hawserDataType_t type,
                                               const hawserAllReduceOptions_t* options, hawserOp_t* op);

/** Blocks until the operation has ended, or for `timeout_ms`. 0 does not wait. 2^40 and more, such as UINT64_MAX, wait
 *  for the end, with the bounds of hawserAllReduce. Returns the operation's result. It may be called again, also after
 *  hawserCommDestroy. If it returns Timeout, hawserOpTest says whether the operation itself timed out (1) or only this
 *  wait (0). Several threads may wait. @param info may be null. */
HAWSER_API hawserResult_t hawserOpWait(hawserOp_t op, uint64_t timeout_ms, hawserReduceInfo_t* info);

/** Makes a stream of the device that the result lies on (or, if that is on the host, the device of `send`) wait for the
 *  end of the operation: what is put on it from now on runs after that. Null: the device's default stream. No thread is
 *  blocked. The stream goes on after an error of the operation too, which hawserOpWait tells; the buffers then hold
 *  what an error leaves. Until the end of the operation nothing may synchronise with that stream that the operation
 *  itself waits for, such as an earlier call of a member that does not come: it would wait as long. Errors:
 *  InvalidArgument (null, no buffer on a device, no stream of that device), System (the driver). */
HAWSER_API hawserResult_t hawserOpStreamWait(hawserOp_t op, void* stream);

/** Writes 1 if the operation has ended, with or without success, otherwise 0. Does not block. Errors: InvalidArgument
 *  (null). */
HAWSER_API hawserResult_t hawserOpTest(hawserOp_t op, int* ended);

/** The caller does not want it any more. Does not block: the operation ends soon after, which hawserOpWait tells. A
 *  collective ends with Timeout at all members, as if its timeout_ms had passed here; all calls that are under way
 *  in the group end with it, and the group stays as it is. A message ends with Timeout here only. An operation that
 *  has its result by then succeeds. A collective that waits for a stream of the caller's begins and ends after that.
 *  After the end nothing happens. Errors: InvalidArgument (null). */
HAWSER_API hawserResult_t hawserOpCancel(hawserOp_t op);

/** Waits for the end of the operation, and frees. Null is allowed. May be called after hawserCommDestroy, which ends
 *  operations with Closed. */
HAWSER_API hawserResult_t hawserOpDestroy(hawserOp_t op);

/* --------------------------------------------------------------------------------------- many at once */

/** One tensor of a list: as for hawserAllReduce. */
typedef struct hawserTensor {
  const void* send;
  void* receive;
  uint64_t count;
  hawserDataType_t type;
  void* stream; /**< As in hawserAllReduceOptions_t. Null: that of the list's options. */
} hawserTensor_t;

/** Fill with HAWSER_MANY_OPTIONS_INIT. The same on all members, except `compress` and `in_flight`. */
typedef struct hawserManyOptions {
  size_t size;
  hawserReduceOp_t op;
  /** The first of the tags that are used, as many as there are tensors. */
  uint64_t first_tag;
  hawserPlan_t plan;
  hawserQuantization_t quantization; /**< For tensors of floats. The others are not quantised. */
  uint32_t compress;
  /** Collectives in flight at once. Default 8. */
  uint32_t in_flight;
  /** Small tensors of one type are put together, up to so many bytes. 1: never. Default 4 MiB. */
  uint32_t fuse_bytes;
  void* stream; /**< As in hawserAllReduceOptions_t. Of tensors on devices that name none. */
} hawserManyOptions_t;

#define HAWSER_MANY_OPTIONS_INIT                                                                                \
  {sizeof(hawserManyOptions_t), hawserSum, 0, hawserPlanAuto, {hawserQuantizeNone, hawserToUint8, 0, 0}, 0, 0, 0, NULL}

typedef struct hawserManyInfo {
  size_t size;
  uint64_t tensors;      /**< Tensors that are reduced: all of them on success. */
  uint64_t collectives;  /**< Collectives that were made: fewer than tensors if small ones were put together. */
  uint32_t attempts;     /**< 1, and 1 more for each time that a loss ended some of them. */
  /** The fewest and the most contributors of a tensor. They differ if a member was lost in between. */
  uint32_t world_size_least;
  uint32_t world_size_most;
  uint64_t bytes_sent;
  uint64_t bytes_received;
  uint64_t total_us;
} hawserManyInfo_t;

#define HAWSER_MANY_INFO_INIT {sizeof(hawserManyInfo_t), 0, 0, 0, 0, 0, 0, 0, 0}

/** Reduces a list of tensors, several at once. The list is the same on all members, and no two tensors share memory.
 *  After a loss, or a restart of the master, it calls again what was undone, until all is done. Each tensor's result
 *  comes from one collective, with the same bits and the same contributors on all members. After an error each tensor
 *  either has its result, the same tensors on all members, or its input is intact. `done`, unless null, gets 1 or 0 for
 *  each. Blocks as long as the collectives and the retries last. Memory: that of in_flight calls, and twice fuse_bytes
 *  for each of them. Errors: TooFewPeers (the others are gone), and those of hawserAllReduce that a retry does not help
 *  against: InvalidArgument, InvalidUsage, Mismatch, Timeout, MasterUnreachable, Expelled, System, Closed. @param
 *  options, info, done may be null. */
HAWSER_API hawserResult_t hawserAllReduceMany(hawserComm_t comm, const hawserTensor_t* tensors, uint64_t count,
                                              const hawserManyOptions_t* options, hawserManyInfo_t* info,
                                              uint8_t* done);

/* ------------------------------------------------------------------------------------ error feedback */

/** Keeps the loss of quantisation, element by element, for one tensor of `count` elements. Each member quantises a
 *  chunk once and adds the error to its next contribution (Seide et al. 2014; Karimireddy et al. 2019). A call that
 *  fails leaves the residual as it was. One call at a time may use it.
 *  Memory: 8 bytes per element, 16 for float64. Errors: InvalidArgument (not a float type), System. */
HAWSER_API hawserResult_t hawserResidualCreate(uint64_t count, hawserDataType_t type, hawserResidual_t* residual);
/** Sets all errors that are kept to 0. Errors: InvalidUsage (in use). */
HAWSER_API hawserResult_t hawserResidualReset(hawserResidual_t residual);
/** The root mean square of the errors that are kept. Does not block, but reads all of them. Errors: InvalidUsage (in
 *  use). */
HAWSER_API hawserResult_t hawserResidualGetNorm(hawserResidual_t residual, double* root_mean_square);
/** Frees. Errors: InvalidUsage (in use; nothing is freed). Null is allowed. */
HAWSER_API hawserResult_t hawserResidualDestroy(hawserResidual_t residual);

#ifdef __cplusplus
}
#endif
#endif
