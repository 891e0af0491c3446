/* await_graph.c: who waits for whom, asked from outside.
 *
 * A parent waits for two children in a group; two tasks wait for each other and will never go on. Start it, and ask:
 *
 *     EDDY_INSPECT=1 await_graph &
 *     eddy-ps $!
 *     eddy-ps --tree $!
 *     eddy-ps --stacks $!
 *     kill -USR1 $!
 *
 * It ends when its standard input ends. */
#include <eddy/eddy.h>

#include <stdio.h>
#include <unistd.h>

static int query(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return eddy_sleep(EDDY_SECONDS(3600));
}

static int report(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_group group;
    int status = eddy_group_enter(&group);
    if (status == 0) status = eddy_group_spawn(&group, NULL, query, NULL, EDDY_TASK(.name = "orders"));
    if (status == 0) status = eddy_group_spawn(&group, NULL, query, NULL, EDDY_TASK(.name = "users"));
    return eddy_group_exit(&group, status);
}

static eddy_task *chicken, *egg;

static int wait_for_egg(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_future *other = EDDY_FUTURE(egg);
    return eddy_wait(&other, 1, EDDY_FOREVER, EDDY_ALL_COMPLETED, NULL);
}

static int wait_for_chicken(void *arg, eddy_value *out) {
    (void)arg;
    return eddy_await(EDDY_FUTURE(chicken), out);
}

static int read_to_end(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    char some[256];
    while (read(STDIN_FILENO, some, sizeof some) > 0) continue;
    return 0;
}

static int app(void *arg, eddy_value *out) {
    (void)arg;
    int status = eddy_spawn(NULL, report, NULL, EDDY_TASK(.name = "report"));
    if (status == 0) status = eddy_spawn(&egg, wait_for_chicken, NULL, EDDY_TASK(.name = "egg"));
    if (status == 0) status = eddy_spawn(&chicken, wait_for_egg, NULL, EDDY_TASK(.name = "chicken"));
    if (status < 0) return status;
    printf("ready\n");
    fflush(stdout);
    status = eddy_to_thread(read_to_end, NULL, out);
    eddy_cancel(EDDY_FUTURE(chicken));
    (void)eddy_await(EDDY_FUTURE(egg), NULL); /* both are cancelled; the handles are in use until then */
    eddy_handled();
    eddy_task_release(chicken);
    eddy_task_release(egg);
    return status;
}

/* A domain: the tasks find each other's handles set. */
int main(void) { return eddy_run(app, NULL, NULL, EDDY_RUN(.serial = true)) < 0; }
