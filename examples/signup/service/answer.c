/* answer.c: see answer.h. */
#include "service/answer.h"
#include "service/json.h"

#include <stdio.h>

int answer_json(struct http_answer *answer, int status, char *json) {
    answer->status = json != NULL ? status : 500;
    answer->body = json;
    return 0;
}

int answer_error(struct http_answer *answer, int status, const char *text) {
    answer->status = status;
    answer->body = json_error(text);
    return 0;
}

int answer_busy(struct http_answer *answer, const char *text) {
    answer->header = "Retry-After: 1\r\n";
    return answer_error(answer, 503, text);
}

int answer_failure(struct http_answer *answer, int failure, const char *activity) {
    const char *text = eddy_error_text(eddy_error_current(failure));
    fprintf(stderr, "signup-service: %s: %s%s%s\n", activity, eddy_status_text(failure), text[0] != 0 ? ": " : "",
            text);
    return answer_error(answer, 500, "the service failed");
}
