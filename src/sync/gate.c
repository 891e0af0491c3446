/* gate.c: admission: slots, a queue with a clock, refusals.
 *
 * Problem    A bound on the number of requests alone makes the others wait, and under overload a queue of any length is
 *            full: who is served has waited for all of it. A bound on the time that one waits, told by a timer, keeps a
 *            client for that time only to refuse it.
 * Idea       The wait is known when a request comes (Little's law: those before it, times the time that each takes, divided
 *            by the slots), so who would wait too long is refused then. What is allowed depends on the queue: a burst
 *            may wait, a queue that stands may not (CoDel's distinction).
 * Estimate   Nobody says when it entered. Time inside is counted for all together: `area` grows by `inside` times the time
 *            that passes, and what has gathered between two exits is on average the time that one request takes. `taken`
 *            is its mean, over all exits at first, then fading over the last MEAN_TURNS turns of all slots. A mean says
 *            nothing when requests hang: where none has left for HANGS times as long as one takes, the next exit is as
 *            far away as the last one.
 * Standing   The wait has been above the target, without a break, for wait_max (CoDel's sign; it shrinks at exits only, so it
 *            is looked at there, too): `standing`, until nobody was refused for as long. Where the time in which one slot
 *            comes free is longer than the target it takes its place, or slow requests would leave slots idle.
 * Timer      Who waits lies in a timeout scope of its own, up to wait_max or its deadline; the estimate is a mean.
 * Invariants (A1) inside <= slots. (A2) somebody waits who is not leaving => inside == slots. A slot that is handed over
 *            stays counted as inside on its way. (A3) 0 <= waiting: the nodes in the list.
 * Threads    As in eddy/gate.h. Hand-over: waitlist.c. The clock is read outside the lock, so a later look may bring an
 *            earlier time: advance() takes the later one.
 * Not here   Newest first (Maurer's second cure): where the queue is kept short there is nothing to gain by it.
 * Tests      tests/sync/gate_test.c; tests/contract/cancel_points_test.c. */
#include "eddy/gate.h"

#include "eddy/loop.h"
#include "eddy/scope.h"
#include "sync/waitlist.h"

#define WAIT_NS_MAX EDDY_MS(100) /* Nichols and Jacobson: longer than a burst that goes by itself                */
#define TARGET_NS EDDY_MS(5)     /* theirs, too: what a queue may add to an answer without anybody noticing      */
#define MEAN_TURNS 8             /* one slow turn moves the mean by an eighth                                    */
#define HANGS 2                  /* requests that all began together leave together, and then none for a while    */

struct eddy_gate {
    struct ed_sync sync;    /* first                                                        */
    size_t slots;           /* (c)                                                          */
    size_t waiting_max;     /* (c)                                                          */
    int64_t wait_max_ns;    /* (c)                                                          */
    int64_t target_ns;      /* (c)                                                          */
    struct ed_list waiters; /* under lock, as all below                                     */
    size_t inside;          /* on their way included                                        */
    size_t waiting;         /* nodes in the list                                            */
    int64_t changed_ns;     /* when area was last brought up to date                        */
    int64_t above_from_ns;  /* when the wait was last seen at or below the target           */
    int64_t refused_ns;     /* when somebody was refused last                               */
    double area_ns;         /* time spent inside, of all together, since the last exit      */
    double taken_ns;        /* mean of area_ns at the exits                                 */
    bool standing;          /* the queue is no burst                                        */
    uint64_t exits, admitted, refused;
};

enum verdict { ADMITTED, REFUSED, WAITS };

struct request {
    int64_t now_ns, deadline_ns;
    enum verdict verdict;
};

static void destroy(struct ed_sync *sync) { ed_free(sync); }

eddy_gate *eddy_gate_create(size_t slots, const eddy_gate_options *options) {
    const eddy_gate_options given = options != NULL ? *options : eddy_gate_options_init();
    const int64_t wait_max_ns = given.wait_ns_max != 0 ? given.wait_ns_max : WAIT_NS_MAX;
    const int64_t usual_ns = TARGET_NS < wait_max_ns ? TARGET_NS : wait_max_ns;
    const int64_t target = given.target_ns != 0 ? given.target_ns : usual_ns;
    if (given.size != sizeof given || slots == 0 || slots > UINT32_MAX) return NULL;
    if (target < 0 || target > wait_max_ns) return NULL;
    eddy_gate *gate = ed_alloc(sizeof *gate);
    if (gate == NULL) return NULL;
    *gate = (eddy_gate){.slots = slots,
                        .waiting_max = given.waiting_max != 0 ? given.waiting_max : SIZE_MAX,
                        .wait_max_ns = wait_max_ns,
                        .target_ns = target,
                        .above_from_ns = eddy_time_ns()};
    ed_sync_init(&gate->sync, destroy);
    ed_list_init(&gate->waiters);
    return gate;
}

void eddy_gate_release(eddy_gate *gate) {
    if (gate != NULL) ed_sync_release(&gate->sync, &gate->waiters, NULL, "eddy_gate_release");
}

/* ---- under the lock ------------------------------------------------------------------------------ */

static int64_t advance(eddy_gate *gate, int64_t now_ns) {
    if (now_ns > gate->changed_ns) {
        gate->area_ns += (double)gate->inside * (double)(now_ns - gate->changed_ns);
        gate->changed_ns = now_ns;
    }
    return gate->changed_ns;
}

/* The time in which one slot comes free while all are taken. */
static double turn_ns(const eddy_gate *gate) {
    const double slots = (double)gate->slots;
    return gate->area_ns > HANGS * slots * gate->taken_ns ? gate->area_ns / slots : gate->taken_ns / slots;
}

static double estimate_ns(const eddy_gate *gate) {
    return gate->inside < gate->slots ? 0 : turn_ns(gate) * (double)(gate->waiting + 1);
}

static double target_ns(const eddy_gate *gate) {
    const double one_ns = turn_ns(gate), target_ns = (double)gate->target_ns;
    return target_ns < one_ns && one_ns <= (double)gate->wait_max_ns ? one_ns : target_ns;
}

static void note_standing(eddy_gate *gate, int64_t now_ns) {
    if (estimate_ns(gate) <= target_ns(gate)) gate->above_from_ns = now_ns;
    const bool stands = now_ns - gate->above_from_ns >= gate->wait_max_ns;
    if (stands && !gate->standing) gate->refused_ns = now_ns;
    gate->standing = stands || (gate->standing && now_ns - gate->refused_ns < gate->wait_max_ns);
}

static enum verdict refuse(eddy_gate *gate, int64_t now_ns) {
    gate->refused++;
    gate->refused_ns = now_ns;
    return REFUSED;
}

static enum verdict look(eddy_gate *gate, const struct request *request) {
    const int64_t now_ns = advance(gate, request->now_ns);
    note_standing(gate, now_ns);
    if (request->deadline_ns <= now_ns) {
        gate->refused++; /* says nothing of the gate */
        return REFUSED;
    }
    if (gate->inside < gate->slots) {
        gate->inside++;
        gate->admitted++;
        return ADMITTED;
    }
    const double wait_ns = estimate_ns(gate);
    const double allowed_ns = gate->standing ? target_ns(gate) : (double)gate->wait_max_ns;
    const bool too_late = wait_ns > allowed_ns || wait_ns > (double)(request->deadline_ns - now_ns);
    return too_late || gate->waiting >= gate->waiting_max ? refuse(gate, now_ns) : WAITS;
}

/* A slot is free: the oldest gets it. */
static void hand(eddy_gate *gate, struct ed_list *taken) {
    if (ed_waitlist_hand(&gate->waiters, taken)) {
        gate->waiting--;
        gate->admitted++;
    } else {
        gate->inside--;
    }
}

static bool enter(struct ed_sync *sync, void *item) {
    eddy_gate *gate = (eddy_gate *)sync;
    struct request *request = item;
    request->verdict = look(gate, request);
    if (request->verdict != WAITS) return true;
    gate->waiting++;
    return false;
}

static void leave(struct ed_sync *sync, void *item, bool handed, struct ed_list *taken) {
    eddy_gate *gate = (eddy_gate *)sync;
    (void)item;
    if (handed) {
        gate->admitted--;
        hand(gate, taken);
    } else {
        gate->waiting--;
    }
}

/* ---- without it ---------------------------------------------------------------------------------- */

/* It would have to wait when it looked: up to its deadline, and never beyond wait_max. */
static int wait_in_line(eddy_gate *gate, struct request *request) {
    static const struct ed_line line = {.reason = "gate", .enter = enter, .leave = leave};
    const int64_t left_ns = request->deadline_ns - request->now_ns;
    ed_sync_ref(&gate->sync);
    eddy_timeout_push(left_ns < gate->wait_max_ns ? left_ns : gate->wait_max_ns);
    int status = eddy_timeout_pop(ed_waitlist_wait(&gate->sync, &gate->waiters, &line, request));
    if (status == EDDY_ETIMEDOUT) {
        eddy_handled();
        const int64_t now_ns = eddy_time_ns();
        ed_guard_lock(&gate->sync.lock);
        (void)refuse(gate, advance(gate, now_ns));
        ed_guard_unlock(&gate->sync.lock);
        status = EDDY_EOVERLOADED;
    }
    ed_sync_unref(&gate->sync);
    return status < 0 ? status : request->verdict == REFUSED ? EDDY_EOVERLOADED : 0;
}

int eddy_gate_enter(eddy_gate *gate, int64_t deadline_ns) {
    struct ed_fiber *fiber;
    if (!ed_sync_enter_as(&fiber) || fiber == NULL) return EDDY_EWRONGTHREAD;
    struct request request = {.now_ns = eddy_time_ns(), .deadline_ns = deadline_ns};
    ed_guard_lock(&gate->sync.lock);
    const enum verdict verdict = look(gate, &request);
    ed_guard_unlock(&gate->sync.lock);
    if (verdict == WAITS) return wait_in_line(gate, &request);
    return verdict == ADMITTED ? 0 : EDDY_EOVERLOADED;
}

bool eddy_gate_try_enter(eddy_gate *gate) {
    const int64_t now_ns = eddy_time_ns();
    ed_guard_lock(&gate->sync.lock);
    (void)advance(gate, now_ns);
    const bool free = gate->inside < gate->slots;
    if (free) {
        gate->inside++;
        gate->admitted++;
    } else {
        (void)refuse(gate, gate->changed_ns);
    }
    ed_guard_unlock(&gate->sync.lock);
    return free;
}

int eddy_gate_exit(eddy_gate *gate) {
    const int64_t now_ns = eddy_time_ns();
    struct ed_list taken;
    ed_list_init(&taken);
    ed_guard_lock(&gate->sync.lock);
    const bool somebody = gate->inside > 0;
    if (somebody) {
        (void)advance(gate, now_ns);
        const double counted = (double)(++gate->exits), most = (double)(MEAN_TURNS * gate->slots);
        gate->taken_ns += (gate->area_ns - gate->taken_ns) / (counted < most ? counted : most);
        gate->area_ns = 0;
        hand(gate, &taken);
        note_standing(gate, gate->changed_ns);
    }
    ed_guard_unlock(&gate->sync.lock);
    ed_waitlist_send(&taken);
    return somebody ? 0 : EDDY_ESTATE;
}

void eddy_gate_stats_read(eddy_gate *gate, eddy_gate_stats *stats_out) {
    const int64_t now_ns = eddy_time_ns();
    ed_guard_lock(&gate->sync.lock);
    note_standing(gate, advance(gate, now_ns));
    *stats_out = (eddy_gate_stats){.inside = gate->inside,
                                   .waiting = gate->waiting,
                                   .admitted = gate->admitted,
                                   .refused = gate->refused,
                                   .taken_ns = (int64_t)gate->taken_ns,
                                   .wait_ns = (int64_t)estimate_ns(gate),
                                   .standing = gate->standing};
    ed_guard_unlock(&gate->sync.lock);
}
