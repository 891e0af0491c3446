/* service.c: the life of the service.
 *
 *   signals -> thread pool -> process pool -> server       opened in this order, closed in the other
 *   open: serving until SIGINT or SIGTERM
 *   stop: nothing new is accepted; requests in flight are answered, with "Connection: close", for as long as
 *         the grace period lasts; what is left then is cancelled. An insert that has begun is waited for in
 *         any case (users.c): nobody is half registered.
 *
 * Not here   The database: it blocks while it opens, so main does that before the run begins. */
#include "service/service.h"
#include "service/connection.h"

#include <eddy/signal.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* ---- stopping --------------------------------------------------------------------------------- */

struct stop {
    eddy_signal *interrupt, *terminate;
};

static int stop_open(struct stop *stop) {
    int status = eddy_signal_open(&stop->interrupt, SIGINT);
    if (status < 0) return status;
    status = eddy_signal_open(&stop->terminate, SIGTERM);
    if (status < 0) eddy_signal_close(stop->interrupt);
    return status;
}

static void stop_close(struct stop *stop) {
    eddy_signal_close(stop->terminate);
    eddy_signal_close(stop->interrupt);
}

struct stop_watch {
    eddy_group *group;
    eddy_signal *signal;
};

static int stop_watch_main(void *arg, eddy_value *out) {
    (void)out;
    struct stop_watch *watch = arg;
    const int count = eddy_signal_wait(watch->signal);
    if (count > 0) eddy_group_cancel(watch->group); /* the other watch need not wait any more */
    return count < 0 ? count : 0;
}

/* Whichever signal comes first. */
static int stop_wait(struct stop *stop) {
    eddy_group group;
    struct stop_watch interrupt = {&group, stop->interrupt}, terminate = {&group, stop->terminate};
    int status = eddy_group_enter(&group);
    if (status < 0) return status;
    status = eddy_group_spawn(&group, NULL, stop_watch_main, &interrupt, EDDY_TASK(.name = "SIGINT"));
    if (status == 0) status = eddy_group_spawn(&group, NULL, stop_watch_main, &terminate, EDDY_TASK(.name = "SIGTERM"));
    return eddy_group_exit(&group, status);
}

/* ---- serving ---------------------------------------------------------------------------------- */

/* One write, so that who reads a pipe gets the whole text at once. */
static void announce(const struct settings *settings, unsigned port) {
    char url[300], text[2000];
    snprintf(url, sizeof url, strchr(settings->host, ':') != NULL ? "http://[%s]:%u" : "http://%s:%u", settings->host,
             port);
    snprintf(text, sizeof text,
             "listening on %s\n"
             "try:\n"
             "  curl -i %s/register -d '{\"username\": \"ada\", \"password\": \"engine no 1\","
             " \"email\": \"ada@example.com\"}'\n"
             "  curl -i %s/users/ada\n"
             "  curl -i %s/healthz\n"
             "  curl -s %s/stats\n",
             url, url, url, url, url);
    fputs(text, stdout);
    fflush(stdout);
}

static int serve(struct service *service, struct stop *stop) {
    const struct settings *settings = service->settings;
    eddy_server *server;
    int status = eddy_server_open(&server, settings->host, (uint16_t)settings->port, connection_serve, service,
                                  EDDY_SERVER(.name = "connection", .connections_max = service->connections_max));
    if (status < 0) return status;
    atomic_store(&service->server, server);
    announce(settings, eddy_server_port(server));
    status = stop_wait(stop);
    atomic_store(&service->stopping, true);
    const int ended = eddy_server_shutdown(server, settings->grace_ns);
    if (ended == EDDY_ETIMEDOUT) fprintf(stderr, "signup-service: the grace period was too short for some\n");
    eddy_server_release(server);
    printf("stopped after %llu answers\n", (unsigned long long)atomic_load(&service->answers));
    fflush(stdout);
    return status;
}

int service_main(void *arg, eddy_value *out) {
    (void)out;
    struct service *service = arg;
    const struct settings *settings = service->settings;
    struct stop stop;
    int status = stop_open(&stop);
    if (status < 0) return status;
    status =
        eddy_thread_pool_create(&service->threads, EDDY_THREAD_POOL(.threads = DATABASE_THREADS, .name = "database"));
    if (status < 0) goto close_stop;
    status = eddy_process_pool_create(&service->hashers, EDDY_PROCESS_POOL(.processes = HASH_PROCESSES, .name = "hash",
                                                                           .queue_max = (size_t)settings->queue));
    if (status < 0) goto close_threads;

    status = serve(service, &stop);

    eddy_process_pool_close(service->hashers);
close_threads:
    eddy_thread_pool_close(service->threads);
close_stop:
    stop_close(&stop);
    return status;
}
