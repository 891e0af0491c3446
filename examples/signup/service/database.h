/* database.h: the users, in SQLite. Every call blocks: never from a task, always from a pool's thread. */
#ifndef SIGNUP_DATABASE_H
#define SIGNUP_DATABASE_H

#include "common/password.h"

#include <eddy/base.h>

enum { USERNAME_BYTES_MAX = 64, EMAIL_BYTES_MAX = 254 };

struct user {
    char username[USERNAME_BYTES_MAX + 1];
    char email[EMAIL_BYTES_MAX + 1];
    char salt[2 * PASSWORD_SALT_BYTES + 1]; /* hex */
    char hash[2 * PASSWORD_HASH_BYTES + 1]; /* hex */
};

struct database;

/* Opens `path`, and makes the file and its table if need be. At most `connections` calls at a time.
 * False: told on standard error. */
bool database_open(struct database **database_out, const char *path, unsigned connections);
/* No call may be under way. NULL is nothing. */
void database_close(struct database *database);

/* 0; -ENOENT; EDDY_EBUSY: locked for too long; -EIO with a text. `user_out` is written on 0; may be NULL. */
int database_find(struct database *database, const char *username, struct user *user_out) EDDY_BLOCKS;

/* 0: it is on the disk. -EEXIST: the name is taken. Otherwise as database_find, and nothing was stored. */
int database_insert(struct database *database, const struct user *user) EDDY_BLOCKS;

#endif
