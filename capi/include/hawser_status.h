/** @file hawser_status.h
 * How a run stands, asked of its master by anybody: who is in, who waits for what, and who holds up a collective. The
 * conventions of hawser.h hold. `hawser status` prints the same.
 */
#ifndef HAWSER_STATUS_H
#define HAWSER_STATUS_H

#include "hawser.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a master told at one moment. Does not change; may be read from several threads. */
typedef struct hawserStatus* hawserStatus_t;

/** What a peer that is in no view waits for. More may come. */
typedef enum hawserAwaits {
  hawserAwaitsFirstView = 0, /**< The run has no members yet: those who come in time are admitted together. */
  hawserAwaitsUpdate = 1,    /**< That all members of all groups call update-topology. */
  hawserAwaitsPrefetch = 2,  /**< It fetches a shared state, and asks for admission afterwards. */
  hawserAwaitsParty = 3,     /**< The rest of its party. */
  hawserAwaitsLinks = 4,     /**< Links between it and the members, which are being opened. */
  hawserAwaitsRecovery = 5,  /**< A newcomer: the members of a run that lost its master. */
  hawserAwaitsOthers = 6,    /**< A member that is back after its master was restarted: the other members. */
  hawserAwaitsNothing = 7,   /**< A member that is not back yet after a restart of the master: others wait for it. */
  hawserAwaitsTurn = 8       /**< A newcomer: its turn. Too many are being admitted, or its links have failed before. */
} hawserAwaits_t;

/** For a person, e.g. "waits for update-topology". Never null, static storage. */
HAWSER_API const char* hawserGetAwaitsName(hawserAwaits_t awaits);

/** Asks the master at `master` ("HOST:PORT") over a connection of its own. The run takes no notice. Blocks up to
 *  `timeout_ms` (0: 5000). Errors: InvalidArgument (address), MasterUnreachable (nobody listens there), Timeout (no
 *  answer), Refused (no master, one of another protocol version, or this host asks more than 4 times a second; 8 at
 *  once are answered). What is told may be a tenth of a second old. */
HAWSER_API hawserResult_t hawserStatusQuery(const char* master, uint32_t timeout_ms, hawserStatus_t* status);

/** The same, with what the members have measured of the links between them (hawserStatusGetMeasuredLink), which is
 *  more to tell: 20 bytes for each pair at most, of groups up to 128 members, of about four such groups in all. */
HAWSER_API hawserResult_t hawserStatusQueryWithMatrix(const char* master, uint32_t timeout_ms, hawserStatus_t* status);

/** Frees. Null is allowed. */
HAWSER_API hawserResult_t hawserStatusDestroy(hawserStatus_t status);

/** Fill with HAWSER_STATUS_INFO_INIT. */
typedef struct hawserStatusInfo {
  size_t size;
  uint64_t run;              /**< Names the run, over restarts of its master. */
  const char* version;       /**< Of the master: "major.minor.patch". Valid until hawserStatusDestroy. */
  uint32_t protocol_version; /**< Of the master. */
  uint32_t in_update;        /**< Members that wait in update-topology. It ends when all do. */
  uint64_t up_ms;            /**< Since the master was started. */
  uint64_t update_ms;        /**< Since the first of them called update-topology; 0 if nobody has. */
  uint32_t world_size;       /**< Members over all groups. */
  uint32_t group_count;
  uint32_t largest_group_size;
  uint32_t groups;      /**< That are listed. */
  uint32_t peers;       /**< That are listed: members, then those who are in no view. At most 2048. */
  uint32_t collectives; /**< That are listed, the oldest first. At most 256. */
  uint32_t peers_left_out;
  uint32_t collectives_left_out;
} hawserStatusInfo_t;

#define HAWSER_STATUS_INFO_INIT {sizeof(hawserStatusInfo_t), 0, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/** Fills `info`; its texts live as long as `status`. Does not block. Errors: InvalidArgument (null). */
HAWSER_API hawserResult_t hawserStatusGetInfo(hawserStatus_t status, hawserStatusInfo_t* info);

/** Fill with HAWSER_STATUS_GROUP_INIT. */
typedef struct hawserStatusGroup {
  size_t size;
  uint64_t epoch;      /**< Number of its view. */
  uint32_t group;      /**< Its number. */
  uint32_t group_size; /**< Members. */
  uint32_t first_peer; /**< Index of the member of rank 0. */
  uint32_t peers;      /**< Members that are listed, from there on, by rank. */
  uint64_t measures;   /**< Version of what its members have been told of their links; 0: nothing in this view. */
  uint64_t measures_age_ms; /**< Since they were told. */
  uint32_t has_matrix;      /**< 1: hawserStatusGetMeasuredLink knows it. */
  uint64_t mismatches;      /**< How often its members called different things, in this and earlier views. */
  uint64_t last_mismatch_age_ms; /**< Since the last time; 0 if that never was. */
  const char* last_mismatch;     /**< Who called what then; "" if that never was. Valid until hawserStatusDestroy. */
} hawserStatusGroup_t;

#define HAWSER_STATUS_GROUP_INIT {sizeof(hawserStatusGroup_t), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL}

/** Errors: InvalidArgument (no such index). */
HAWSER_API hawserResult_t hawserStatusGetGroup(hawserStatus_t status, uint32_t index, hawserStatusGroup_t* group);

/** What one member has measured of its link to another. 0: unknown. Fill with HAWSER_MEASURED_LINK_INIT. */
typedef struct hawserMeasuredLink {
  size_t size;
  uint64_t bytes_per_second;
  uint64_t delay_ns;    /**< One way: half a round trip. */
  uint32_t probed;      /**< 1: by a probe of this link alone (hawserCommOptimizeTopology); 0: by traffic. */
  uint32_t lower_bound; /**< 1: at least so much; the probe ended before more could be shown. */
} hawserMeasuredLink_t;

#define HAWSER_MEASURED_LINK_INIT {sizeof(hawserMeasuredLink_t), 0, 0, 0, 0}

/** Of the group of this index, between members by rank. All zero if the matrix was not asked for, or nothing is known.
 *  Errors: InvalidArgument (no such index, no such rank). */
HAWSER_API hawserResult_t hawserStatusGetMeasuredLink(hawserStatus_t status, uint32_t group, uint32_t from, uint32_t to,
                                                      hawserMeasuredLink_t* link);

/** The most that has passed over a member's access in a tenth of a second while something waited to be sent, to all
 *  and from all other members together. 0: unknown. Errors likewise. */
HAWSER_API hawserResult_t hawserStatusGetMeasuredAccess(hawserStatus_t status, uint32_t group, uint32_t rank,
                                                        uint64_t* uplink_bytes_per_second,
                                                        uint64_t* downlink_bytes_per_second);

/** Fill with HAWSER_STATUS_PEER_INIT. */
typedef struct hawserStatusPeer {
  size_t size;
  uint64_t peer_id;
  char name[HAWSER_NAME_BYTES];
  char address[HAWSER_ADDRESS_BYTES]; /**< Where other peers dial it. */
  uint64_t party;      /**< Its number, if party_size is above 1. */
  uint64_t heard_ms;   /**< Since the master last heard of it. 0 for hawserAwaitsNothing. */
  uint64_t waits_ms;   /**< Since a newcomer came; else 0. */
  uint32_t party_size; /**< 0 or 1: no party. */
  uint32_t group;
  uint32_t member;    /**< 1: in a view, with `rank`. 0: in none, with `awaits`. */
  uint32_t rank;
  hawserAwaits_t awaits;
  uint32_t in_update;   /**< 1: it waits in update-topology. */
  uint32_t opens_links; /**< 1: it waits for admission, and lacks links to members yet. */
  uint32_t away;        /**< 1: a member whose connection to the master broke, and who may come back. */
} hawserStatusPeer_t;

#define HAWSER_STATUS_PEER_INIT \
  {sizeof(hawserStatusPeer_t), 0, "", "", 0, 0, 0, 0, 0, 0, 0, hawserAwaitsFirstView, 0, 0, 0}

/** Errors: InvalidArgument (no such index). */
HAWSER_API hawserResult_t hawserStatusGetPeer(hawserStatus_t status, uint32_t index, hawserStatusPeer_t* peer);

/** A collective that is neither committed nor aborted, and that the master has heard of: one that lasts, or that
 *  somebody has a whole result of. Fill with HAWSER_STATUS_COLLECTIVE_INIT. */
typedef struct hawserStatusCollective {
  size_t size;
  const char* what; /**< "all-reduce of 100 float32, sum". Valid until hawserStatusDestroy. */
  uint64_t tag;
  uint64_t sequence; /**< The how-manieth of its tag in this view. */
  uint64_t since_ms; /**< Since the master first heard of it. */
  uint32_t group;
  uint32_t group_size;
  uint32_t called;   /**< Members that have called it, as far as the master knows. */
  uint32_t reported; /**< Members that have their whole result. It is committed when all do. */
  uint32_t alike;    /**< 0: members have called different things; `what` is one of them. */
} hawserStatusCollective_t;

#define HAWSER_STATUS_COLLECTIVE_INIT {sizeof(hawserStatusCollective_t), NULL, 0, 0, 0, 0, 0, 0, 0, 0}

/** Errors: InvalidArgument (no such index). */
HAWSER_API hawserResult_t hawserStatusGetCollective(hawserStatus_t status, uint32_t index,
                                                    hawserStatusCollective_t* collective);

/** A member's part in a collective; any number of these, added. */
#define HAWSER_STATUS_CALLED 1u
#define HAWSER_STATUS_REPORTED 2u
/** It holds the collective up: it has not called it; or, if all have, it is to blame for the stall that others
 *  complain of; or its links are far slower than was known; or, if nobody complains, it has no whole result yet. */
#define HAWSER_STATUS_WAITED_FOR 4u
/** It was reported as a straggler: its links are far slower than was known, or it is the last without a result. */
#define HAWSER_STATUS_STRAGGLES 8u

/** Errors: InvalidArgument (no such index, no such rank in its group). */
HAWSER_API hawserResult_t hawserStatusGetPart(hawserStatus_t status, uint32_t collective, uint32_t rank,
                                              uint32_t* part);

#ifdef __cplusplus
}
#endif
#endif
