/* main.c: the demo: a fresh database, the service as a process of its own, a load on it, and the check.
 *
 *   child.c    starts and stops the service
 *   drive.c    an eddy program: connections (client.c), what they ask (plan.c), what they got (tally.c)
 *   verify.c   another one: compares the database with the answers, computes every hash again
 *   report.c   tells it, to people or as one line of JSON
 *
 * Exit code: 0 if every answer was one that the service's rules allow and the database agrees with all of them. */
#include "common/options.h"
#include "demo/child.h"
#include "demo/drive.h"
#include "demo/report.h"
#include "demo/verify.h"

#include <eddy/eddy.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REQUESTS_DEFAULT = 300, UNSET = 0 };
#define STOP_PATIENCE_NS EDDY_SECONDS(30) /* more than the service's own grace period */

static enum options_result parse(struct settings *settings, int argc, char **argv) {
    const struct option options[] = {
        {"--service", "FILE", "the program signup-service", OPTION_TEXT, &settings->service, 0, 0},
        {"--connections", "N", "clients at a time (32)", OPTION_NUMBER, &settings->connections, 1, 4096},
        {"--requests", "N", "of all clients together (300, without --seconds)", OPTION_NUMBER, &settings->requests, 1,
         100000000},
        {"--seconds", "N", "begin no request after so long", OPTION_SECONDS, &settings->duration_ns, 0, 100000},
        {"--kill-every", "SECONDS", "kill one of the service's hash processes so often", OPTION_SECONDS,
         &settings->kill_every_ns, 0, 100000},
        {"--workers", "N", "of the service, 0 for one per core (0)", OPTION_NUMBER, &settings->workers, 0, 256},
        {"--seed", "N", "of what the clients ask (1)", OPTION_NUMBER, &settings->seed, 0, INT64_MAX},
        {"--serve", NULL, "no load: keep the service up until it is stopped", OPTION_FLAG, &settings->serve, 0, 0},
        {"--json", NULL, "one line of JSON instead of words", OPTION_FLAG, &settings->json, 0, 0},
    };
    const enum options_result result = options_parse(options, sizeof options / sizeof options[0],
                                                     "signup-demo: drives signup-service and checks it", argc, argv);
    if (result == OPTIONS_GO_ON && settings->service == NULL) {
        fprintf(stderr, "%s: --service FILE is missing\n", argv[0]);
        return OPTIONS_WRONG;
    }
    if (settings->requests == UNSET) settings->requests = settings->duration_ns == UNSET ? REQUESTS_DEFAULT : INT64_MAX;
    if (settings->duration_ns == UNSET) settings->duration_ns = INT64_MAX;
    return result;
}

/* ---- --serve ------------------------------------------------------------------------------------ */

/* The service prints by itself; a signal to the demo is passed on to it. */
static int serve(const struct settings *settings, const char *database) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    struct child child;
    if (!child_start(&child, settings, database, false)) return 1;
    for (;;) {
        int signum = 0, status;
        sigwait(&signals, &signum);
        if (signum != SIGCHLD) kill(child.pid, SIGTERM);
        if (waitpid(child.pid, &status, WNOHANG) == child.pid) return status != 0;
    }
}

/* ---- the load ----------------------------------------------------------------------------------- */

static int drive_and_verify(const struct settings *settings, const char *database) {
    struct child child;
    if (!child_start(&child, settings, database, true)) return 1;
    struct outcome outcome = {.settings = settings, .service_pid = child.pid, .port = child.port};
    int status = eddy_run(drive_main, &outcome, NULL, EDDY_RUN(.name = "drive", .handle_sigint = true));
    if (status == EDDY_EINTERRUPTED) fprintf(stderr, "signup-demo: interrupted\n");
    if (!child_stop(&child, STOP_PATIENCE_NS)) tally_fault(&outcome.tally, "the service did not end as it should");
    if (status == 0) status = verify(&outcome, database);
    const bool ok = status == 0 && outcome_is_ok(&outcome);
    if (status == 0) report(&outcome, ok);
    tally_deinit(&outcome.tally);
    return !ok;
}

static void remove_database(const char *folder, const char *database) {
    const char *const endings[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        char path[320];
        snprintf(path, sizeof path, "%s%s", database, endings[i]);
        unlink(path);
    }
    rmdir(folder);
}

int main(int argc, char **argv) {
    struct settings settings = {.connections = 32, .seed = 1};
    const enum options_result parsed = parse(&settings, argc, argv);
    if (parsed != OPTIONS_GO_ON) return parsed == OPTIONS_WRONG;

    const char *temporary = getenv("TMPDIR");
    char folder[256], database[300];
    snprintf(folder, sizeof folder, "%s/signup-demo-XXXXXX", temporary != NULL ? temporary : "/tmp");
    if (mkdtemp(folder) == NULL) {
        fprintf(stderr, "signup-demo: cannot make %s: %s\n", folder, strerror(errno));
        return 1;
    }
    snprintf(database, sizeof database, "%s/signup.db", folder);
    const int code = settings.serve ? serve(&settings, database) : drive_and_verify(&settings, database);
    remove_database(folder, database);
    return code;
}
