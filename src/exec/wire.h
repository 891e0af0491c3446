/* wire.h: what a pool and its worker processes say to each other, over one stream socket each.
 *
 *   worker -> pool   HELLO    once: nonce, version of what is said here, and who speaks
 *   pool -> worker   CALL     number, slot, the function's name, the argument's bytes
 *   worker -> pool   REPORTED the same number: the slot's report has something new
 *                    RESULT   the same number, a status, and the failure's text or the result's bytes
 *                    SKIPPED  the same number: the call was taken back
 *
 * Up to ED_WIRE_IN_FLIGHT calls are on their way to a worker or wait there; it serves them in order. The pool's side always
 * reads, so neither side can wait for the other to read. The end of the stream tells the worker to end. Both sides are the
 * same program on the same machine: native byte order.
 *
 * The shared page says what became of each call: its slot goes SENT -> BEGUN (the worker) or SENT -> TAKEN (the pool), by
 * compare-and-swap, so that a call that has not begun can be taken back or given to somebody else, and after a death the
 * one that had begun is lost, and no other. A slot is used again once its call's answer has been read. Beside it lie the
 * call's terms, which the pool writes before the slot becomes SENT; `cancelled` alone changes after that, and the report
 * (report.h), which the worker writes while the call runs.
 *
 * Descriptors, a buffer's last, come with the first byte of their CALL. Such a call is sent to a process that has no other, so
 * there is never more than one set of them on the way. */
#ifndef ED_EXEC_WIRE_H
#define ED_EXEC_WIRE_H

#include "base/base.h"
#include "exec/report.h"

#define ED_WIRE_MAGIC UINT32_C(0x79646465)
#define ED_WIRE_BYTES_MAX (UINT64_C(1) << 30) /* of one argument or result: what memory bears twice */
enum { ED_WIRE_TEXT_MAX = 512 };              /* of a name or a failure's text, as eddy_fail cuts it */

enum ed_wire_kind { ED_WIRE_HELLO = 1, ED_WIRE_CALL, ED_WIRE_RESULT, ED_WIRE_SKIPPED, ED_WIRE_REPORTED };

struct ed_wire_head {
    uint32_t magic;
    uint16_t kind;
    uint16_t text_bytes; /* behind the head: the name, or the failure's text     */
    int32_t status;      /* RESULT                                               */
    uint32_t slot;       /* CALL. HELLO: the version                             */
    uint64_t number;     /* CALL, RESULT: of the call. HELLO: the nonce          */
    uint64_t bytes;      /* behind the text                                      */
};
_Static_assert(sizeof(struct ed_wire_head) == 32, "sent as it lies in memory");

/* Counts changes of anything in this file. A HELLO's head looks the same in all versions. */
enum { ED_WIRE_VERSION = 3 };

/* Who speaks: the text of a HELLO. */
struct ed_wire_identity {
    uint64_t build;     /* hash of the program's build id, and of the names and places of its functions */
    uint64_t registry;  /* hash of the names alone                                                      */
    uint64_t functions; /* registered in the program itself                                             */
};

enum { ED_WIRE_IN_FLIGHT = 16 }; /* with small frames, system calls and wake-ups are shared by as many calls */
enum ed_wire_slot { ED_WIRE_SENT = 1, ED_WIRE_BEGUN, ED_WIRE_TAKEN };

/* What each call may use; 0: no limit. */
struct ed_wire_limits {
    int64_t cpu_ns;        /* of CPU time; more ends the process with ED_WORKER_CPU_USED_UP */
    uint64_t memory_bytes; /* of data of the process, as RLIMIT_DATA                       */
    int nice;              /* added to the process's                                       */
};

/* What a call brings besides its frame. */
struct ed_wire_terms {
    int64_t deadline_ns;        /* of CLOCK_MONOTONIC; INT64_MAX: none                                          */
    _Atomic uint64_t cancelled; /* the number of the call that is asked to end early: the pool, under its lock */
    uint64_t buffer_bytes;      /* 0: none                                                                      */
    uint32_t fds;               /* that come with the call, the buffer's not counted                            */
    bool wants_reports;
    struct ed_report report;
};
enum { ED_WIRE_FDS_MAX = 17 }; /* with a buffer's */

struct ed_wire_page {
    struct ed_wire_limits limits;                  /* (c) written before the process starts */
    _Atomic uint64_t slots[ED_WIRE_IN_FLIGHT];     /* {number, enum ed_wire_slot : 2} */
    struct ed_wire_terms terms[ED_WIRE_IN_FLIGHT]; /* each as its slot */
};

static inline void ed_wire_slot_send(_Atomic uint64_t *slot, uint64_t number) {
    ED_STORE_RELEASE(slot, number << 2 | ED_WIRE_SENT);
}
/* Either side: moves the call from SENT on. False: the other side was first. */
static inline bool ed_wire_slot_claim(_Atomic uint64_t *slot, uint64_t number, enum ed_wire_slot to) {
    uint64_t sent = number << 2 | ED_WIRE_SENT;
    return ED_CAS(slot, &sent, number << 2 | to);
}
static inline bool ed_wire_slot_begun(_Atomic uint64_t *slot, uint64_t number) {
    return ED_LOAD_ACQUIRE(slot) == (number << 2 | ED_WIRE_BEGUN);
}

/* Where a worker process finds its things, and how it knows that it is one. */
#define ED_WORKER_MARKER "EDDY_WORKER_PROCESS" /* "<parent's pid>:<nonce>", decimal and hexadecimal */
enum { ED_WORKER_SOCKET = 3, ED_WORKER_PAGE = 4, ED_WORKER_FIRST_CLOSED = 5 };
enum {                              /* exit codes */
       ED_WORKER_NOT_SERVING = 121, /* came to eddy_run instead of serving */
       ED_WORKER_CPU_USED_UP = 122
};

#endif
