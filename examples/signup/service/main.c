/* main.c: the registration service: command line, descriptors, database; then eddy runs service_main.
 *
 * Reading order: service.c (what lives when), connection.c (one client), route.c, register.c (the main
 * job), then the nouns they use: http.c, json.c, users.c over database.c, hasher.c. */
#include "common/options.h"
#include "service/database.h"
#include "service/descriptors.h"
#include "service/json.h"
#include "service/service.h"

#include <eddy/eddy.h>

#include <signal.h>

static enum options_result parse(struct settings *settings, int argc, char **argv) {
    const struct option options[] = {
        {"--host", "NAME", "address to listen on (127.0.0.1)", OPTION_TEXT, &settings->host, 0, 0},
        {"--port", "N", "port to listen on, 0 for a free one (8080)", OPTION_NUMBER, &settings->port, 0, 65535},
        {"--database", "FILE", "SQLite file, made if need be (signup.db)", OPTION_TEXT, &settings->database, 0, 0},
        {"--workers", "N", "threads that run tasks, 0 for one per core (0)", OPTION_NUMBER, &settings->workers, 0, 256},
        {"--queue", "N", "registrations that may wait to be hashed (64)", OPTION_NUMBER, &settings->queue, 1, 100000},
        {"--patience", "SECONDS", "for a registration (5)", OPTION_SECONDS, &settings->patience_ns, 0, 3600},
        {"--grace", "SECONDS", "for requests in flight when it is stopped (10)", OPTION_SECONDS, &settings->grace_ns, 0,
         3600},
        {"--verbose", NULL, "a line on standard error for each request", OPTION_FLAG, &settings->verbose, 0, 0},
    };
    return options_parse(options, sizeof options / sizeof options[0], "signup-service: registers users over HTTP", argc,
                         argv);
}

int main(int argc, char **argv) {
    struct settings settings = {.host = "127.0.0.1",
                                .port = 8080,
                                .database = "signup.db",
                                .queue = 64, /* two processes hash 64 passwords in 1.3 to 3.2 s */
                                .patience_ns = EDDY_SECONDS(5),
                                .grace_ns = EDDY_SECONDS(10)};
    const enum options_result parsed = parse(&settings, argc, argv);
    if (parsed != OPTIONS_GO_ON) return parsed == OPTIONS_WRONG;

    struct service service = {.settings = &settings};
    if (!descriptors_prepare((unsigned)settings.workers, &service.connections_max)) return 1;
    signal(SIGPIPE, SIG_IGN); /* who reads our output may go; the clients stay */
    json_prepare();
    if (!database_open(&service.database, settings.database, DATABASE_THREADS)) return 1;
    const int status =
        eddy_run(service_main, &service, NULL, EDDY_RUN(.workers = (unsigned)settings.workers, .name = "service"));
    database_close(service.database);
    return status < 0;
}
