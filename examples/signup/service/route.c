/* route.c: the table of routes, and the handlers that need no file of their own. */
#include "service/route.h"
#include "service/answer.h"
#include "service/json.h"
#include "service/register.h"
#include "service/stats.h"
#include "service/users.h"

#include <stdlib.h>
#include <string.h>

static int get_health(struct service *service, const struct http_request *request, struct http_answer *answer) {
    (void)request;
    const bool stopping = atomic_load(&service->stopping);
    return answer_json(answer, stopping ? 503 : 200, json_status(stopping ? "stopping" : "ok"));
}

static int get_stats(struct service *service, const struct http_request *request, struct http_answer *answer) {
    (void)request;
    struct stats *stats = stats_collect(service);
    answer_json(answer, 200, stats != NULL ? json_stats(stats) : NULL);
    free(stats);
    return 0;
}

static int get_user(struct service *service, const struct http_request *request, struct http_answer *answer) {
    const char *name = request->path + strlen("/users/");
    struct user user;
    const int status = users_find(service, name, &user);
    if (status == 0) return answer_json(answer, 200, json_user(&user));
    if (status == -ENOENT) return answer_error(answer, 404, "there is no such user");
    if (status == EDDY_EBUSY) return answer_busy(answer, "the database is busy");
    if (status == EDDY_ECANCELED) return status;
    return answer_failure(answer, status, "looking up a user");
}

static const struct route {
    const char *method, *path;
    bool is_prefix; /* the path goes on */
    const char *allow;
    int (*handle)(struct service *service, const struct http_request *request, struct http_answer *answer);
} routes[] = {
    {"POST", "/register", false, "Allow: POST\r\n", post_register},
    {"GET", "/users/", true, "Allow: GET, HEAD\r\n", get_user},
    {"GET", "/healthz", false, "Allow: GET, HEAD\r\n", get_health},
    {"GET", "/stats", false, "Allow: GET, HEAD\r\n", get_stats},
};

static bool is_path_of(const struct route *one, const char *path) {
    const size_t bytes = strlen(one->path);
    if (strncmp(path, one->path, bytes) != 0) return false;
    return one->is_prefix ? path[bytes] != 0 : path[bytes] == 0;
}

int route(struct service *service, const struct http_request *request, struct http_answer *answer) {
    const char *method = request->is_head ? "GET" : request->method;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (!is_path_of(&routes[i], request->path)) continue;
        if (strcmp(method, routes[i].method) == 0) return routes[i].handle(service, request, answer);
        answer->header = routes[i].allow;
        return answer_error(answer, 405, "this path has other methods");
    }
    return answer_error(answer, 404, "there is no such path");
}
