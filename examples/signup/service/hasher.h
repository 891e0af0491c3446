/* hasher.h: hashing passwords in processes of their own. */
#ifndef SIGNUP_HASHER_H
#define SIGNUP_HASHER_H

#include "common/password.h"

#include <eddy/eddy.h>

/* Gives a fresh salt and the password's hash. 0; EDDY_ELIMIT: too many wait already; EDDY_EBROKENPOOL: the process
 * died; EDDY_ECANCELED: and no process works on it any more; or another failure with a text. */
int hasher_run(eddy_process_pool *hashers, const char *password, struct password_hash *hash_out) EDDY_SUSPENDS;

#endif
