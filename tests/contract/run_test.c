/* run: R1, R2; L5 in what concerns nested runs; D2: what was dropped without being used. */
#include "contract/contract_testing.h"

#include <signal.h>
#include <unistd.h>

static struct reports reports = REPORTS_INIT;

/* Each way to run a program: in a domain and outside, on 1, 2 and 8 workers. */
#define EACH_RUN(options_)                                                                                         \
    for (unsigned way_ = 0; way_ < 6; way_++)                                                                      \
        for (eddy_run_options *options_ = EDDY_RUN(.workers = 1u << (way_ % 3 + way_ % 3 / 2), .serial = way_ < 3, \
                                          .on_exception = reports_take, .on_exception_arg = &reports);             \
             options_ != NULL; options_ = NULL)

/* ---- R1 -------------------------------------------------------------------------------------------------- */

static int give(void *arg, eddy_value *out) {
    (void)arg;
    *out = EDDY_I64(7);
    return eddy_yield();
}

static int run_again(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_EQ(EDDY_ESTATE, eddy_run(give, NULL, NULL, EDDY_RUN(.workers = 1)));
    return 0;
}

UNIT(contract, R1_a_run_within_a_run_of_this_thread_is_an_error) {
    EACH_RUN(options) EXPECT_OK(eddy_run(run_again, NULL, NULL, options));
}

UNIT(contract, R1_gives_mains_value_or_failure) {
    static int status = -77;
    eddy_value value;
    EACH_RUN(options) {
        EXPECT_OK(eddy_run(give, NULL, &value, options));
        EXPECT_EQ(7, value.i64);
        EXPECT_EQ(-77, eddy_run(fail_with, &status, NULL, options));
        EXPECT_EQ(0, reports.count); /* main's failure is given, so it was looked at */
    }
}

static _Atomic int cleaned;
static int clean_up(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int status = eddy_sleep(EDDY_SECONDS(1000));
    EXPECT_EQ(EDDY_ECANCELED, status);
    EXPECT_OK(eddy_sleep(EDDY_US(100))); /* cleanup may suspend */
    cleaned++;
    return status;
}
static int leave_tasks(void *arg, eddy_value *out) {
    (void)arg;
    for (int i = 0; i < 10; i++) EXPECT_OK(eddy_spawn(NULL, clean_up, NULL, NULL));
    test_until_all_parked();
    return give(NULL, out);
}

UNIT(contract, R1_all_other_tasks_are_cancelled_and_waited_for) {
    EACH_RUN(options) {
        cleaned = 0;
        EXPECT_OK(eddy_run(leave_tasks, NULL, NULL, options));
        EXPECT_EQ(10, cleaned);
        EXPECT_EQ(0, reports.count);
    }
}

static int fail_in_cleanup(void *arg, eddy_value *out) {
    EXPECT_EQ(EDDY_ECANCELED, eddy_sleep(EDDY_SECONDS(1000)));
    return fail_with(arg, out);
}
static int leave_failures(void *arg, eddy_value *out) {
    static int status = -55;
    (void)arg, (void)out;
    EXPECT_OK(eddy_spawn(NULL, fail_in_cleanup, &status, EDDY_TASK(.name = "messy")));
    EXPECT_OK(eddy_spawn(NULL, fail_in_cleanup, &status, EDDY_TASK(.name = "messy")));
    test_until_all_parked();
    return 0;
}

UNIT(contract, R1_each_failure_at_the_end_is_reported) {
    EACH_RUN(options) {
        reports.count = 0;
        EXPECT_OK(eddy_run(leave_failures, NULL, NULL, options));
        EXPECT_EQ(2, reports.count);
        for (int i = 0; i < 2; i++) {
            EXPECT_EQ(EDDY_REPORT_SHUTDOWN, reports.all[i].kind);
            EXPECT_STR("messy", reports.all[i].task);
            EXPECT_EQ(-55, reports.all[i].status);
            EXPECT_STR("failed with -55", reports.all[i].text);
        }
    }
}

static _Atomic bool thread_ended;
static int take_a_while(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    usleep(20000);
    thread_ended = true;
    return 0;
}
static int abandon(void *arg, eddy_value *out) { return eddy_to_thread_abandon(take_a_while, arg, NULL, out); }
static int leave_a_thread(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_thread_pool_stats stats;
    EXPECT_OK(eddy_spawn(NULL, abandon, NULL, NULL));
    do {
        EXPECT_OK(eddy_yield());
        eddy_thread_pool_stats_read(NULL, &stats);
    } while (stats.running == 0 && !thread_ended);
    return 0;
}

UNIT(contract, R1_the_default_executor_is_shut_down) {
    EACH_RUN(options) {
        thread_ended = false;
        EXPECT_OK(eddy_run(leave_a_thread, NULL, NULL, options));
        EXPECT(thread_ended);
        EXPECT_EQ(0, ed_alloc_live_bytes());
    }
}

/* ---- R2: SIGINT ------------------------------------------------------------------------------------------ */

struct program {
    bool swallow; /* main returns 0 although it was cancelled */
    bool insist;  /* main goes on waiting after the first     */
    bool cleaned_up;
};
static int program(void *arg, eddy_value *out) {
    struct program *self = arg;
    kill(getpid(), SIGINT);
    int status = eddy_sleep(EDDY_SECONDS(60));
    EXPECT_EQ(EDDY_ECANCELED, status);
    if (self->swallow) {
        *out = EDDY_I64(7);
        return 0;
    }
    if (self->insist) {
        kill(getpid(), SIGINT);
        status = eddy_sleep(EDDY_SECONDS(60)); /* the second cancels all tasks again */
        EXPECT_EQ(EDDY_ECANCELED, status);
    }
    self->cleaned_up = true;
    return status;
}

UNIT(contract, R2_the_first_sigint_cancels_main) {
    EACH_RUN(options) {
        struct program self = {0};
        options->handle_sigint = true;
        EXPECT_EQ(EDDY_EINTERRUPTED, eddy_run(program, &self, NULL, options));
        EXPECT(self.cleaned_up);
    }
}

UNIT(contract, R2_a_main_that_swallows_it_gives_its_value) {
    EACH_RUN(options) {
        struct program self = {.swallow = true};
        eddy_value value = EDDY_NONE;
        options->handle_sigint = true;
        EXPECT_OK(eddy_run(program, &self, &value, options));
        EXPECT_EQ(7, value.i64);
    }
}

static int be_cancelled_besides(void *arg, eddy_value *out) {
    cancel_self(); /* one uncancel does not bring the count to 0 */
    EXPECT_EQ(EDDY_ECANCELED, eddy_yield());
    return program(arg, out);
}

UNIT(contract, R2_a_main_that_was_cancelled_besides_ends_cancelled) {
    EACH_RUN(options) {
        struct program self = {0};
        options->handle_sigint = true;
        EXPECT_EQ(EDDY_ECANCELED, eddy_run(be_cancelled_besides, &self, NULL, options));
    }
}

UNIT(contract, R2_a_second_sigint_stops_waiting_for_main) {
    EACH_RUN(options) {
        struct program self = {.insist = true};
        options->handle_sigint = true;
        EXPECT_EQ(EDDY_EINTERRUPTED, eddy_run(program, &self, NULL, options));
        EXPECT(self.cleaned_up); /* it ended all the same */
    }
}

static void run_unhandled(void *arg) {
    struct program self = {0};
    (void)arg;
    (void)eddy_run(program, &self, NULL, EDDY_RUN(.workers = 2));
}

/* The host's disposition is untouched unless the run was asked to handle it. */
UNIT(contract, R2_without_the_option_sigint_is_the_hosts) {
    signal(SIGINT, SIG_DFL);
    struct test_child child = test_child_run(run_unhandled, NULL);
    EXPECT_EQ(SIGINT, child.signal);
}

/* ---- D2: dropped without being used ---------------------------------------------------------------------- */

RULE(D2_a_coroutine_that_is_never_awaited_is_reported) {
    eddy_coro_release(eddy_coro_create(give, NULL, "forgotten"));
    const struct test_report *report = TAKE_REPORT(EDDY_REPORT_NEVER_AWAITED, 0);
    EXPECT_STR("forgotten", report->task);
    EXPECT_HAS(report->message, "'forgotten' was never awaited");
}

/* Driven in one of the ways: nothing is reported, or the harness fails this test. */
RULE(D2_one_that_is_driven_is_not) {
    eddy_value value;
    eddy_task *task;
    eddy_coro *coro = eddy_coro_create(give, NULL, "driven");
    test_until_all_parked(); /* inert until then */
    EXPECT_OK(eddy_coro_await(coro, &value));
    EXPECT_EQ(7, value.i64);
    EXPECT_OK(eddy_coro_spawn(eddy_coro_create(give, NULL, "driven"), &task, NULL));
    EXPECT_OK(end_of(task));
    eddy_coro_release(NULL);
}

static int keep_stream(eddy_stream *its, void *arg) {
    char c;
    (void)arg;
    return eddy_stream_read(its, &c, 1);
}
static eddy_server *server;
static eddy_stream *stream;
static int leave_open(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    EXPECT_OK(eddy_server_open(&server, "127.0.0.1", 0, keep_stream, NULL, NULL));
    EXPECT_OK(eddy_connect(&stream, "127.0.0.1", eddy_server_port(server), NULL));
    return 0;
}

UNIT(contract, D2_unclosed_streams_and_servers_are_reported) {
    EACH_RUN(options) {
        int streams = 0, servers = 0;
        reports.count = 0;
        EXPECT_OK(eddy_run(leave_open, NULL, NULL, options));
        eddy_stream_release(stream);
        eddy_server_release(server);
        for (int i = 0; i < reports.count; i++) {
            streams += strstr(reports.all[i].message, "stream") != NULL;
            servers += strstr(reports.all[i].message, "server") != NULL;
        }
        EXPECT_EQ(1, servers);
        EXPECT(streams >= 1);
    }
}
