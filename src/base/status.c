/* status.c: names and sentences for status codes. The system's come from strerror's tables; eddy's own
 * and the most common ones of libuv's are here. */

#include "base/base.h"

#include <string.h>

static const struct {
    int status;
    const char *name, *text;
} own[] = {
    {EDDY_OK, "OK", "success"},
    {EDDY_ECANCELED, "ECANCELED", "cancelled"},
    {EDDY_ETIMEDOUT, "ETIMEDOUT", "timed out"},
    {EDDY_EOF, "EOF", "end of stream"},
    {EDDY_ESTATE, "ESTATE", "not possible in this state (done already, or not yet)"},
    {EDDY_EGROUP, "EGROUP", "children of a task group failed"},
    {EDDY_EBROKENPOOL, "EBROKENPOOL", "a process of the pool died, or cannot be started"},
    {EDDY_EWRONGTHREAD, "EWRONGTHREAD", "called outside a task, or from the wrong thread"},
    {EDDY_ELIMIT, "ELIMIT", "a limit is reached"},
    {EDDY_EINCOMPLETE, "EINCOMPLETE", "the stream ended inside what was asked for"},
    {EDDY_EINTERRUPTED, "EINTERRUPTED", "interrupted by SIGINT"},
    {EDDY_ECLOSED, "ECLOSED", "closed"},
    {EDDY_EBROKEN, "EBROKEN", "the barrier was broken, or reset"},
    {EDDY_ETLS, "ETLS", "TLS failed"},
    {EDDY_ECERTIFICATE, "ECERTIFICATE", "the peer's certificate is not to be trusted"},
    {EDDY_ETRUNCATED, "ETRUNCATED", "the connection ended without TLS's end"},
    {EDDY_EOVERLOADED, "EOVERLOADED", "too much to do: refused, because it would have waited too long"},
    {-3000, "EAI_ADDRFAMILY", "address family not supported for the name"},
    {-3001, "EAI_AGAIN", "name look-up failed for now"},
    {-3002, "EAI_BADFLAGS", "bad flags for a name look-up"},
    {-3004, "EAI_FAIL", "name look-up failed for good"},
    {-3005, "EAI_FAMILY", "address family not supported"},
    {-3006, "EAI_MEMORY", "no memory in a name look-up"},
    {-3007, "EAI_NODATA", "the name has no address"},
    {-3008, "EAI_NONAME", "unknown name or service"},
    {-3009, "EAI_OVERFLOW", "a name does not fit into its buffer"},
    {-3010, "EAI_SERVICE", "service not available for the socket type"},
    {-3011, "EAI_SOCKTYPE", "socket type not supported"},
};

const char *eddy_status_name(int status) {
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (own[i].status == status) return own[i].name;
    const char *name = status < 0 ? strerrorname_np(-status) : status > 0 ? "OK" : NULL;
    return name != NULL ? name : "E?";
}

const char *eddy_status_text(int status) {
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (own[i].status == status) return own[i].text;
    const char *text = status < 0 ? strerrordesc_np(-status) : "success";
    return text != NULL ? text : "unknown status";
}
