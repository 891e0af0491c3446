/* password.h: what is stored instead of a password: a salt, and what PBKDF2 makes of both. */
#ifndef SIGNUP_PASSWORD_H
#define SIGNUP_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

enum { PASSWORD_ITERATIONS = 200000, PASSWORD_SALT_BYTES = 16, PASSWORD_HASH_BYTES = 32 };

struct password_hash {
    unsigned char salt[PASSWORD_SALT_BYTES];
    unsigned char hash[PASSWORD_HASH_BYTES];
};

/* Fills `salt` with random bytes. False if the system has none. */
bool password_salt(struct password_hash *hash);

/* Fills `hash` from the password and `salt`: 40 to 100 ms of computing, which is its purpose. False without
 * memory. */
bool password_derive(struct password_hash *hash, const void *password, size_t bytes);

#endif
