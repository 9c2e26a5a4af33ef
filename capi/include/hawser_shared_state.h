/** @file hawser_shared_state.h
 * Shared state: named tensors (weights, optimiser state) that all members hold with the same bytes. The
 * conventions of hawser.h hold. docs/shared_state.md explains how it works.
 */
#ifndef HAWSER_SHARED_STATE_H
#define HAWSER_SHARED_STATE_H

#include "hawser.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Hexadecimal digits of a content digest (128 bits), and a closing zero. */
#define HAWSER_DIGEST_BYTES 33

typedef struct hawserSharedState* hawserSharedState_t;

/** Where a tensor's memory is. Later versions may add kinds. */
typedef enum hawserMemory {
  /** On the host or on a device: found by its address. */
  hawserMemoryByAddress = 0
} hawserMemory_t;

/** A named tensor. Set unused fields to 0. */
typedef struct hawserStateTensor {
  /** 1 to 255 bytes of UTF-8 without control characters, unique within the state. Copied. */
  const char* name;
  /** `count` elements; null only if count is 0. No two tensors share memory. Tensors of one state may lie on the host
   *  and on different devices, at each member where it likes. */
  void* data;
  uint64_t count;
  hawserDataType_t type;
  hawserMemory_t memory;
  /** 1: members at one revision may hold different content of this tensor. A member that fetches a new revision gets
   *  the source's content. */
  uint32_t allow_content_inequality;
} hawserStateTensor_t;

/** Makes a shared state of `count` tensors (up to 65536), in any order, at revision 0. Their memory stays the caller's
 *  and must stay where it is until the state is destroyed. It is read and written only during calls with the state, and
 *  read while the state is offered. This call does not read it, and does not block.
 *  Errors: InvalidArgument (name, type, null or misaligned data, tensors that share memory or reach beyond their
 *  allocation on a device, too many).
 *
 *  Tensors on devices. Save, Load and GetDigest come after what is on the default streams of these devices at the
 *  moment of the call; synchronise other streams before. Sync and ConnectPrefetch have an option for one. What a call
 *  has written is there for all streams when it returns. A device that fails, or does not finish a piece of at most
 *  2 MiB in time, is the error System. In time means stall_ms where a communicator takes part, and 60 s elsewhere. That
 *  communicator ends then, so that the others go on without this member. The state is incomplete if tensors may have
 *  been written to. */
HAWSER_API hawserResult_t hawserSharedStateCreate(const hawserStateTensor_t* tensors, uint64_t count,
                                                  hawserSharedState_t* state);

/** Frees the state, not the tensors. An offer is withdrawn first; if memory is too short even for that, the
 *  communicator that offers it is closed. Null is allowed. Errors: InvalidUsage (another call is using it). */
HAWSER_API hawserResult_t hawserSharedStateDestroy(hawserSharedState_t state);

/** The revision counts the caller's versions of the content. Add one each time that all members have changed the
 *  content in the same way (an optimiser step), before the next synchronisation. A synchronisation sets it to the
 *  elected revision. Errors: InvalidUsage (another call is using the state). */
HAWSER_API hawserResult_t hawserSharedStateGetRevision(hawserSharedState_t state, uint64_t* revision);
HAWSER_API hawserResult_t hawserSharedStateSetRevision(hawserSharedState_t state, uint64_t revision);

/** Says that the caller has written to the tensor `name`. Null: to all tensors, and the state counts as complete from
 *  then on. Needed only with only_marked, or after a synchronisation that left the state incomplete. Errors:
 *  InvalidArgument (no such tensor), InvalidUsage. */
HAWSER_API hawserResult_t hawserSharedStateMarkChanged(hawserSharedState_t state, const char* name);

/** Reads all tensors and gives the digest of those that may not differ: a tree of XXH3-128 over slices of 1 MiB
 *  (docs/shared_state.md). Equal digests mean equal content. `digest` takes HAWSER_DIGEST_BYTES.
 *  Errors: InvalidUsage. */
HAWSER_API hawserResult_t hawserSharedStateGetDigest(hawserSharedState_t state, char* digest);

typedef enum hawserSyncStrategy {
  /** The member offers its content and takes the elected one. The highest revision on offer is elected. Of several
   *  contents at that revision, the one that most members hold; of equally many, that of the lowest rank. */
  hawserSyncEnforcePopular = 0,
  /** The member offers its content and never takes another. */
  hawserSyncSendOnly = 1,
  /** The member offers nothing and takes the elected content. */
  hawserSyncReceiveOnly = 2
} hawserSyncStrategy_t;

/** Called by the thread that waits, five times a second while content is being fetched, and once at the end.
 *  It must return soon, must not throw and must not call the library. */
typedef void (*hawserProgressCallback_t)(void* user, uint64_t bytes_done, uint64_t bytes_total);

/** Fill with HAWSER_SYNC_OPTIONS_INIT. */
typedef struct hawserSyncOptions {
  size_t size;
  hawserSyncStrategy_t strategy;
  /** Tag of the collectives that the synchronisation is made of. The same on all members. */
  uint64_t tag;
  /** 1: this member compresses what it sends, without loss, where that pays (zstd). */
  uint32_t compress;
  /** 1: only tensors that were marked as changed since the last call are read again. 0: all tensors are. */
  uint32_t only_marked;
  /** 1: old content is kept, in as much memory, until all has come, and put back on an error. */
  uint32_t keep_old_bytes;
  /** Threads for reading the tensors, at most 4096. 0: one for each core. */
  uint32_t threads;
  hawserProgressCallback_t progress; /**< May be null. */
  void* user;                        /**< The first argument of `progress`. */
  /** For tensors on devices: a stream of one of these (a CUstream). What is on it at the moment of the call comes
   *  first. Null, and for all other devices: the device's default stream. */
  void* stream;
} hawserSyncOptions_t;

#define HAWSER_SYNC_OPTIONS_INIT \
  {sizeof(hawserSyncOptions_t), hawserSyncEnforcePopular, 0, 0, 0, 0, 0, NULL, NULL, NULL}

typedef struct hawserSyncSource {
  uint64_t peer_id;
  uint64_t bytes; /**< Content that came from it. */
} hawserSyncSource_t;

/** What a synchronisation did. Set `size`, `sources` and `source_capacity` before the call, or use
 *  HAWSER_SYNC_INFO_INIT, which asks for no list. The rest is written on success, and on errors found after the call
 *  began. */
typedef struct hawserSyncInfo {
  size_t size;
  hawserSyncSource_t* sources; /**< The caller's array for the members that content came from. May be null. */
  uint32_t source_capacity;    /**< Entries that it has room for. No more are written. */
  uint32_t source_count;       /**< Number of sources. */
  uint64_t revision;           /**< The revision of all members; after an error, of this one. */
  uint64_t tensors;
  uint64_t tensors_changed; /**< Tensors of which content was fetched here. */
  uint64_t bytes;           /**< Size of all tensors. */
  uint64_t bytes_fetched;   /**< Content that came here. */
  uint64_t bytes_again;     /**< Content fetched in vain: its source was lost, or it did not have its digest. */
  uint64_t bytes_sent;      /**< Payload of all steps, without attempts that were broken off. */
  uint64_t bytes_received;
  uint32_t supporters; /**< Members that held the elected content before. */
  uint32_t world_size;
  uint32_t rank;
  uint32_t attempts; /**< 1, and 1 more for each loss meanwhile. */
  uint64_t epoch;
  uint64_t digest_us;   /**< Time to read tensors. */
  uint64_t agree_us;    /**< Time to compare and elect. */
  uint64_t transfer_us; /**< Time until all members had everything. */
  uint32_t incomplete;  /**< 1, only after an error: some tensors are partly overwritten. */
} hawserSyncInfo_t;

#define HAWSER_SYNC_INFO_INIT \
  {sizeof(hawserSyncInfo_t), NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/** Brings the state of all members of the group to the same bytes and the same revision. All members call it, with the
 *  same tensors (names, types, counts, flags) and the same tag. Each member reads its tensors. All compare digests and
 *  elect a content. Members that lack slices of it fetch them from all holders at once. At the end all compare digests
 *  again. Success means that all members hold equal bytes; it comes to all members or to none. If nothing differs, the
 *  call costs one reading of the tensors and one small collective.
 *
 *  The caller must not touch the tensors until the call returns. A loss does not end the call: the others keep what has
 *  come, and fetch the rest from other holders.
 *  The revision may exceed the last agreed one by one at most. A larger step of a member is a Mismatch. A newcomer with
 *  a higher revision than that is ignored and takes the group's content. If nobody has agreed on anything yet, the
 *  highest revision is elected: a run that starts, or starts again from checkpoints.
 *
 *  After an error the tensors are as they were, unless content was being fetched; the sentence says so. Then the state
 *  is incomplete, and this member offers nothing. A later call fetches the rest, or hawserSharedStateMarkChanged(state,
 *  NULL) says that the caller has filled it anew. keep_old_bytes avoids that.
 *
 *  Blocks as the collectives do, and as long as content moves. Memory beyond the tensors: at most 64 MiB, 16 bytes per
 *  MiB of tensors, and manifests (names and digests of all members). For tensors on devices: 32 MiB more, pinned.
 *  Errors: those of hawserAllReduce that a retry does not help against (TooFewPeers, Timeout, MasterUnreachable,
 *  Expelled, InvalidUsage, System, Closed), and Mismatch: a member calls something else; a member has other tensors
 *  (the sentence says which and whose); a revision is out of turn; nobody offers; send-only members contradict each
 *  other; content changed meanwhile or does not have its digest. @param options, info may be null. */
HAWSER_API hawserResult_t hawserSharedStateSync(hawserComm_t comm, hawserSharedState_t state,
                                                const hawserSyncOptions_t* options, hawserSyncInfo_t* info);

/* --------------------------------------------------------------------------------------- checkpoints */

/** Writes tensors, revision and digests to a safetensors file, which any reader of the format reads. The file is
 *  written under another name, synced to the disk, then renamed: so it is complete or not there. Blocks as long as the
 *  disk takes. Errors: InvalidUsage (in use, incomplete), InvalidArgument, System. */
HAWSER_API hawserResult_t hawserSharedStateSave(hawserSharedState_t state, const char* path);

/** Reads a file that hawserSharedStateSave wrote. The file must have the same tensors. The whole file is checked before
 *  the first byte of a tensor is written. Sets the revision, and writes it to `revision` unless that is null.
 *  Errors: Refused (other format, damaged, cut off, altered), Mismatch (other tensors; the sentence names one), System
 *  (not there, not readable), InvalidUsage. The tensors are as they were then. */
HAWSER_API hawserResult_t hawserSharedStateLoad(hawserSharedState_t state, const char* path, uint64_t* revision);

/** A tensor of a checkpoint. */
typedef struct hawserCheckpointTensor {
  size_t size;
  const char* name; /**< Valid during the callback. */
  hawserDataType_t type;
  uint64_t count; /**< Elements. */
  uint64_t bytes;
  char digest[HAWSER_DIGEST_BYTES]; /**< Of its content. */
} hawserCheckpointTensor_t;

/** Called for each tensor of a checkpoint, in the calling thread, before the call returns. It must not throw and must
 *  not call the library. */
typedef void (*hawserCheckpointCallback_t)(void* user, const hawserCheckpointTensor_t* tensor);

/** What a checkpoint is. Fill with HAWSER_CHECKPOINT_INFO_INIT. */
typedef struct hawserCheckpointInfo {
  size_t size;
  uint64_t revision;
  uint64_t tensors;
  uint64_t bytes;                   /**< Size of all tensors. */
  char digest[HAWSER_DIGEST_BYTES]; /**< Equal digests mean equal revision, tensors and contents. */
} hawserCheckpointInfo_t;

#define HAWSER_CHECKPOINT_INFO_INIT {sizeof(hawserCheckpointInfo_t), 0, 0, 0, ""}

/** Reads the header of a file that hawserSharedStateSave wrote, and calls `tensor` for each tensor, in their order in
 *  the file. The digest of the header is checked; the content is not read. Blocks as long as the disk takes. Errors:
 *  Refused (other format, damaged, cut off), System (not there, not readable), InvalidArgument. After an error `tensor`
 *  was not called. @param tensor, info may be null. */
HAWSER_API hawserResult_t hawserCheckpointDescribe(const char* path, hawserCheckpointCallback_t tensor, void* user,
                                                   hawserCheckpointInfo_t* info);

/** Reads the whole file and checks all digests. Success means that hawserSharedStateLoad will accept it. Uses 1 MiB of
 *  memory beyond the header. Calls `progress` after each MiB. Errors as for hawserCheckpointDescribe; the sentence
 *  names the damaged tensor. @param progress, info may be null. */
HAWSER_API hawserResult_t hawserCheckpointVerify(const char* path, hawserProgressCallback_t progress, void* user,
                                                 hawserCheckpointInfo_t* info);

/* ------------------------------------------------------------------------------------------ prefetch */

/** Lets newcomers fetch this state from this member while it trains. The offer ends with hawserSharedStateWithdraw or
 *  the next call that changes the state (Sync, Load, SetRevision, MarkChanged, Destroy). Until then the tensors must
 *  not be written to. Call it after a successful synchronisation with this communicator. A communicator offers one
 *  state at a time. Newcomers take at most prefetch_share_percent (hawserCommConfig_t) of the uplink. Does not block.
 *  Errors: InvalidUsage (not synchronised with this communicator since it joined, incomplete, in use). */
HAWSER_API hawserResult_t hawserSharedStateOffer(hawserComm_t comm, hawserSharedState_t state);

/** Ends the offer. When this returns, nobody reads the tensors any more. It does not wait for newcomers: what is being
 *  sent is copied or dropped, and what is being fetched from a device is waited for. No error if the state was not
 *  offered. */
HAWSER_API hawserResult_t hawserSharedStateWithdraw(hawserSharedState_t state);

/** Fill with HAWSER_PREFETCH_OPTIONS_INIT. */
typedef struct hawserPrefetchOptions {
  size_t size;
  /** After so long the newcomer joins with what it has fetched. Default 600000. */
  uint32_t bound_ms;
  hawserProgressCallback_t progress; /**< May be null. */
  void* user;                        /**< The first argument of `progress`. */
  void* stream;                      /**< As in hawserSyncOptions_t. */
} hawserPrefetchOptions_t;

#define HAWSER_PREFETCH_OPTIONS_INIT {sizeof(hawserPrefetchOptions_t), 0, NULL, NULL, NULL}

typedef struct hawserPrefetchInfo {
  size_t size;
  uint32_t complete;      /**< 1: all of the offered revision is here. */
  uint32_t sources;       /**< Number of members that content came from. */
  uint64_t revision;      /**< The revision that was fetched. */
  uint64_t bytes_total;   /**< Size of the tensors. */
  uint64_t bytes_fetched; /**< Content that came here. */
  uint64_t prefetch_us;   /**< Time until the fetching was over. */
  uint64_t join_us;       /**< Time from then to the admission. */
} hawserPrefetchInfo_t;

#define HAWSER_PREFETCH_INFO_INIT {sizeof(hawserPrefetchInfo_t), 0, 0, 0, 0, 0, 0, 0}

/** As hawserCommConnect, but first fetches the content of `state` from the members that offer it, while they train.
 *  Only then can it be admitted. The first synchronisation afterwards fetches only what has changed since.
 *  If a new revision is offered meanwhile, it fetches what differs, until it has all of one revision. It joins with
 *  what it has in three cases: nobody has offered a state with these tensors for 3 s; revisions come faster than it can
 *  fetch them (it has fetched as much as the whole state, or has missed eight in a row); bound_ms has passed. The state
 *  is incomplete until the first synchronisation, unless all of it came or nothing. Blocks as hawserCommConnect does,
 *  plus the fetching. Errors: those of hawserCommConnect, and InvalidUsage (the state is in use). @param options, info
 *  may be null. */
HAWSER_API hawserResult_t hawserCommConnectPrefetch(hawserComm_t comm, hawserSharedState_t state,
                                                    const hawserPrefetchOptions_t* options,
                                                    hawserPrefetchInfo_t* info);

#ifdef __cplusplus
}
#endif
#endif
