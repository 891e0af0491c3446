/* json.h: the JSON that goes in and out. Texts that are given come from malloc; NULL: no memory. */
#ifndef SIGNUP_JSON_H
#define SIGNUP_JSON_H

#include "service/database.h"
#include "service/stats.h"

enum { PASSWORD_BYTES_MAX = 256 };

struct registration {
    char username[USERNAME_BYTES_MAX + 1];
    char password[PASSWORD_BYTES_MAX + 1];
    char email[EMAIL_BYTES_MAX + 1];
};

/* Once, before there are threads. */
void json_prepare(void);

/* Reads the body of a registration. @return NULL, or what is wrong with it: static. */
const char *json_read_registration(const char *text, size_t bytes, struct registration *out);

/* {"error": "..."} */
char *json_error(const char *text);
/* {"username": ..., "email": ..., "password_hash": first 16 digits and "...", "status": "registered"} */
char *json_user(const struct user *user);
/* {"status": "..."} */
char *json_status(const char *text);
/* All figures of struct stats. */
char *json_stats(const struct stats *stats);

#endif
