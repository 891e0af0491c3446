/* context.h: what stack.c needs of context.c beyond the door. */
#ifndef ED_CORO_CONTEXT_H
#define ED_CORO_CONTEXT_H

#include "base/base.h"
#include "coro/coro.h"

/* Drops what the race detector knows of a context that does not run. Legal twice. */
void ed_context_forget(struct ed_context *context);

/* Before the memory of its stack goes: also tells the other tools. */
void ed_context_unregister(struct ed_context *context);

#endif
