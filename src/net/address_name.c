/* address_name.c: addresses to names.
 *
 * Idea       As resolve.c, the other way: what needs no resolver is answered at once, the rest in a look-up thread.
 * Threads    eddy_address_name: a task. look_up: a look-up thread.
 * Not here   The threads, and what a cancel does (lookup.c).
 * Tests      tests/net/resolve_test.c. */
#include "eddy/net.h"
#include "net/lookup.h"
#include "task/task.h"

#include <netdb.h>
#include <string.h>

/* glibc's NI_MAXHOST; a service's name, or a Unix socket's path. */
enum { HOST_BYTES = 1025, SERVICE_BYTES = 128 };

struct names {
    int failure, error; /* an EAI_ code, with errno of EAI_SYSTEM */
    char host[HOST_BYTES], service[SERVICE_BYTES];
};

struct job {
    struct ed_lookup lookup; /* first */
    eddy_address address;
    int flags;
};

static void drop_names(eddy_value value) { ed_free(value.ptr); }

static struct names *find(const struct ed_sockets *sockets, const eddy_address *address, int flags) {
    struct names *names = ed_calloc(sizeof *names);
    if (names == NULL) return NULL;
    names->failure = sockets->name_of(address, flags, names->host, sizeof names->host, names->service,
                                      sizeof names->service, &names->error);
    return names;
}

static void look_up(struct ed_lookup *lookup) {
    const struct job *job = ED_CONTAINER(lookup, struct job, lookup);
    int status = eddy_future_set(lookup->future, EDDY_PTR(find(lookup->sockets, &job->address, job->flags)));
    ED_ASSERT(status == 0); /* nobody else knows this future */
}

static int find_in_thread(const eddy_address *address, int flags, struct names **names_out) {
    struct job *job = ed_lookup_create(sizeof *job, look_up, drop_names);
    if (job == NULL) return EDDY_ENOMEM;
    job->address = *address;
    job->flags = flags;
    eddy_value value = EDDY_NONE;
    int status = ed_lookup_do(&job->lookup, "look-up of an address", &value);
    if (status == 0) *names_out = value.ptr;
    return status;
}

static bool give(const char *text, char *buffer, size_t bytes) {
    size_t needed = strlen(text) + 1;
    if (buffer == NULL) return true;
    if (bytes < needed) return false;
    memcpy(buffer, text, needed);
    return true;
}

static int fail(const eddy_address *address, int failure, int error) {
    char text[128];
    int status = ed_lookup_status(failure, error);
    eddy_address_text(address, text, sizeof text);
    return eddy_fail(status, "cannot name %s: %s", text[0] != '\0' ? text : "this address", eddy_status_text(status));
}

int eddy_address_name(const eddy_address *address, int flags, char *host, size_t host_bytes, char *service,
                      size_t service_bytes) {
    const int numeric = NI_NUMERICHOST | NI_NUMERICSERV;
    if (ed_fiber_current() == NULL) return ed_outside_task();
    if (host == NULL && service == NULL) return EDDY_EINVAL;
    struct names *names = NULL;
    int status = 0;
    if ((flags & numeric) == numeric)
        names = find(ed_worker_current()->sched->driver->sockets, address, flags);
    else
        status = find_in_thread(address, flags, &names);
    if (status < 0) return status;
    if (names == NULL) return EDDY_ENOMEM;
    int failure = names->failure, error = names->error;
    if (failure == 0 && (!give(names->host, host, host_bytes) || !give(names->service, service, service_bytes)))
        failure = EAI_OVERFLOW;
    ed_free(names);
    return failure == 0 ? 0 : fail(address, failure, error);
}
