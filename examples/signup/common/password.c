/* password.c: PBKDF2-HMAC-SHA256 by OpenSSL. Any thread, any process. */
#include "common/password.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

bool password_salt(struct password_hash *hash) { return RAND_bytes(hash->salt, sizeof hash->salt) == 1; }

bool password_derive(struct password_hash *hash, const void *password, size_t bytes) {
    return PKCS5_PBKDF2_HMAC(password, (int)bytes, hash->salt, sizeof hash->salt, PASSWORD_ITERATIONS, EVP_sha256(),
                             sizeof hash->hash, hash->hash) == 1;
}
