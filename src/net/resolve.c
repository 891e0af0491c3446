/* resolve.c: names to addresses.
 *
 * Idea       Numeric addresses need no resolver and are answered at once. Names go to the look-up threads.
 * Threads    eddy_resolve: a task. look_up: a look-up thread. Lists: any.
 * Not here   The threads, and what a cancel does (lookup.c).
 * Tests      tests/net/resolve_test.c. */
#include "eddy/net.h"
#include "net/address.h"
#include "net/lookup.h"
#include "task/task.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESSES_EXPECTED = 4 };

struct eddy_addresses {
    int failure; /* an EAI_ code; then there are no addresses */
    int error;   /* errno of EAI_SYSTEM                       */
    size_t count;
    eddy_address items[];
};

struct job {
    struct ed_lookup lookup; /* first */
    int family;
    char *service; /* NULL: none. Behind `host` in the same block */
    char *host;    /* NULL: none */
    char text[];
};

/* ---- lists ------------------------------------------------------------------------------------ */

size_t eddy_addresses_count(const eddy_addresses *addresses) { return addresses->count; }

const eddy_address *eddy_addresses_get(const eddy_addresses *addresses, size_t index) {
    ED_ASSERT(index < addresses->count);
    return &addresses->items[index];
}

void eddy_addresses_release(eddy_addresses *addresses) { ed_free(addresses); }

static void drop_addresses(eddy_value value) { eddy_addresses_release(value.ptr); }

static eddy_addresses *create_addresses(size_t count) {
    eddy_addresses *addresses = ed_calloc(sizeof *addresses + count * sizeof addresses->items[0]);
    if (addresses != NULL) addresses->count = count;
    return addresses;
}

/* ---- in a look-up thread ---------------------------------------------------------------------- */

struct found {
    eddy_addresses *addresses; /* NULL: no memory */
    size_t capacity;
};

static void add_address(void *arg, const struct sockaddr *address, unsigned bytes) {
    struct found *found = arg;
    eddy_addresses *addresses = found->addresses;
    if (addresses == NULL) return;
    if (addresses->count == found->capacity) {
        size_t capacity = 2 * found->capacity;
        eddy_addresses *more = ed_realloc(addresses, sizeof *more + capacity * sizeof more->items[0]);
        if (more == NULL) eddy_addresses_release(addresses);
        found->addresses = addresses = more;
        if (more == NULL) return;
        found->capacity = capacity;
    }
    eddy_address *item = &addresses->items[addresses->count++];
    memset(item, 0, sizeof *item);
    memcpy(&item->storage, address, bytes);
    item->bytes = bytes;
}

static void look_up(struct ed_lookup *lookup) {
    struct job *job = ED_CONTAINER(lookup, struct job, lookup);
    struct found found = {create_addresses(ADDRESSES_EXPECTED), ADDRESSES_EXPECTED};
    if (found.addresses != NULL) found.addresses->count = 0;
    int error = 0;
    int failure = lookup->sockets->look_up(job->host, job->service, job->family, &error, add_address, &found);
    if (found.addresses != NULL) {
        found.addresses->failure = failure;
        found.addresses->error = error;
    }
    int status = eddy_future_set(lookup->future, EDDY_PTR(found.addresses));
    ED_ASSERT(status == 0); /* nobody else knows this future */
}

/* ---- in the task ------------------------------------------------------------------------------ */

static struct job *create_job(const char *host, const char *service, int family) {
    size_t host_bytes = host != NULL ? strlen(host) + 1 : 0, service_bytes = service != NULL ? strlen(service) + 1 : 0;
    struct job *job = ed_lookup_create(sizeof *job + host_bytes + service_bytes, look_up, drop_addresses);
    if (job == NULL) return NULL;
    job->family = family;
    if (host != NULL) job->host = memcpy(job->text, host, host_bytes);
    if (service != NULL) job->service = memcpy(job->text + host_bytes, service, service_bytes);
    return job;
}

static int fail_look_up(const char *host, const char *service, int status) {
    return eddy_fail(status, "cannot look up %s%s%s: %s", host != NULL ? host : "any address",
                     service != NULL ? " port " : "", service != NULL ? service : "", eddy_status_text(status));
}

/* A port in digits, or none at all. */
static bool parse_port(const char *service, uint16_t *port_out) {
    *port_out = 0;
    if (service == NULL) return true;
    char *end;
    unsigned long port = service[0] >= '0' && service[0] <= '9' ? strtoul(service, &end, 10) : UINT16_MAX + 1;
    if (port > UINT16_MAX || *end != '\0') return false;
    *port_out = (uint16_t)port;
    return true;
}

static int numeric(const char *host, int family, uint16_t port, eddy_addresses **addresses_out) {
    eddy_address address;
    if (!ed_address_parse(&address, host, family, port)) return EDDY_ENOTSUP;
    eddy_addresses *addresses = create_addresses(1);
    if (addresses == NULL) return EDDY_ENOMEM;
    addresses->items[0] = address;
    *addresses_out = addresses;
    return 0;
}

int eddy_resolve(const char *host, const char *service, int family, eddy_addresses **addresses_out) {
    if (ed_fiber_current() == NULL) return ed_outside_task();
    uint16_t port;
    if (parse_port(service, &port)) {
        int status = numeric(host, family, port, addresses_out);
        if (status != EDDY_ENOTSUP) return status;
    }
    struct job *job = create_job(host, service, family);
    if (job == NULL) return EDDY_ENOMEM;
    eddy_value value = EDDY_NONE;
    int status = ed_lookup_do(&job->lookup, "name look-up", &value);
    if (status < 0) return status;

    eddy_addresses *addresses = value.ptr;
    if (addresses == NULL) return EDDY_ENOMEM;
    if (addresses->count == 0) {
        status = ed_lookup_status(addresses->failure, addresses->error);
        eddy_addresses_release(addresses);
        return fail_look_up(host, service, status);
    }
    *addresses_out = addresses;
    return 0;
}
