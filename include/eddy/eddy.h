/* eddy/eddy.h: all of eddy. asyncio for C, on every core. */
#ifndef EDDY_EDDY_H
#define EDDY_EDDY_H

#include "eddy/base.h"
#include "eddy/channel.h"
#include "eddy/child.h"
#include "eddy/debug.h"
#include "eddy/embed.h"
#include "eddy/file.h"
#include "eddy/gate.h"
#include "eddy/local.h"
#include "eddy/loop.h"
#include "eddy/map.h"
#include "eddy/net.h"
#include "eddy/process.h"
#include "eddy/process_call.h"
#include "eddy/queue.h"
#include "eddy/runtime.h"
#include "eddy/scope.h"
#include "eddy/signal.h"
#include "eddy/sim.h"
#include "eddy/sync.h"
#include "eddy/task.h"
#include "eddy/thread.h"
#include "eddy/tls.h"
#include "eddy/udp.h"

#endif
