/* R2: the first SIGINT cancels main, the second stops waiting for it; eddy_run says EINTERRUPTED. */
#include "eddy/eddy.h"
#include "harness/test.h"

#include <signal.h>
#include <unistd.h>

struct program {
    bool swallow; /* main returns 0 although it was cancelled */
    bool insist;  /* main goes on waiting after the first     */
    bool cleaned_up;
};

static int program_main(void *arg, eddy_value *out) {
    struct program *program = arg;
    kill(getpid(), SIGINT);
    int status = eddy_sleep(EDDY_SECONDS(60));
    EXPECT_EQ(EDDY_ECANCELED, status);
    if (program->swallow) {
        out->i64 = 7;
        return 0;
    }
    if (program->insist) {
        kill(getpid(), SIGINT);
        status = eddy_sleep(EDDY_SECONDS(60)); /* the second cancels all tasks again */
        EXPECT_EQ(EDDY_ECANCELED, status);
    }
    program->cleaned_up = true;
    return status;
}

static int run(struct program *program, eddy_value *value) {
    return eddy_run(program_main, program, value, EDDY_RUN(.workers = 2, .handle_sigint = true));
}

UNIT(interrupt, first_sigint_cancels_main) {
    struct program program = {0};
    EXPECT_EQ(EDDY_EINTERRUPTED, run(&program, NULL));
    EXPECT(program.cleaned_up);
}

UNIT(interrupt, a_main_that_swallows_it_gives_its_value) {
    struct program program = {.swallow = true};
    eddy_value value = EDDY_NONE;
    EXPECT_EQ(0, run(&program, &value));
    EXPECT_EQ(7, value.i64);
}

UNIT(interrupt, second_sigint_stops_waiting_for_main) {
    struct program program = {.insist = true};
    EXPECT_EQ(EDDY_EINTERRUPTED, run(&program, NULL));
    EXPECT(program.cleaned_up);
}

static void not_handled(void *arg) {
    (void)arg;
    struct program program = {0};
    (void)eddy_run(program_main, &program, NULL, EDDY_RUN(.workers = 2));
}

/* The host's disposition is untouched unless the run was asked to handle it. */
UNIT(interrupt, without_the_option_sigint_is_the_hosts) {
    signal(SIGINT, SIG_DFL);
    struct test_child child = test_child_run(not_handled, NULL);
    EXPECT_EQ(SIGINT, child.signal);
}
