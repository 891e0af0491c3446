/* register.c: the main job: look the name up, hash the password, store the user.
 *
 *   patience: look-up (thread pool) -> queue -> hash (process pool)        over time: 504, and the hashing is dead
 *   no limit: insert (thread pool, shielded)                               its outcome is the answer
 *
 * The insert is the commit point. Before it nothing has happened, and any failure may be answered; after it
 * the user exists. So no deadline may fall into it, and no cancel. */
#include "service/register.h"
#include "service/answer.h"
#include "service/hasher.h"
#include "service/json.h"
#include "service/users.h"

#include "common/hex.h"

#include <stdio.h>

static int look_up_and_hash(struct service *service, const struct registration *registration,
                            struct password_hash *hash_out) {
    const int status = users_find(service, registration->username, NULL);
    if (status == 0) return -EEXIST;
    if (status != -ENOENT) return status;
    return hasher_run(service->hashers, registration->password, hash_out);
}

static int store(struct service *service, const struct registration *registration, const struct password_hash *hash,
                 struct user *user_out) {
    snprintf(user_out->username, sizeof user_out->username, "%s", registration->username);
    snprintf(user_out->email, sizeof user_out->email, "%s", registration->email);
    hex_encode(user_out->salt, hash->salt, sizeof hash->salt);
    hex_encode(user_out->hash, hash->hash, sizeof hash->hash);
    return users_add(service, user_out);
}

int post_register(struct service *service, const struct http_request *request, struct http_answer *answer) {
    struct registration registration;
    const char *fault = json_read_registration(request->body, request->body_bytes, &registration);
    if (fault != NULL) return answer_error(answer, 400, fault);

    struct password_hash hash;
    struct user user;
    int status = EDDY_TIMEOUT(service->settings->patience_ns, look_up_and_hash(service, &registration, &hash));
    if (status == 0) status = store(service, &registration, &hash, &user);
    switch (status) {
    case 0: return answer_json(answer, 201, json_user(&user));
    case -EEXIST: return answer_error(answer, 409, "the username is taken");
    case EDDY_ELIMIT: return answer_busy(answer, "too many registrations wait already");
    case EDDY_EBUSY: return answer_busy(answer, "the database is busy");
    case EDDY_ETIMEDOUT: return answer_error(answer, 504, "it took too long");
    case EDDY_EBROKENPOOL: return answer_error(answer, 500, "the process that hashed the password died");
    case EDDY_ECANCELED: return status;
    default: return answer_failure(answer, status, "registering a user");
    }
}
