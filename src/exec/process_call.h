/* process_call.h: what a call takes along besides its bytes. Inside exec/ only. Protocol: process_pool.h, wire.h.
 *
 * Invariants (A1) The descriptors are the record's own, copies of the caller's, until it is freed: the home may be sending them at
 *            any time. (A2) The buffer is the call's from its begin to its end: the caller has it again only when no process
 *            can still run the function. (A3) What the function has said before its end is taken out of the slot before the
 *            slot is free.
 * Threads    As told at the fields, in the words of process_pool.h; (k) the call's task. */
#ifndef ED_EXEC_PROCESS_CALL_H
#define ED_EXEC_PROCESS_CALL_H

#include "eddy/process_call.h"
#include "exec/caller.h"
#include "exec/wire.h"

struct ed_remote_call;

struct ed_call_extras {
    struct ed_remote_call *call;       /* (c)                                                  */
    eddy_process_buffer *buffer;       /* (k); NULL: none, or it went back                     */
    uint64_t buffer_bytes;             /* (c)                                                  */
    eddy_process_progress_fn progress; /* (c)                                                  */
    void *progress_arg;                /* (c)                                                  */
    struct ed_message news;            /* to the task: there is a report                       */
    _Atomic bool is_news_under_way;    /* set by the home, cleared by the arrival              */
    bool has_said;                     /* (l) said: not looked at yet                          */
    uint32_t said_bytes;               /* (l)                                                  */
    uint64_t said_number;              /* (l)                                                  */
    char said[ED_REPORT_BYTES_MAX];    /* (l) taken out of the slot                            */
    unsigned fds_count;                /* (c) the buffer's, which is the last, included        */
    int fds[ED_WIRE_FDS_MAX];          /* (c)                                                  */
};

/* 0, or a status with its text. A buffer stays where it is. */
int ed_call_extras_create(struct ed_call_extras **extras_out, const eddy_process_call_options *options);
/* With the call's record. NULL is nothing. */
void ed_call_extras_free(struct ed_call_extras *extras);

/* The lock is held: writes the terms of a call that is about to be SENT. */
void ed_call_write_terms(const struct ed_remote_call *call, struct ed_wire_terms *terms);
/* The lock is held: keeps what the function has said so far. */
void ed_call_keep_report(struct ed_remote_call *call, struct ed_wire_terms *terms);
/* The home: a REPORTED frame has come. */
void ed_call_has_news(struct ed_remote_call *call);
/* The call's task: passes on what was said and not told yet. The status of the caller's function, or 0. */
int ed_call_tell_news(struct ed_remote_call *call);

/* The bytes of control data for a set of descriptors, and the set as such. Gives their size. */
union ed_fds_control {
    char bytes[64 + ED_WIRE_FDS_MAX * sizeof(int)];
    size_t alignment;
};
size_t ed_fds_pack(union ed_fds_control *control, const int *fds, unsigned count);

#endif
