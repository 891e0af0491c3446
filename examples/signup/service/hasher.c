/* hasher.c: PBKDF2 computes for a long time, and is meant to. In a process of its own it holds up no loop, and
 * when its client's time is over it is killed: then it has really stopped. */
#include "service/hasher.h"

#include <string.h>

/* In the worker process: password in, struct password_hash out. */
static int hash_password(eddy_bytes in, eddy_bytes *out) {
    struct password_hash hash;
    if (!password_salt(&hash)) return eddy_fail(-EIO, "the system has no random bytes");
    if (!password_derive(&hash, in.data, in.size)) return eddy_fail(EDDY_ENOMEM, "PBKDF2 found no memory");
    return eddy_bytes_copy(out, &hash, sizeof hash);
}
EDDY_REMOTE(hash_password);

int hasher_run(eddy_process_pool *hashers, const char *password, struct password_hash *hash_out) {
    eddy_bytes out;
    const int status = eddy_process_pool_run(hashers, hash_password, eddy_bytes_view(password, strlen(password)), &out);
    if (status < 0) return status;
    memcpy(hash_out, out.data, sizeof *hash_out);
    eddy_bytes_free(&out);
    return 0;
}
