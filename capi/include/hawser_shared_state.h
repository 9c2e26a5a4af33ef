/** @file hawser_shared_state.h
 * Shared state: named tensors (weights, optimiser state) that all members hold with the same bytes. The
 * conventions of hawser.h hold. docs/shared_state.md tells how it works.
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

/** Where a tensor's memory is. More kinds may come. */
typedef enum hawserMemory {
  hawserMemoryHost = 0
} hawserMemory_t;

/** A named tensor. Set unused fields to 0. */
typedef struct hawserStateTensor {
  /** 1 to 255 bytes of UTF-8 without control characters, unique within the state. Copied. */
  const char* name;
  void* data; /**< `count` elements; null only if count is 0. No two tensors share memory. */
  uint64_t count;
  hawserDataType_t type;
  hawserMemory_t memory;
  /** 1: members of one revision may hold different content of it. Who takes over a new revision gets it. */
  uint32_t allow_content_inequality;
} hawserStateTensor_t;

/** Makes a shared state of `count` tensors (up to 65536), in any order, at revision 0. Their memory stays the
 *  caller's, must stay where it is until the state is destroyed, and is read and written only during calls with
 *  the state (and read while it is offered). Does not read it yet, does not block.
 *  Errors: InvalidArgument (name, type, null or misaligned data, tensors that share memory, too many). */
HAWSER_API hawserResult_t hawserSharedStateCreate(const hawserStateTensor_t* tensors, uint64_t count,
                                                  hawserSharedState_t* state);

/** Frees the state, not the tensors; what is offered is withdrawn first (without memory to ask for that, the
 *  communicator that offers it is closed). Null is allowed. Errors: InvalidUsage (another call is using it). */
HAWSER_API hawserResult_t hawserSharedStateDestroy(hawserSharedState_t state);

/** The revision counts the caller's versions of the content: add one whenever the content has been changed by all
 *  members alike (an optimiser step), before the next synchronisation. A synchronisation sets it to the elected
 *  one. Errors: InvalidUsage (another call is using the state). */
HAWSER_API hawserResult_t hawserSharedStateGetRevision(hawserSharedState_t state, uint64_t* revision);
HAWSER_API hawserResult_t hawserSharedStateSetRevision(hawserSharedState_t state, uint64_t revision);

/** Says that the caller has written to the tensor `name`; null: to all, which are complete from then on,
 *  whatever a broken synchronisation left. Needed only with only_marked, or after a synchronisation that left the
 *  state incomplete. Errors: InvalidArgument (no such tensor), InvalidUsage. */
HAWSER_API hawserResult_t hawserSharedStateMarkChanged(hawserSharedState_t state, const char* name);

/** Reads all tensors and gives the digest of those that may not differ: equal digests, equal content. Tree of
 *  XXH3-128 over slices of 1 MiB (docs/shared_state.md). `digest` takes HAWSER_DIGEST_BYTES.
 *  Errors: InvalidUsage. */
HAWSER_API hawserResult_t hawserSharedStateGetDigest(hawserSharedState_t state, char* digest);

typedef enum hawserSyncStrategy {
  /** Offers its content, and takes the elected one: that of the highest revision on offer; of several contents the
   *  one that most members hold; among equally many that of the lowest rank. */
  hawserSyncEnforcePopular = 0,
  /** Offers its content, and never takes another. */
  hawserSyncSendOnly = 1,
  /** Offers nothing, and takes the elected content. */
  hawserSyncReceiveOnly = 2
} hawserSyncStrategy_t;

/** Called by the thread that waits, five times a second while content is being fetched and once at the end.
 *  Must return soon, must not throw and must not call the library. */
typedef void (*hawserProgressCallback_t)(void* user, uint64_t bytes_done, uint64_t bytes_total);

/** Fill with HAWSER_SYNC_OPTIONS_INIT. */
typedef struct hawserSyncOptions {
  size_t size;
  hawserSyncStrategy_t strategy;
  /** Of the collectives that the synchronisation is made of. Same on all members. */
  uint64_t tag;
  /** 1: what this member sends is compressed without loss where that pays (zstd). */
  uint32_t compress;
  /** 1: only tensors marked as changed since the last call are read again. 0: all are. */
  uint32_t only_marked;
  /** 1: what is overwritten is kept (in as much memory) until all has come, and put back on an error. */
  uint32_t keep_old_bytes;
  /** Threads for reading the tensors, at most 4096. 0: one for each core. */
  uint32_t threads;
  hawserProgressCallback_t progress; /**< May be null. */
  void* user;                        /**< For it. */
} hawserSyncOptions_t;

#define HAWSER_SYNC_OPTIONS_INIT {sizeof(hawserSyncOptions_t), hawserSyncEnforcePopular, 0, 0, 0, 0, 0, NULL, NULL}

typedef struct hawserSyncSource {
  uint64_t peer_id;
  uint64_t bytes; /**< Of content that came from it. */
} hawserSyncSource_t;

/** What a synchronisation was. Set `size`, `sources` and `source_capacity` before (HAWSER_SYNC_INFO_INIT: no list);
 *  the rest is written on success and on errors found after the call began. */
typedef struct hawserSyncInfo {
  size_t size;
  hawserSyncSource_t* sources; /**< The caller's array, or null: whom content came from. */
  uint32_t source_capacity;    /**< Entries that it can take; more are cut. */
  uint32_t source_count;       /**< Sources there were. */
  uint64_t revision;           /**< Everybody's now; after an error this member's. */
  uint64_t tensors;
  uint64_t tensors_changed; /**< Of which content was fetched here. */
  uint64_t bytes;           /**< Of all tensors. */
  uint64_t bytes_fetched;   /**< Of content that came here. */
  uint64_t bytes_again;     /**< Fetched in vain (a source was lost, or sent something else). */
  uint64_t bytes_sent;      /**< Payload bytes of all steps, of those attempts that were not broken off. */
  uint64_t bytes_received;
  uint32_t supporters; /**< Members that held the elected content before. */
  uint32_t world_size;
  uint32_t rank;
  uint32_t attempts; /**< 1, and 1 more for each loss on the way. */
  uint64_t epoch;
  uint64_t digest_us;   /**< Reading tensors. */
  uint64_t agree_us;    /**< Comparing and electing. */
  uint64_t transfer_us; /**< Until all members had everything. */
  uint32_t incomplete;  /**< 1, after an error only: some tensors are partly overwritten. */
} hawserSyncInfo_t;

#define HAWSER_SYNC_INFO_INIT \
  {sizeof(hawserSyncInfo_t), NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/** Brings the state of all members of the group to the same bytes and the same revision. All members call it, with
 *  the same tensors (names, types, counts, flags) and the same tag. Each reads its tensors, all compare digests,
 *  elect a content, and who lacks slices of it fetches them from all who have them at once. At the end all compare
 *  digests again: success means that they are equal, at every member or at none. If nothing differs, it costs one
 *  reading of the tensors and one small collective.
 *
 *  The tensors must not be touched by the caller until the call returns. A loss does not end it: the others go on
 *  with what has come, and fetch the rest from whoever has it.
 *  The revision may exceed the last one agreed on by one at most (else the others' counting is broken: Mismatch);
 *  a newcomer that brings more than that is ignored and takes the group's. In a group in which nobody has agreed
 *  on anything yet (a run that starts, or starts anew from checkpoints) the highest revision is taken.
 *
 *  After an error the tensors are as they were, unless content was being fetched (the sentence tells): then they
 *  are incomplete, this member offers nothing until a later call has fetched the rest (only what is missing) or
 *  hawserSharedStateMarkChanged(state, NULL) says that it was filled anew. keep_old_bytes avoids that.
 *
 *  Blocks as the collectives do, and as long as the transfer takes while it moves. Memory beyond the tensors: at
 *  most 64 MiB, 16 bytes per MiB of tensors, and manifests (names and digests of all members).
 *  Errors: those of hawserAllReduce that a retry does not mend (TooFewPeers, Timeout, MasterUnreachable, Expelled,
 *  InvalidUsage, System, Closed), and Mismatch: a member calls something else; other tensors (which one, and whose);
 *  a revision out of turn; nobody offers; contradicting send-only members; content that changed meanwhile or does
 *  not have its digest. @param options, info may be null. */
HAWSER_API hawserResult_t hawserSharedStateSync(hawserComm_t comm, hawserSharedState_t state,
                                                const hawserSyncOptions_t* options, hawserSyncInfo_t* info);

/* --------------------------------------------------------------------------------------- checkpoints */

/** Writes tensors and revision to a safetensors file (any reader of the format reads it), with digests. Whole or
 *  not at all: beside it, synced to the disk, then renamed. Blocks as long as the disk takes.
 *  Errors: InvalidUsage (in use, incomplete), InvalidArgument, System. */
HAWSER_API hawserResult_t hawserSharedStateSave(hawserSharedState_t state, const char* path);

/** Reads a file that hawserSharedStateSave wrote: the same tensors, all of them. The whole file is checked before
 *  the first byte of a tensor is written. Sets the revision; writes it to `revision` unless null.
 *  Errors: Refused (no such file format, damaged, cut off, altered), Mismatch (other tensors; which one), System (not
 *  there, not readable), InvalidUsage. The tensors are then as they were. */
HAWSER_API hawserResult_t hawserSharedStateLoad(hawserSharedState_t state, const char* path, uint64_t* revision);

/** A tensor of a checkpoint. */
typedef struct hawserCheckpointTensor {
  size_t size;
  const char* name; /**< Valid during the call that shows it. */
  hawserDataType_t type;
  uint64_t count; /**< Elements. */
  uint64_t bytes;
  char digest[HAWSER_DIGEST_BYTES]; /**< Of its content. */
} hawserCheckpointTensor_t;

/** Shown the tensors of a checkpoint one by one, by the thread that asked, before the asking call returns. Must not
 *  throw and must not call the library. */
typedef void (*hawserCheckpointCallback_t)(void* user, const hawserCheckpointTensor_t* tensor);

/** What a checkpoint is. Fill with HAWSER_CHECKPOINT_INFO_INIT. */
typedef struct hawserCheckpointInfo {
  size_t size;
  uint64_t revision;
  uint64_t tensors;
  uint64_t bytes;                   /**< Of all tensors. */
  char digest[HAWSER_DIGEST_BYTES]; /**< Of all of it: equal digests, equal revision, tensors and contents. */
} hawserCheckpointInfo_t;

#define HAWSER_CHECKPOINT_INFO_INIT {sizeof(hawserCheckpointInfo_t), 0, 0, 0, ""}

/** Reads the header of a file that hawserSharedStateSave wrote, and shows its tensors in the order in which they lie
 *  in the file. The header has a digest of its own, which is checked; the content is not read. Blocks as long as the
 *  disk takes. Errors: Refused (no such file format, damaged, cut off), System (not there, not readable),
 *  InvalidArgument. Nothing has been shown then. @param tensor, info may be null. */
HAWSER_API hawserResult_t hawserCheckpointDescribe(const char* path, hawserCheckpointCallback_t tensor, void* user,
                                                   hawserCheckpointInfo_t* info);

/** Reads the whole file and checks all digests: success means that hawserSharedStateLoad will take it. Uses 1 MiB of
 *  memory beyond the header. Calls `progress` after each MiB. Errors: as hawserCheckpointDescribe; the sentence names
 *  the tensor that is damaged. @param progress, info may be null. */
HAWSER_API hawserResult_t hawserCheckpointVerify(const char* path, hawserProgressCallback_t progress, void* user,
                                                 hawserCheckpointInfo_t* info);

/* ------------------------------------------------------------------------------------------ prefetch */

/** Lets newcomers fetch this state from this member while it trains on, from now until hawserSharedStateWithdraw or
 *  the next call that changes the state (Sync, Load, SetRevision, MarkChanged, Destroy). Until then the tensors must
 *  not be written to. Call it after a successful synchronisation with this communicator; one state per communicator.
 *  Uses at most prefetch_share_percent (hawserCommConfig_t) of the uplink. Does not block.
 *  Errors: InvalidUsage (not synchronised with this communicator since it joined, incomplete, in use). */
HAWSER_API hawserResult_t hawserSharedStateOffer(hawserComm_t comm, hawserSharedState_t state);

/** Ends it; returns when nobody reads the tensors any more (at once: what is under way is copied or dropped).
 *  No error if it was not offered. */
HAWSER_API hawserResult_t hawserSharedStateWithdraw(hawserSharedState_t state);

/** Fill with HAWSER_PREFETCH_OPTIONS_INIT. */
typedef struct hawserPrefetchOptions {
  size_t size;
  /** After so long it joins with what it has. Default 600000. */
  uint32_t bound_ms;
  hawserProgressCallback_t progress; /**< May be null. */
  void* user;
} hawserPrefetchOptions_t;

#define HAWSER_PREFETCH_OPTIONS_INIT {sizeof(hawserPrefetchOptions_t), 0, NULL, NULL}

typedef struct hawserPrefetchInfo {
  size_t size;
  uint32_t complete;      /**< 1: all of the offered revision is here. */
  uint32_t sources;       /**< Members that content came from. */
  uint64_t revision;      /**< Of what was fetched. */
  uint64_t bytes_total;   /**< Of the tensors. */
  uint64_t bytes_fetched; /**< That came here. */
  uint64_t prefetch_us;   /**< Until the fetching was over. */
  uint64_t join_us;       /**< From then to the admission. */
} hawserPrefetchInfo_t;

#define HAWSER_PREFETCH_INFO_INIT {sizeof(hawserPrefetchInfo_t), 0, 0, 0, 0, 0, 0, 0}

/** As hawserCommConnect, but first fetches the content of `state` from the members that offer it, while they train
 *  on; only then may it be admitted. The first synchronisation afterwards fetches only what has changed since.
 *  Fetches again what a new revision changes, until it has all of one; joins with what it has if nobody offers
 *  anything (fitting), if revisions come faster than their content (it has fetched as much as the whole state, or has
 *  missed eight in a row), or after bound_ms. The state is incomplete until that first synchronisation, unless all of it
 *  came or none. Blocks as hawserCommConnect does, plus the fetching. Errors: those of hawserCommConnect and
 *  InvalidUsage (the state is in use). @param options, info may be null. */
HAWSER_API hawserResult_t hawserCommConnectPrefetch(hawserComm_t comm, hawserSharedState_t state,
                                                    const hawserPrefetchOptions_t* options,
                                                    hawserPrefetchInfo_t* info);

#ifdef __cplusplus
}
#endif
#endif
