/* wire.h: what a pool and its worker processes say to each other, over one stream socket each.
 *
 *   worker -> pool   HELLO    once: nonce, version of what is said here, and who speaks
 *   pool -> worker   CALL     number, slot, the function's name, the argument's bytes
 *   worker -> pool   REPORTED the same number: the slot's report has something new
 *                    ANSWERED look at the boxes
 *                    RESULT   the same number, a status, and the result's bytes: those that fit no box
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
 * Answers    A small one, and that to a call which was taken back, goes into the slot's box: the worker moves the slot to
 *            DONE, and sends the frame only if the pool has looked since the last one (`told`). So no answer waits for
 *            the call behind it, and what a process answers while the pool's home is busy costs one frame together. The
 *            pool looks at the boxes whenever a frame comes, before it judges the frame, behind a RESULT, and after a death: then
 *            those count too whose frame was never sent.
 * Ordering   `told`: a read-modify-write on each side, the worker's behind its slot's store, the pool's before it looks at the
 *            slots. The later of the two sees the other: either the pool finds the slot, or the worker sends.
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

enum ed_wire_kind { ED_WIRE_HELLO = 1, ED_WIRE_CALL, ED_WIRE_RESULT, ED_WIRE_ANSWERED, ED_WIRE_REPORTED };

struct ed_wire_head {
    uint32_t magic;
    uint16_t kind;
    uint16_t text_bytes; /* behind the head: the name, or the failure's text     */
    int32_t status;      /* RESULT                                               */
    uint32_t slot;       /* CALL. HELLO: the version                             */
    uint64_t number;     /* CALL, RESULT, REPORTED: of the call. HELLO: the nonce */
    uint64_t bytes;      /* behind the text                                      */
};
_Static_assert(sizeof(struct ed_wire_head) == 32, "sent as it lies in memory");

/* Counts changes of anything in this file. A HELLO's head looks the same in all versions. */
enum { ED_WIRE_VERSION = 5 };

/* Who speaks: the text of a HELLO. */
struct ed_wire_identity {
    uint64_t build;     /* hash of the program's build id, and of the names and places of its functions */
    uint64_t registry;  /* hash of the names alone                                                      */
    uint64_t functions; /* registered in the program itself                                             */
};

/* With small frames, system calls and wake-ups are shared by as many calls. 64 of them cost a quarter less CPU than 16; each
 * takes 2 KiB of the page, for good once it was used. */
enum { ED_WIRE_IN_FLIGHT = 64 };
enum ed_wire_slot { ED_WIRE_DONE, ED_WIRE_SENT, ED_WIRE_BEGUN, ED_WIRE_TAKEN };

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

/* An answer as a RESULT's frame would be, good while its slot is DONE. Written by the worker. */
struct ed_wire_box {
    struct ed_wire_head head;
    char rest[1024 - sizeof(struct ed_wire_head)];
};
_Static_assert(sizeof((struct ed_wire_box *)0)->rest >= ED_WIRE_TEXT_MAX, "every failure fits");

struct ed_wire_page {
    struct ed_wire_limits limits;                  /* (c) written before the process starts */
    _Atomic uint32_t serves;                       /* 1: the worker is there, and says HELLO */
    _Atomic uint32_t told;                         /* 0: who answers next must send a frame */
    _Atomic uint64_t slots[ED_WIRE_IN_FLIGHT];     /* {number, enum ed_wire_slot : 2} */
    struct ed_wire_terms terms[ED_WIRE_IN_FLIGHT]; /* each as its slot */
    struct ed_wire_box boxes[ED_WIRE_IN_FLIGHT];   /* each as its slot */
};

static inline void ed_wire_slot_send(_Atomic uint64_t *slot, uint64_t number) {
    ED_STORE_RELEASE(slot, number << 2 | ED_WIRE_SENT);
}
/* Either side: moves the call from SENT on. False: the other side was first. */
static inline bool ed_wire_slot_claim(_Atomic uint64_t *slot, uint64_t number, enum ed_wire_slot to) {
    uint64_t sent = number << 2 | ED_WIRE_SENT;
    return ED_CAS(slot, &sent, number << 2 | to);
}
/* It may have been answered since. */
static inline bool ed_wire_slot_begun(_Atomic uint64_t *slot, uint64_t number) {
    const uint64_t word = ED_LOAD_ACQUIRE(slot);
    return word == (number << 2 | ED_WIRE_BEGUN) || word == (number << 2 | ED_WIRE_DONE);
}
static inline bool ed_wire_slot_done(_Atomic uint64_t *slot, uint64_t number) {
    return ED_LOAD_ACQUIRE(slot) == (number << 2 | ED_WIRE_DONE);
}

/* The worker: the answer to a call that it has begun, or found TAKEN, is in its box. True: the pool must be told. */
static inline bool ed_wire_answer(struct ed_wire_page *page, unsigned slot, uint64_t number) {
    ED_STORE_RELEASE(&page->slots[slot], number << 2 | ED_WIRE_DONE);
    return ED_EXCHANGE(&page->told, 1) == 0;
}
/* The pool: it is about to look at the slots. */
static inline void ed_wire_listen(struct ed_wire_page *page) { (void)ED_EXCHANGE(&page->told, 0); }

/* Where a worker process finds its things, and how it knows that it is one. */
#define ED_WORKER_MARKER "EDDY_WORKER_PROCESS" /* "<parent's pid>:<nonce>", decimal and hexadecimal */
enum { ED_WORKER_SOCKET = 3, ED_WORKER_PAGE = 4, ED_WORKER_FIRST_CLOSED = 5 };
enum {                              /* exit codes */
       ED_WORKER_NOT_SERVING = 121, /* came to eddy_run instead of serving */
       ED_WORKER_CPU_USED_UP = 122
};

#endif
