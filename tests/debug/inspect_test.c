/* A run that was asked to be seen into answers on its socket and to SIGUSR1; one that was not does neither. (eddy-ps itself:
 * tests/scripts/eddy_ps.py.) */
#include "task/core_testing.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int reach(const char *suffix) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int bytes = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "eddy/%d%s", (int)getpid(), suffix);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)bytes)) == 0)
        return fd;
    close(fd);
    return -1;
}

struct question {
    const char *text;
    char answer[16384];
};

static int ask(void *arg, eddy_value *out) {
    struct question *question = arg;
    (void)out;
    int fd = reach("");
    EXPECT(fd >= 0);
    EXPECT(send(fd, question->text, strlen(question->text), MSG_NOSIGNAL) >= 0);
    size_t used = 0;
    ssize_t got;
    while ((got = recv(fd, question->answer + used, sizeof question->answer - 1 - used, 0)) > 0) used += (size_t)got;
    question->answer[used] = '\0';
    close(fd);
    return 0;
}

/* A worker that gets no core for a second does not answer: asked again until all do. */
static const char *answer_to(const char *text) {
    static struct question question;
    question.text = text;
    do EXPECT_OK(eddy_to_thread(ask, &question, NULL));
    while (strstr(question.answer, " workers did not answer") != NULL);
    return question.answer;
}

static int be_asked(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_task *task;
    EXPECT_OK(eddy_spawn(&task, sleep_forever, NULL, EDDY_TASK(.name = "sleeper")));
    test_until_all_parked();
    const char *table = answer_to("table\n");
    EXPECT_HAS(table, " sleeper  ");
    EXPECT_HAS(table, "(sleep_forever)");
    EXPECT_HAS(answer_to("tree\n"), " waiting on sleep");
    EXPECT_HAS(answer_to("stacks\n"), "    eddy_sleep");
    EXPECT_STR("", answer_to("nonsense\n"));
    EXPECT_STR("", answer_to("something that is longer than any question\n"));
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    eddy_handled();
    return 0;
}
static int not_be_asked(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_EQ(-1, reach(""));
    return 0;
}

UNIT(inspect, answers_who_asks) {
    for (unsigned workers = 1; workers <= 8; workers *= 2) {
        struct sigaction action;
        EXPECT_OK(eddy_run(be_asked, NULL, NULL, EDDY_RUN(.workers = workers, .inspect = true)));
        EXPECT_EQ(0, sigaction(SIGUSR1, NULL, &action));
        EXPECT(action.sa_handler == SIG_DFL); /* put back */
        EXPECT_OK(eddy_run(not_be_asked, NULL, NULL, EDDY_RUN(.workers = workers)));
        EXPECT_EQ(0, ed_alloc_live_bytes());
    }
}

/* A second run of the process has a name of its own. */
static int be_reached(void *arg, eddy_value *out) {
    (void)out;
    int fd = reach(arg);
    EXPECT(fd >= 0);
    close(fd);
    return 0;
}
static void *run_within(void *arg) {
    EXPECT_OK(eddy_run(be_reached, arg, NULL, EDDY_RUN(.workers = 1, .inspect = true)));
    return NULL;
}
static int run_another(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    pthread_t thread;
    EXPECT_EQ(0, pthread_create(&thread, NULL, run_within, "/1"));
    EXPECT_EQ(0, pthread_join(thread, NULL));
    return be_reached("", NULL);
}
UNIT(inspect, runs_of_one_process_have_names_of_their_own) {
    EXPECT_OK(eddy_run(run_another, NULL, NULL, EDDY_RUN(.workers = 1, .inspect = true)));
}

static void own_handler(int number) { (void)number; }

UNIT(inspect, leaves_the_hosts_signal_alone) {
    struct sigaction own = {.sa_handler = own_handler}, after;
    EXPECT_EQ(0, sigaction(SIGUSR1, &own, NULL));
    EXPECT_OK(eddy_run(be_asked, NULL, NULL, EDDY_RUN(.workers = 1, .inspect = true)));
    EXPECT_EQ(0, sigaction(SIGUSR1, NULL, &after));
    EXPECT(after.sa_handler == own_handler);
}

static int run_inspected(void *arg) {
    return eddy_run(give_nothing, arg, NULL, EDDY_RUN(.workers = 1, .inspect = true));
}
UNIT(inspect, does_without_memory) { EXPECT(test_each_allocation_fails(run_inspected, NULL) > 1); }
