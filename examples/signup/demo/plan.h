/* plan.h: what a connection asks next, and which answers are right. */
#ifndef SIGNUP_DEMO_PLAN_H
#define SIGNUP_DEMO_PLAN_H

#include "demo/tally.h"

enum { REQUEST_BYTES_MAX = 1024, ALLOWED_MAX = 6, PASSWORD_BYTES = 96, EMAIL_BYTES = 96 };

struct plan {
    uint64_t random;
    int64_t seed;
    unsigned connection;
    unsigned fresh, raced; /* names made so far */
};

/* What becomes of the answer beyond its status. */
enum step_kind {
    STEP_PLAIN,    /* nothing                                                  */
    STEP_REGISTER, /* 201 makes `username` one of ours                         */
    STEP_RACE,     /* the same, or 409: then the other connection has made it  */
    STEP_LOOK_UP   /* 200 must show `username` as it was registered            */
};

struct step {
    enum step_kind kind;
    const char *title;
    char username[NAME_BYTES];
    int allowed[ALLOWED_MAX]; /* ends with 0                                   */
    bool breaks;              /* the service must close the connection after it */
    char request[REQUEST_BYTES_MAX];
    size_t request_bytes;
};

void plan_init(struct plan *plan, int64_t seed, unsigned connection);
/* `created`: what this connection has registered already. */
void plan_next(struct plan *plan, const struct accounts *created, struct step *step);

/* What belongs to a name: so the check needs no memory of them. */
void plan_password(char *text, size_t bytes, const char *username);
void plan_email(char *text, size_t bytes, const char *username);

#endif
