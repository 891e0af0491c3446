/* register.h: POST /register. */
#ifndef SIGNUP_REGISTER_H
#define SIGNUP_REGISTER_H

#include "service/http.h"
#include "service/service.h"

/* 201 registered; 400 malformed; 409 the name is taken; 503 too many wait; 504 it took too long; 500 the process
 * that hashed died, or the database failed. Suspends. As route(). */
int post_register(struct service *service, const struct http_request *request,
                  struct http_answer *answer) EDDY_SUSPENDS;

#endif
