/* users.c: takes the database's blocking calls to the thread pool.
 *
 * Problem    A look-up may be given up at any time. An insert may not: between "the row is written" and "the
 *            client knows" a cancel would make a user that nobody was told of.
 * Idea       The insert is a task of its own behind a shield. A cancel ends the wait for the shield, not the
 *            insert; then the insert itself is waited for. So its arguments may lie on the caller's stack. */
#include "service/users.h"

struct find {
    struct database *database;
    const char *username;
    struct user *user;
};

static int find_in_thread(void *arg, eddy_value *out) {
    (void)out;
    struct find *find = arg;
    return database_find(find->database, find->username, find->user);
}

int users_find(struct service *service, const char *username, struct user *user_out) {
    struct find find = {service->database, username, user_out};
    return eddy_thread_pool_run(service->threads, find_in_thread, &find, NULL);
}

struct add {
    struct service *service;
    const struct user *user;
};

static int add_in_thread(void *arg, eddy_value *out) {
    (void)out;
    struct add *add = arg;
    return database_insert(add->service->database, add->user);
}

static int add_main(void *arg, eddy_value *out) {
    (void)out;
    struct add *add = arg;
    return eddy_thread_pool_run(add->service->threads, add_in_thread, add, NULL);
}

int users_add(struct service *service, const struct user *user) {
    struct add add = {service, user};
    eddy_task *insert;
    int status = eddy_spawn(&insert, add_main, &add, EDDY_TASK(.name = "insert"));
    if (status < 0) return status;
    eddy_future *shield;
    status = eddy_shield(&shield, EDDY_FUTURE(insert));
    if (status == 0) {
        status = eddy_await(shield, NULL);
        eddy_future_release(shield);
    }
    /* Not through the shield, or it ended because this task was cancelled: the outcome is the insert's own. */
    if (status == EDDY_ENOMEM || !eddy_future_done(EDDY_FUTURE(insert))) status = eddy_await(EDDY_FUTURE(insert), NULL);
    eddy_task_release(insert);
    return status;
}
