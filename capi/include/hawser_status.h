/** @file hawser_status.h
 *  The state of a run, as its master knows it: who is a member, who waits for what, and who holds up a collective.
 *  In a run with keys it is for members, observers and operators; else for anybody who reaches the master's port. The
 *  conventions of hawser.h hold. `hawser status` prints the same.
 */
#ifndef HAWSER_STATUS_H
#define HAWSER_STATUS_H

#include "hawser.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A master's answer, of one moment. It does not change, and may be read from several threads. */
typedef struct hawserStatus* hawserStatus_t;

/** What a peer that is in no view waits for. Later versions may add values. */
typedef enum hawserAwaits {
  hawserAwaitsFirstView = 0, /**< It waits for other first peers. The run has no members yet. */
  hawserAwaitsUpdate = 1,    /**< It waits until all members of all groups call update-topology. */
  hawserAwaitsPrefetch = 2,  /**< It fetches a shared state. Then it can be admitted. */
  hawserAwaitsParty = 3,     /**< It waits for the rest of its party. */
  hawserAwaitsLinks = 4,     /**< It waits for links to the members, which are being opened. */
  hawserAwaitsRecovery = 5,  /**< A newcomer waits for the members of a run that lost its master. */
  hawserAwaitsOthers = 6,    /**< A member is back after a restart of the master, and waits for the other members. */
  hawserAwaitsNothing = 7,   /**< A member is not back yet after a restart of the master. Others wait for it. */
  hawserAwaitsTurn = 8,      /**< A newcomer waits for its turn: there are too many, or its links failed before. */
  hawserAwaitsPermission = 9 /**< A newcomer's key waits for an operator: `hawser admit KEY`. */
} hawserAwaits_t;

/** For a person, e.g. "waits for update-topology". Never null, static storage. */
HAWSER_API const char* hawserGetAwaitsName(hawserAwaits_t awaits);

/** What a question to the master needs. Fill with HAWSER_QUERY_OPTIONS_INIT. */
typedef struct hawserQueryOptions {
  size_t size;
  uint32_t timeout_ms;     /**< 0: 5000. */
  uint32_t matrix;         /**< Of a status, 1: also the measured links between members. */
  const char* secret_file; /**< As in hawserCommConfig_t. Null: what HAWSER_SECRET_FILE names, if anything. */
  uint32_t insecure;       /**< As in hawserCommConfig_t. */
  uint32_t attested;       /**< Of a status: also what members have signed of so many collectives, the latest ones. */
} hawserQueryOptions_t;

#define HAWSER_QUERY_OPTIONS_INIT {sizeof(hawserQueryOptions_t), 0, 0, NULL, 0, 0}

/** As hawserStatusQuery, with options, which may be null. In a run with keys the key must be a member's, an observer's
 *  or an operator's. Errors: those of hawserStatusQuery; InvalidArgument also for a secret_file that is none. */
HAWSER_API hawserResult_t hawserStatusQueryWith(const char* master, const hawserQueryOptions_t* options,
                                                hawserStatus_t* status);

/** What an operator can do in a run with keys. */
typedef enum hawserOperatorVerb {
  hawserOperatorKick = 0,    /**< Removes all peers of a name. They may come back. */
  hawserOperatorBan = 1,     /**< Denies a key from now on, and removes its peers. */
  hawserOperatorUnban = 2,   /**< Takes that back. */
  hawserOperatorAdmit = 3,   /**< Lets the holder of a newcomer's key be a member. */
  hawserOperatorDrain = 4,   /**< No newcomers from now on. */
  hawserOperatorEndDrain = 5 /**< Takes that back. */
} hawserOperatorVerb_t;

/** Bytes of the longest answer to an operator, with its closing zero. */
#define HAWSER_ANSWER_BYTES 1025

/** Has the master carry it out. `argument`: a name, or a key; null for the last two. The master's answer goes to
 *  `answer`, which may be null, as far as it fits (HAWSER_ANSWER_BYTES), with a closing zero. Needs the run's secret,
 *  or an operator's key. Blocks as hawserStatusQuery. Errors: those of hawserStatusQueryWith; Refused (no operator's
 *  key, no such key). */
HAWSER_API hawserResult_t hawserOperate(const char* master, const hawserQueryOptions_t* options,
                                        hawserOperatorVerb_t verb, const char* argument, char* answer,
                                        size_t answer_bytes);

/** Asks the master at `master` ("HOST:PORT") over a connection of its own. The run is not disturbed. Blocks up to
 *  `timeout_ms` (0: 5000). The answer may be a tenth of a second old. A master answers one host 8 times at once, then 4
 *  times a second.
 *  Errors: InvalidArgument (address), MasterUnreachable (nobody listens there), Timeout (no answer), Refused (what
 *  listens there is no master, or one of another protocol version, or this host asks too often). */
HAWSER_API hawserResult_t hawserStatusQuery(const char* master, uint32_t timeout_ms, hawserStatus_t* status);

/** The same, with the measured links between members (hawserStatusGetMeasuredLink). The answer is larger by up to 20
 *  bytes for each pair. It covers groups of up to 128 members, and about four such groups. */
HAWSER_API hawserResult_t hawserStatusQueryWithMatrix(const char* master, uint32_t timeout_ms, hawserStatus_t* status);

/** Frees. Null is allowed. */
HAWSER_API hawserResult_t hawserStatusDestroy(hawserStatus_t status);

/** Fill with HAWSER_STATUS_INFO_INIT. */
typedef struct hawserStatusInfo {
  size_t size;
  uint64_t run;              /**< The run's number. It stays over restarts of the master. */
  const char* version;       /**< The master's version, "major.minor.patch". Valid until hawserStatusDestroy. */
  uint32_t protocol_version; /**< The master's protocol version. */
  uint32_t in_update;        /**< Members that wait in update-topology. It ends when all members do. */
  uint64_t up_ms;            /**< Time since the master was started. */
  uint64_t update_ms;        /**< Time since the first of them called update-topology. 0: nobody has. */
  uint32_t world_size;       /**< Members of all groups together. */
  uint32_t group_count;
  uint32_t largest_group_size;
  uint32_t groups;      /**< Groups in this answer. */
  uint32_t peers;       /**< Peers in this answer: members, then those in no view. At most 2048. */
  uint32_t collectives; /**< Collectives in this answer, the oldest first. At most 256. */
  uint32_t peers_left_out;
  uint32_t collectives_left_out;
  uint32_t has_keys; /**< 1: nobody is heard who has no key of the run. 0: anybody who reaches the master is. */
  uint32_t attested; /**< Collectives in this answer that members have signed for. */
  uint32_t unreached; /**< Entries of hawserStatusGetUnreached in this answer. At most 512. */
  uint32_t standby;  /**< 1: the master that answered stands by; the run is another one's, or has none now. */
  const char* waits; /**< Why it does not take the run over; empty if it serves. Valid until hawserStatusDestroy. */
  uint64_t term;     /**< Of the master, where several may serve the run: it grows with each takeover. Otherwise 0. */
} hawserStatusInfo_t;

#define HAWSER_STATUS_INFO_INIT \
  {sizeof(hawserStatusInfo_t), 0, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0}

/** Fills `info`. Its texts live as long as `status`. Does not block. Errors: InvalidArgument (null). */
HAWSER_API hawserResult_t hawserStatusGetInfo(hawserStatus_t status, hawserStatusInfo_t* info);

/** What has happened since the master began to serve the run. These numbers only grow; a restart or a takeover begins
 *  them anew. Fill with HAWSER_STATUS_TOTALS_INIT. */
typedef struct hawserStatusTotals {
  size_t size;
  /* Committed collectives. */
  uint64_t all_reduces;
  uint64_t reduce_scatters;
  uint64_t all_gathers;
  uint64_t broadcasts;
  uint64_t barriers;
  uint64_t state_transfers; /**< Steps of synchronisations of a shared state that moved something. */
  uint64_t optimizations;   /**< optimize-topology. */
  uint64_t reduced_bytes;   /**< Size of the tensors of the all-reduces and reduce-scatters: of one member's. */
  /* Collectives that the master had heard of and that ended with an error. It hears of short ones by their results. */
  uint64_t failed_by_loss;
  uint64_t failed_by_mismatch;
  uint64_t failed_by_timeout;
  uint64_t failed_otherwise; /**< By a restart or a takeover. */
  /* Members and relays. */
  uint64_t joined; /**< Those of the first view are among them. */
  uint64_t left;   /**< They said good-bye. */
  uint64_t lost;   /**< They were removed. */
} hawserStatusTotals_t;

#define HAWSER_STATUS_TOTALS_INIT {sizeof(hawserStatusTotals_t), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/** Fills `totals`. Does not block. Errors: InvalidArgument (null). */
HAWSER_API hawserResult_t hawserStatusGetTotals(hawserStatus_t status, hawserStatusTotals_t* totals);

/** Fill with HAWSER_STATUS_GROUP_INIT. */
typedef struct hawserStatusGroup {
  size_t size;
  uint64_t epoch;      /**< Number of its view. */
  uint32_t group;      /**< Number of the group. */
  uint32_t group_size; /**< Number of members. */
  uint32_t first_peer; /**< Index of the member of rank 0 among the peers. */
  uint32_t peers;      /**< Members in this answer, from there on, by rank. */
  uint64_t measures;   /**< Version of the measurements that its members plan with. 0: none in this view. */
  uint64_t measures_age_ms; /**< Time since that version was announced. */
  uint32_t has_matrix;      /**< 1: the answer has its measured links. */
  uint64_t mismatches;      /**< How often its members called different things, in this and earlier views. */
  uint64_t last_mismatch_age_ms; /**< Time since the last mismatch. 0: there was none. */
  const char* last_mismatch;     /**< Who called what then. "": there was none. Valid until hawserStatusDestroy. */
} hawserStatusGroup_t;

#define HAWSER_STATUS_GROUP_INIT {sizeof(hawserStatusGroup_t), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL}

/** Errors: InvalidArgument (no such index). */
HAWSER_API hawserResult_t hawserStatusGetGroup(hawserStatus_t status, uint32_t index, hawserStatusGroup_t* group);

/** A link from one member to another, as measured. 0: unknown. Fill with HAWSER_MEASURED_LINK_INIT. */
typedef struct hawserMeasuredLink {
  size_t size;
  uint64_t bytes_per_second;
  uint64_t delay_ns;    /**< One way: half a round trip. */
  uint32_t probed;      /**< 1: measured by a probe of this link alone (hawserCommOptimizeTopology). 0: by traffic. */
  uint32_t lower_bound; /**< 1: the link carries at least so much. The probe ended before it could show more. */
  uint32_t detour;      /**< 1: these two do not reach each other, and a third member passes on what they say. */
  uint32_t detour_by;   /**< The rank of that one; UINT32_MAX: not known. */
} hawserMeasuredLink_t;

#define HAWSER_MEASURED_LINK_INIT {sizeof(hawserMeasuredLink_t), 0, 0, 0, 0, 0, 0}

/** Writes the link between two members, by rank, of the group of this index. All is zero if the matrix was not asked
 *  for, or if nothing is known.
 *  Errors: InvalidArgument (no such index, no such rank). */
HAWSER_API hawserResult_t hawserStatusGetMeasuredLink(hawserStatus_t status, uint32_t group, uint32_t from, uint32_t to,
                                                      hawserMeasuredLink_t* link);

/** Writes the highest rate of a member's access, to all and from all other members together. It counts tenths of a
 *  second in which something waited to be sent, and does not fall when the access becomes slower. 0: unknown. Errors:
 *  InvalidArgument (no such index, no such rank). */
HAWSER_API hawserResult_t hawserStatusGetMeasuredAccess(hawserStatus_t status, uint32_t group, uint32_t rank,
                                                        uint64_t* uplink_bytes_per_second,
                                                        uint64_t* downlink_bytes_per_second);

/** Fill with HAWSER_STATUS_PEER_INIT. */
typedef struct hawserStatusPeer {
  size_t size;
  uint64_t peer_id;
  char name[HAWSER_NAME_BYTES];
  char address[HAWSER_ADDRESS_BYTES]; /**< Where other peers dial it. */
  uint64_t party;      /**< The party's number, if party_size is above 1. */
  uint64_t heard_ms;   /**< Time since the master last heard from it. 0 for hawserAwaitsNothing. */
  uint64_t waits_ms;   /**< Time since this newcomer came. 0 for members. */
  uint32_t party_size; /**< 0 or 1: no party. */
  uint32_t group;
  uint32_t member;    /**< 1: it is in a view, and has a `rank`. 0: it is in none, and `awaits` says why. */
  uint32_t rank;
  hawserAwaits_t awaits;
  uint32_t in_update;   /**< 1: it waits in update-topology. */
  uint32_t opens_links; /**< 1: a newcomer that has no link to some members yet. */
  uint32_t away;        /**< 1: a member whose connection to the master broke. It may come back. */
  char key[HAWSER_KEY_BYTES]; /**< In hexadecimal digits: what `hawser ban` takes. "" in a run without keys. */
  uint32_t relay; /**< 1: it has no tensors, and adds for the members. It is not counted among these. */
} hawserStatusPeer_t;

#define HAWSER_STATUS_PEER_INIT \
  {sizeof(hawserStatusPeer_t), 0, "", "", 0, 0, 0, 0, 0, 0, 0, hawserAwaitsFirstView, 0, 0, 0, "", 0}

/** Errors: InvalidArgument (no such index). */
HAWSER_API hawserResult_t hawserStatusGetPeer(hawserStatus_t status, uint32_t index, hawserStatusPeer_t* peer);

/** A collective that is neither committed nor aborted. The master learns of it when it lasts, or when somebody has its
 *  complete result. Fill with HAWSER_STATUS_COLLECTIVE_INIT. */
typedef struct hawserStatusCollective {
  size_t size;
  const char* what; /**< "all-reduce of 100 float32, sum". Valid until hawserStatusDestroy. */
  uint64_t tag;
  uint64_t sequence; /**< Index among the collectives with its tag in this view, from 0. */
  uint64_t since_ms; /**< Time since the master first heard of it. */
  uint32_t group;
  uint32_t group_size;
  uint32_t called;   /**< Members that have called it, as far as the master knows. */
  uint32_t reported; /**< Members that have their complete result. It is committed when all do. */
  uint32_t alike;    /**< 0: members have called different things, and `what` is one of them. */
} hawserStatusCollective_t;

#define HAWSER_STATUS_COLLECTIVE_INIT {sizeof(hawserStatusCollective_t), NULL, 0, 0, 0, 0, 0, 0, 0, 0}

/** Errors: InvalidArgument (no such index). */
HAWSER_API hawserResult_t hawserStatusGetCollective(hawserStatus_t status, uint32_t index,
                                                    hawserStatusCollective_t* collective);

/** A member's part in a collective: the sum of these bits. */
#define HAWSER_STATUS_CALLED 1u
#define HAWSER_STATUS_REPORTED 2u
/** It holds up the collective: it has not called it. If all have called: it causes the stall that others report, or its
 *  links are far slower than before, or, if nobody reports a stall, it has no complete result yet. */
#define HAWSER_STATUS_WAITED_FOR 4u
/** It was reported as a straggler: its links are far slower than before, or it is the last member without a result. */
#define HAWSER_STATUS_STRAGGLES 8u

/** Errors: InvalidArgument (no such index, no such rank in its group). */
HAWSER_API hawserResult_t hawserStatusGetPart(hawserStatus_t status, uint32_t collective, uint32_t rank,
                                              uint32_t* part);

/** Bytes of the longest reason, with its closing zero. */
#define HAWSER_UNREACHED_REASON_BYTES 301

/** A peer that has no straight way to another one of its group, as it says itself. Both may say so, each with its own
 *  reason. A peer tells of 40 others at most. Fill with HAWSER_STATUS_UNREACHED_INIT. */
typedef struct hawserStatusUnreached {
  size_t size;
  uint64_t from_id; /**< Of the peer that says so. */
  uint64_t to_id;
  uint64_t by_id; /**< The third peer that passes on what they send each other. 0: they have no link. */
  char from_name[HAWSER_NAME_BYTES];
  char to_name[HAWSER_NAME_BYTES];
  char by_name[HAWSER_NAME_BYTES];
  char why[HAWSER_UNREACHED_REASON_BYTES]; /**< How the last tries ended, with the addresses that were dialled. */
} hawserStatusUnreached_t;

#define HAWSER_STATUS_UNREACHED_INIT {sizeof(hawserStatusUnreached_t), 0, 0, 0, "", "", "", ""}

/** Errors: InvalidArgument (null, no such index). */
HAWSER_API hawserResult_t hawserStatusGetUnreached(hawserStatus_t status, uint32_t index,
                                                   hawserStatusUnreached_t* unreached);

/** A committed collective to which some members gave with `attest` (hawserCommConfig_t). The master keeps the latest
 *  1024 in its memory, or fewer if they have more than 65536 members together. A restart of the master, or a takeover,
 *  forgets them. It tells 2048 members at once at most. Fill with HAWSER_STATUS_ATTESTED_INIT. */
typedef struct hawserStatusAttested {
  size_t size;
  const char* what; /**< "all-reduce of 100 float32, sum". Valid until hawserStatusDestroy. */
  uint64_t epoch;
  uint64_t tag;
  uint64_t sequence; /**< Index among the collectives with its tag in this view, from 0. */
  uint64_t age_ms;   /**< Time since the last of its members called it. */
  uint32_t group;
  uint32_t members; /**< In hawserStatusGetContribution: by rank. */
} hawserStatusAttested_t;

#define HAWSER_STATUS_ATTESTED_INIT {sizeof(hawserStatusAttested_t), NULL, 0, 0, 0, 0, 0, 0}

/** Index 0 is the latest one. Errors: InvalidArgument (no such index). */
HAWSER_API hawserResult_t hawserStatusGetAttested(hawserStatus_t status, uint32_t index,
                                                  hawserStatusAttested_t* attested);

/** Whether a contribution is signed. Later versions may add values. */
typedef enum hawserSigned {
  hawserSignedNot = 0,   /**< Nothing came from this member. */
  hawserSignedBy = 1,    /**< With this member's key, which was checked here. */
  hawserSignedWrong = 2  /**< What came is not signed with this member's key: do not rely on it. */
} hawserSigned_t;

/** What a member gave to a collective. Fill with HAWSER_CONTRIBUTION_INIT. */
typedef struct hawserContribution {
  size_t size;
  char name[HAWSER_NAME_BYTES];
  char key[HAWSER_KEY_BYTES];    /**< The member's, in hexadecimal digits: what `hawser ban` takes. */
  char sha256[HAWSER_KEY_BYTES]; /**< Of its send buffer's bytes, in hexadecimal digits. "": it signed nothing. */
  uint64_t bytes;                /**< Of its send buffer. */
  uint64_t not_finite;           /**< Elements that are infinite or NaN. 0 for integers. */
  double largest;                /**< Largest magnitude among the others. 0 for integers. */
  double norm;                   /**< Euclidean norm of the others. 0 for integers. */
  hawserSigned_t is_signed;
  uint32_t late; /**< 1: its signature came when this member could know the result. */
} hawserContribution_t;

#define HAWSER_CONTRIBUTION_INIT {sizeof(hawserContribution_t), "", "", "", 0, 0, 0, 0, hawserSignedNot, 0}

/** Of the member of this rank, in the collective of this index. Checks the signature, which takes a tenth of a
 *  millisecond. Errors: InvalidArgument (no such index, no such rank). */
HAWSER_API hawserResult_t hawserStatusGetContribution(hawserStatus_t status, uint32_t index, uint32_t rank,
                                                      hawserContribution_t* contribution);

#ifdef __cplusplus
}
#endif
#endif
