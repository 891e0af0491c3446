/* report.h: the newest thing that a worker process has said about the call that it runs, in shared memory.
 *
 * Problem    A function may say how far it is more often than its caller can listen, and neither may wait for the other; what
 *            was said last must arrive.
 * Idea       One place that is written over, and a flag for whether the pool has been told of it. The worker writes, sets the
 *            flag, and sends a frame if it was clear. The pool clears the flag, and reads. A reader that finds a write under
 *            way gives up: the writer will find the flag clear afterwards, and send another frame.
 * Invariants (R1) What was written last has been read, or a frame is on the way, or about to be sent. (R2) What is read is what
 *            one write wrote.
 * Ordering   told: read-modify-writes on both sides, so that the later of the two sees the other. sequence: odd while a write is
 *            under way. Each word of the message is stored with release behind the odd value and loaded with acquire before
 *            the sequence is looked at again, so whoever has got a word of a newer write sees that there is one.
 * Threads    put: the worker's thread that serves. take: under the pool's lock. init: under it while the slot is free.
 * Tests      tests/model/report_model.c; tests/exec/process_progress_test.c. */
#ifndef ED_EXEC_REPORT_H
#define ED_EXEC_REPORT_H

#include "base/base.h"

#include <string.h>

enum { ED_REPORT_BYTES_MAX = 1024, ED_REPORT_WORDS = ED_REPORT_BYTES_MAX / 8 };

struct ed_report {
    _Atomic uint32_t told;     /* 0: the next put must send a frame */
    _Atomic uint32_t bytes;    /* of the message                    */
    _Atomic uint64_t sequence; /* twice the number of messages      */
    _Atomic uint64_t words[ED_REPORT_WORDS];
};

static inline void ed_report_init(struct ed_report *report) {
    ED_STORE_RELAXED(&report->told, 0);
    ED_STORE_RELAXED(&report->sequence, 0);
}

/* True: the pool must be told. */
static inline bool ed_report_put(struct ed_report *report, const void *data, uint32_t bytes) {
    const uint64_t sequence = ED_LOAD_RELAXED(&report->sequence);
    ED_STORE_RELAXED(&report->sequence, sequence + 1);
    ED_STORE_RELEASE(&report->bytes, bytes);
    for (uint32_t at = 0; at < bytes; at += 8) {
        uint64_t word = 0;
        memcpy(&word, (const char *)data + at, bytes - at < 8 ? bytes - at : 8);
        ED_STORE_RELEASE(&report->words[at / 8], word);
    }
    ED_STORE_RELEASE(&report->sequence, sequence + 2);
    return ED_EXCHANGE(&report->told, 1) == 0;
}

/* The newest message, if it is newer than number *number_inout. False: there is none, or a frame will tell of it. */
static inline bool ed_report_take(struct ed_report *report, char data[static ED_REPORT_BYTES_MAX], uint32_t *bytes_out,
                                  uint64_t *number_inout) {
    (void)ED_EXCHANGE(&report->told, 0);
    const uint64_t sequence = ED_LOAD_ACQUIRE(&report->sequence);
    if (sequence % 2 != 0 || sequence / 2 == *number_inout) return false;
    const uint32_t bytes = ED_LOAD_ACQUIRE(&report->bytes);
    if (bytes > ED_REPORT_BYTES_MAX) return false;
    for (uint32_t at = 0; at < bytes; at += 8) {
        const uint64_t word = ED_LOAD_ACQUIRE(&report->words[at / 8]);
        memcpy(data + at, &word, bytes - at < 8 ? bytes - at : 8);
    }
    if (ED_LOAD_RELAXED(&report->sequence) != sequence) return false;
    *bytes_out = bytes;
    *number_inout = sequence / 2;
    return true;
}

#endif
