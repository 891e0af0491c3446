/* connect.c: a name and a port to a stream: look up, then try the addresses, the next one before the last has failed.
 *
 * Problem    A host has addresses of which some do not answer: one that is tried until it fails costs a minute, all at once
 *            burden a network that is fine.
 * Idea       Happy Eyeballs, RFC 8305: families in turn; an attempt that has not answered within a moment is joined by the
 *            next one, one that fails is followed at once; who answers first is taken, the rest is closed. All in the
 *            caller's task: attempts are descriptors whose writability wakes it, not tasks.
 * Invariants (R1) race->fiber != NULL <=> the task is parked and nobody has woken it.
 *            (R2) An attempt has a poll <=> it is under way or answered; all others are closed when connect returns.
 * Threads    The calling task's worker.
 * Not here   Names (resolve.c).
 * Tests      tests/net/connect_test.c. */
#include "eddy/scope.h"
#include "loop/loop.h"
#include "net/address.h"
#include "net/stream.h"
#include "net/tls.h"
#include "task/task.h"

#include <stdio.h>

static const int64_t default_stagger_ns = 250000000; /* RFC 8305, 5: recommended */

static const int64_t queue_pause_ns =
    1000000; /* a Unix socket with a full queue says so, and tells nobody when it is not */

struct race {
    struct ed_fiber *fiber; /* R1 */
};

struct attempt {
    struct race *race;
    const eddy_address *address;
    struct ed_poll *poll; /* R2 */
    bool answered;
};

static const struct ed_sockets *sockets_here(void) { return ed_worker_current()->sched->driver->sockets; }

static void on_answer(void *arg) {
    struct attempt *attempt = arg;
    attempt->answered = true;
    if (attempt->race->fiber == NULL) return;
    ed_wake(attempt->race->fiber, 0);
    attempt->race->fiber = NULL;
}

/* 0: under way, or connected at once. */
static int begin(struct attempt *attempt) {
    const struct ed_sockets *sockets = sockets_here();
    int fd = sockets->open(attempt->address->storage.ss_family);
    if (fd < 0) return fd;
    struct ed_poll *poll;
    int status = ed_poll_open(&poll, fd);
    if (status < 0) {
        sockets->close(fd);
        return status;
    }
    status = sockets->connect(fd, attempt->address);
    if (status < 0 && status != -EINPROGRESS) {
        ed_poll_close(poll);
        return status;
    }
    attempt->poll = poll;
    attempt->answered = status == 0;
    if (!attempt->answered) ed_poll_notify(poll, ED_POLL_WRITE, on_answer, attempt);
    return 0;
}

static void give_up(struct attempt *attempt) {
    if (attempt->poll != NULL) ed_poll_close(attempt->poll);
    attempt->poll = NULL;
}

/* Looks at those that have answered: the one that is connected; NULL: none is. *failed_out: one that failed, closed now,
 * with its status. */
static struct attempt *look(struct attempt *attempts, size_t count, struct attempt **failed_out, int *status_out) {
    *failed_out = NULL;
    for (size_t i = 0; i < count && *failed_out == NULL; i++) {
        struct attempt *attempt = &attempts[i];
        if (attempt->poll == NULL || !attempt->answered) continue;
        *status_out = sockets_here()->error(ed_poll_fd(attempt->poll));
        if (*status_out == 0) return attempt;
        give_up(attempt);
        *failed_out = attempt;
    }
    return NULL;
}

static bool any_under_way(const struct attempt *attempts, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (attempts[i].poll != NULL) return true;
    return false;
}

/* 0: something was answered, or the moment has passed; EDDY_ECANCELED. */
static int wait_for_answer(struct race *race, int64_t until_ns) {
    race->fiber = ed_fiber_current();
    int status = ed_park(&(struct ed_park){.reason = "connect", .deadline_ns = until_ns});
    race->fiber = NULL;
    return status == EDDY_ETIMEDOUT ? 0 : status;
}

/* The first of `attempts` to be connected, the others closed. *failed_out: NULL, or the address that `status` is about. */
static int run_race(struct attempt *attempts, size_t count, int64_t stagger_ns, struct attempt **winner_out,
                    const eddy_address **failed_out) {
    struct race race = {NULL};
    size_t begun = 0;
    int status = EDDY_EINVAL; /* no address at all: cannot be */
    int64_t next_ns = 0;      /* when the next attempt begins */
    *winner_out = NULL;
    *failed_out = NULL;
    for (;;) {
        struct attempt *failed;
        int failure;
        while ((*winner_out = look(attempts, begun, &failed, &failure)) == NULL && failed != NULL) {
            *failed_out = failed->address;
            status = failure;
            next_ns = 0;
        }
        if (*winner_out != NULL) {
            status = 0;
            break;
        }
        bool waiting = any_under_way(attempts, begun);
        if (begun == count && !waiting) break; /* all have failed: the last one's status */
        if (begun < count && (!waiting || eddy_time_ns() >= next_ns)) {
            struct attempt *attempt = &attempts[begun++];
            attempt->race = &race;
            int begin_status = begin(attempt);
            int64_t now_ns = eddy_time_ns();
            next_ns = stagger_ns < INT64_MAX - now_ns ? now_ns + stagger_ns : INT64_MAX;
            if (begin_status < 0) {
                *failed_out = attempt->address;
                status = begin_status;
                next_ns = 0;
            }
            continue;
        }
        int waited = wait_for_answer(&race, begun < count ? next_ns : INT64_MAX);
        if (waited < 0) {
            status = waited;
            *failed_out = NULL;
            break;
        }
    }
    for (size_t i = 0; i < begun; i++)
        if (&attempts[i] != *winner_out) give_up(&attempts[i]);
    return status;
}

/* The resolver's order, but for the families, which take turns: RFC 8305, 4. */
static void order(struct attempt *attempts, const eddy_addresses *addresses) {
    size_t count = eddy_addresses_count(addresses), next[2] = {0, 0};
    int first = eddy_addresses_get(addresses, 0)->storage.ss_family;
    for (size_t i = 0; i < count; i++) {
        for (unsigned turn = 0; turn < 2 && attempts[i].address == NULL; turn++) {
            size_t *at = &next[(i + turn) % 2];
            bool of_first = (i + turn) % 2 == 0;
            while (*at < count && (eddy_addresses_get(addresses, *at)->storage.ss_family == first) != of_first) ++*at;
            if (*at < count) attempts[i].address = eddy_addresses_get(addresses, (*at)++);
        }
    }
}

static int connect_any(eddy_stream **stream_out, const char *host, uint16_t port, const eddy_connect_options *options) {
    char service[8], text[64];
    snprintf(service, sizeof service, "%u", port);
    eddy_addresses *addresses;
    int status = eddy_resolve(host, service, options->family, &addresses);
    if (status < 0) return status;
    size_t count = eddy_addresses_count(addresses);
    struct attempt one = {.poll = NULL}, *attempts = count > 1 ? ed_calloc(count * sizeof *attempts) : &one;
    if (attempts == NULL) {
        eddy_addresses_release(addresses);
        return EDDY_ENOMEM;
    }
    order(attempts, addresses);
    struct attempt *winner;
    const eddy_address *failed;
    status =
        run_race(attempts, count, options->stagger_ns > 0 ? options->stagger_ns : default_stagger_ns, &winner, &failed);
    if (status == 0) {
        status = ed_stream_open_polled(stream_out, winner->poll, sockets_here(), winner->address, options->limit_bytes,
                                       options->high_bytes);
        if (status < 0) give_up(winner);
    } else if (failed != NULL) {
        eddy_address_text(failed, text, sizeof text);
        eddy_fail(status, "cannot connect to %s port %u (%s): %s", host, port, text, eddy_status_text(status));
    }
    if (attempts != &one) ed_free(attempts);
    eddy_addresses_release(addresses);
    return status;
}

/* After a connect that gave `status`: the handshake, if one is asked for. */
static int finish(eddy_stream **stream_out, eddy_stream *stream, int status, const eddy_connect_options *options,
                  const char *server_name) {
    if (status == 0 && options->tls != NULL) {
        status = ed_tls_start(stream, options->tls, options->server_name != NULL ? options->server_name : server_name);
        if (status < 0) eddy_stream_release(stream);
    }
    if (status == 0) *stream_out = stream;
    return status;
}

int eddy_connect(eddy_stream **stream_out, const char *host, uint16_t port, const eddy_connect_options *options) {
    if (ed_fiber_current() == NULL) return ed_outside_task();
    if (host == NULL || (options != NULL && options->size != sizeof *options)) return EDDY_EINVAL;
    eddy_connect_options own = options != NULL ? *options : eddy_connect_options_init();
    ed_count_io();
    eddy_stream *stream;
    int status = connect_any(&stream, host, port, &own);
    return finish(stream_out, stream, status, &own, host);
}

int eddy_connect_unix(eddy_stream **stream_out, const char *path, const eddy_connect_options *options) {
    if (ed_fiber_current() == NULL) return ed_outside_task();
    if (path == NULL || (options != NULL && options->size != sizeof *options)) return EDDY_EINVAL;
    eddy_connect_options own = options != NULL ? *options : eddy_connect_options_init();
    ed_count_io();
    eddy_address address;
    if (!ed_address_path(&address, path)) return eddy_fail(EDDY_EINVAL, "no path for a socket: \"%s\"", path);
    struct attempt attempt = {.address = &address}, *winner;
    const eddy_address *failed;
    eddy_stream *stream = NULL;
    int status;
    while ((status = run_race(&attempt, 1, INT64_MAX, &winner, &failed)) == -EAGAIN) { /* its queue is full */
        status = eddy_sleep(queue_pause_ns);
        if (status < 0) return status;
    }
    if (status == 0) {
        status =
            ed_stream_open_polled(&stream, winner->poll, sockets_here(), &address, own.limit_bytes, own.high_bytes);
        if (status < 0) give_up(winner);
    } else if (failed != NULL) {
        eddy_fail(status, "cannot connect to %s: %s", path, eddy_status_text(status));
    }
    return finish(stream_out, stream, status, &own, NULL);
}
