/* process_buffer.h: memory that a call hands to a worker process. Inside exec/ only. */
#ifndef ED_EXEC_PROCESS_BUFFER_H
#define ED_EXEC_PROCESS_BUFFER_H

#include "eddy/process_call.h"

struct eddy_process_buffer {
    eddy_bytes bytes; /* (c) mapped */
    int memfd;        /* (c) */
};

/* In a worker: the memory behind a descriptor that came with a call. 0; EDDY_EINVAL: it is no buffer of this size; or a status. */
int ed_buffer_map(int memfd, size_t size, eddy_bytes *bytes_out);
void ed_buffer_unmap(eddy_bytes *bytes);

#endif
