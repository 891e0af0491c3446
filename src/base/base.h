/* base.h: door of base/: assertions, atomics, memory, lists, the timer heap, threads, the clock, descriptors, limits,
 * names of places. Includes nothing of eddy but the public words (status, value). */
#ifndef ED_BASE_BASE_H
#define ED_BASE_BASE_H

#include "base/alloc.h"
#include "base/assert.h"
#include "base/atomic.h"
#include "base/chaos.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/heap.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/symbols.h"
#include "base/thread.h"
#include "eddy/base.h"

#endif
