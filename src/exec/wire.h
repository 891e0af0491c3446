/* wire.h: what a pool and its worker processes say to each other, over one stream socket each.
 *
 *   worker -> pool   HELLO   once: nonce and identity
 *   pool -> worker   CALL    number, the function's name, the argument's bytes
 *   worker -> pool   RESULT  the same number, a status, and the failure's text or the result's bytes
 *
 * One call at a time: a worker reads a whole CALL before it answers, so neither side ever writes to one that writes.
 * The end of the stream tells the worker to end. Both sides are the same program on the same machine: native byte order.
 * The shared page says which call the worker has begun: after its death that one call is lost, and no other. */
#ifndef ED_EXEC_WIRE_H
#define ED_EXEC_WIRE_H

#include "base/base.h"

#define ED_WIRE_MAGIC UINT32_C(0x79646465)
#define ED_WIRE_BYTES_MAX (UINT64_C(1) << 30) /* of one argument or result: what memory bears twice */
enum { ED_WIRE_TEXT_MAX = 512 };              /* of a name or a failure's text, as eddy_fail cuts it */

enum ed_wire_kind { ED_WIRE_HELLO = 1, ED_WIRE_CALL, ED_WIRE_RESULT };

struct ed_wire_head {
    uint32_t magic;
    uint16_t kind;
    uint16_t text_bytes; /* behind the head: the name, or the failure's text     */
    int32_t status;      /* RESULT                                               */
    uint32_t zero;
    uint64_t number; /* CALL, RESULT: of the call. HELLO: the nonce          */
    uint64_t bytes;  /* behind the text. HELLO: none, this is the identity   */
};
_Static_assert(sizeof(struct ed_wire_head) == 32, "sent as it lies in memory");

struct ed_wire_page {
    _Atomic uint64_t started; /* number of the last call that was begun; the worker writes */
};

/* Where a worker process finds its things, and how it knows that it is one. */
#define ED_WORKER_MARKER "EDDY_WORKER_PROCESS" /* "<parent's pid>:<nonce>", decimal and hexadecimal */
enum { ED_WORKER_SOCKET = 3, ED_WORKER_PAGE = 4, ED_WORKER_FIRST_CLOSED = 5 };
enum { ED_WORKER_NOT_SERVING = 121 }; /* exit code: came to eddy_run instead of serving */

#endif
