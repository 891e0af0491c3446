/* users.h: the users as tasks see them. */
#ifndef SIGNUP_USERS_H
#define SIGNUP_USERS_H

#include "service/service.h"

/* 0; -ENOENT; EDDY_EBUSY; EDDY_ECANCELED; -EIO and others with a text. `user_out` is written on 0; may be NULL. */
int users_find(struct service *service, const char *username, struct user *user_out) EDDY_SUSPENDS;

/* Stores a new user. 0: stored, for good. -EEXIST: the name is taken. Any other failure: nothing was stored.
 * A cancel of the calling task neither stops it nor hides what it ended with. */
int users_add(struct service *service, const struct user *user) EDDY_SUSPENDS;

#endif
