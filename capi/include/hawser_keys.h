/** @file hawser_keys.h
 * Key files: the secret of a run, and keys that are issued to those who take part in it without the secret. A file's
 * path goes into `secret_file` of hawserCommConfig_t, hawserMasterConfig_t and hawserQueryOptions_t. docs/security.md
 * says who needs which key. The conventions of hawser.h hold. All calls block for the file system.
 */
#ifndef HAWSER_KEYS_H
#define HAWSER_KEYS_H

#include "hawser.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What the holder of a key may be in its run. */
typedef enum hawserRole {
  hawserRoleMember = 0,   /**< Reduces. */
  hawserRoleNewcomer = 1, /**< Takes the shared state, and is a member only once an operator admits its key. */
  hawserRoleReader = 2,   /**< Takes the shared state, and is never a member. */
  hawserRoleObserver = 3, /**< Sees the run's status. */
  hawserRoleOperator = 4  /**< Everything. */
} hawserRole_t;

/** "member", "newcomer", "reader", "observer", "operator". Never null, static storage. */
HAWSER_API const char* hawserGetRoleName(hawserRole_t role);

/** Bytes of a run's name with its closing zero, and the largest number of groups that a key names. */
#define HAWSER_RUN_NAME_BYTES 33
#define HAWSER_KEY_GROUPS_MAX 64

/** Makes a new file with the secret of a new run. Only its owner may read it. Whoever has it can do everything in the
 *  run. Copy it to the machines that you trust.
 *  Errors: InvalidArgument (null, or there is a file of that name, which is left as it is), System. */
HAWSER_API hawserResult_t hawserSecretCreate(const char* file);

/** Fill with HAWSER_KEY_OPTIONS_INIT, then set `file`, `secret_file` and `name`. */
typedef struct hawserKeyOptions {
  size_t size;
  const char* file;        /**< To write, for its owner alone. It must not exist. Required. */
  const char* secret_file; /**< Of the run's secret, which signs the key. Required. */
  const char* name;        /**< Of whom the key is for: 1 to 63 bytes of UTF-8. Required. */
  hawserRole_t role;
  uint32_t days;          /**< For which the key is valid: at most 3650. 0: 30. */
  const uint32_t* groups; /**< That its holder may be in, in ascending order. Null with group_count 0: all. */
  size_t group_count;     /**< At most HAWSER_KEY_GROUPS_MAX. */
} hawserKeyOptions_t;

#define HAWSER_KEY_OPTIONS_INIT {sizeof(hawserKeyOptions_t), NULL, NULL, NULL, hawserRoleMember, 0, NULL, 0}

/** Makes a new file with a key of the run. Its holder needs no other file, and cannot issue keys.
 *  Errors: InvalidArgument (an option, a file that exists already, a secret_file that is none or that others may read),
 *  System. */
HAWSER_API hawserResult_t hawserKeyIssue(const hawserKeyOptions_t* options);

/** What a key file holds. Fill with HAWSER_KEY_INFO_INIT. */
typedef struct hawserKeyInfo {
  size_t size;
  char run[HAWSER_RUN_NAME_BYTES]; /**< The run's name: of equal secrets, equal. */
  char key[HAWSER_KEY_BYTES];      /**< What `hawser ban` takes. "" for a secret: each process makes its own. */
  char name[HAWSER_NAME_BYTES];    /**< Of whom the key is for. "" for a secret. */
  hawserRole_t role;               /**< hawserRoleOperator for a secret. */
  uint32_t is_secret;              /**< 1: the file holds the run's secret. */
  int64_t expires_unix_s;          /**< Seconds since 1970. 0 for a secret, which does not expire. */
  uint32_t group_count;            /**< 0: all groups. */
  uint32_t groups[HAWSER_KEY_GROUPS_MAX]; /**< The first group_count are set. */
} hawserKeyInfo_t;

#define HAWSER_KEY_INFO_INIT {sizeof(hawserKeyInfo_t), "", "", "", hawserRoleMember, 0, 0, 0, {0}}

/** Reads a key file and fills `info`. Errors: InvalidArgument (null, no key file, expired, or one that others may
 *  read), System. */
HAWSER_API hawserResult_t hawserKeyGetInfo(const char* file, hawserKeyInfo_t* info);

#ifdef __cplusplus
}
#endif
#endif
