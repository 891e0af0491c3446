/* answer.h: filling answers. All give 0, so that a handler can end with them; where there is no memory for the
 * JSON the answer has no body. */
#ifndef SIGNUP_ANSWER_H
#define SIGNUP_ANSWER_H

#include "service/http.h"

/* Takes `json`: a text from malloc, or NULL. */
int answer_json(struct http_answer *answer, int status, char *json);
int answer_error(struct http_answer *answer, int status, const char *text);
/* 503 with Retry-After. */
int answer_busy(struct http_answer *answer, const char *text);
/* 500 for a failure that no client caused: what it was goes to standard error, not into the answer. */
int answer_failure(struct http_answer *answer, int failure, const char *activity);

#endif
