/* route.h: which request is whose. */
#ifndef SIGNUP_ROUTE_H
#define SIGNUP_ROUTE_H

#include "service/http.h"
#include "service/service.h"

/* Fills `answer` for a request that was not refused.
 * @return 0; EDDY_ECANCELED: the task was cancelled, and there is no answer.
 * Suspends as the handlers do. Cancellation point: when it suspends. */
int route(struct service *service, const struct http_request *request, struct http_answer *answer) EDDY_SUSPENDS;

#endif
