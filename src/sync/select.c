/* select.c: waiting for whichever of several channels is ready first.
 *
 * Idea       Go's (runtime/select.go): all locks are taken, in the order of the channels' numbers, so one look sees all
 *            cases at one instant; of those that are ready one is chosen by lot. If none is, a node goes into each list
 *            before the locks are given back. Whoever takes a node decides the select (waitlist.c); the others of its
 *            nodes are dead from then on, and are taken back one by one when it runs.
 * Fairness   The lot is drawn among the ready ones, each as likely as the others.
 * Invariants (E1) exactly one case is done, or none and the call fails. (E2) no node outlives the call.
 *            (E3) a channel whose list holds a node of ours is held by a reference of ours.
 * Threads    As in eddy/channel.h.
 * Tests      tests/sync/select_test.c; tests/model/sync_model.c. */
#include "sync/channel.h"

struct select {
    eddy_select_case *cases;
    size_t count;                   /* of order                                      */
    uint8_t order[EDDY_SELECT_MAX]; /* the cases with a channel, by channel number   */
    struct ed_list taken;
};

static eddy_channel *channel_at(struct select *select, size_t i) { return select->cases[select->order[i]].channel; }

/* Sorts by insertion; false: a case that is none. */
static bool put_in_order(struct select *select, size_t cases_count) {
    select->count = 0;
    for (size_t index = 0; index < cases_count; index++) {
        eddy_select_case *one = &select->cases[index];
        if (one->channel == NULL) continue;
        if ((one->send != NULL) == (one->receive != NULL)) return false;
        size_t at = select->count++;
        for (; at > 0 && channel_at(select, at - 1)->id > one->channel->id; at--)
            select->order[at] = select->order[at - 1];
        select->order[at] = (uint8_t)index;
    }
    return select->count > 0;
}

static bool first_of_its_channel(struct select *select, size_t i) {
    return i == 0 || channel_at(select, i - 1) != channel_at(select, i);
}

static void lock_all(struct select *select) {
    for (size_t i = 0; i < select->count; i++)
        if (first_of_its_channel(select, i)) ed_guard_lock(&channel_at(select, i)->sync.lock);
}

static void unlock_all(struct select *select) {
    for (size_t i = select->count; i-- > 0;)
        if (first_of_its_channel(select, i)) ed_guard_unlock(&channel_at(select, i)->sync.lock);
}

static int status_of(const eddy_select_case *one) {
    return one->send != NULL ? ed_channel_send_status(one->channel) : ed_channel_receive_status(one->channel);
}

static uint64_t draw(eddy_channel *channel) { /* xorshift64 (Marsaglia 2003) */
    uint64_t x = channel->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return channel->random = x;
}

static bool do_now(eddy_select_case *one, struct ed_list *taken) {
    one->status = status_of(one);
    if (one->status != 0) return one->status == EDDY_ECLOSED;
    return one->send != NULL ? ed_channel_send_now(one->channel, one->send, taken)
                             : ed_channel_receive_now(one->channel, one->receive, taken);
}

/* Under all locks. The case done, or -1. */
static int do_one(struct select *select) {
    uint8_t ready[EDDY_SELECT_MAX];
    size_t count = 0;
    for (size_t i = 0; i < select->count; i++)
        if (status_of(&select->cases[select->order[i]]) != EDDY_EBUSY) ready[count++] = select->order[i];
    while (count > 0) {
        size_t lot = count > 1 ? (size_t)(draw(channel_at(select, 0)) % count) : 0;
        if (do_now(&select->cases[ready[lot]], &select->taken)) return ready[lot];
        ready[lot] = ready[--count]; /* its partner is a select that was decided meanwhile, elsewhere */
    }
    return -1;
}

static void link_all(struct select *select, struct ed_standing *standing) {
    for (size_t i = 0; i < select->count; i++) {
        eddy_select_case *one = &select->cases[select->order[i]];
        struct ed_waiter *node = &standing->nodes[select->order[i]];
        node->item = one->send != NULL ? (void *)one->send : one->receive;
        node->state = ED_WAITER_LINKED;
        node->held = NULL; /* the select's */
        ed_list_push(one->send != NULL ? &one->channel->senders : &one->channel->receivers, &node->link);
        one->channel->sync.references++;
    }
}

static void take_back_all(struct select *select, struct ed_standing *standing) {
    for (size_t i = 0; i < select->count; i++) {
        struct ed_waiter *node = &standing->nodes[select->order[i]];
        eddy_channel *channel = channel_at(select, i);
        ed_guard_lock(&channel->sync.lock);
        if (node->state == ED_WAITER_LINKED) ed_list_remove(&node->link);
        bool last = --channel->sync.references == 0;
        ed_guard_unlock(&channel->sync.lock);
        if (last) channel->sync.destroy(&channel->sync);
    }
}

/* Looks at all at one instant; with a record also stands in all lines. The case done; EDDY_EBUSY: none. */
static int look(struct select *select, struct ed_standing *standing) {
    lock_all(select);
    int done = do_one(select);
    if (done < 0 && standing != NULL) link_all(select, standing);
    unlock_all(select);
    ed_waitlist_send(&select->taken);
    return done >= 0 ? done : EDDY_EBUSY;
}

static int begin(struct select *select, eddy_select_case *cases, size_t count) {
    select->cases = cases;
    ed_list_init(&select->taken);
    return count <= EDDY_SELECT_MAX && put_in_order(select, count) ? 0 : EDDY_EINVAL;
}

int eddy_try_select(eddy_select_case *cases, size_t count) {
    struct select select;
    int status = begin(&select, cases, count);
    return status < 0 ? status : look(&select, NULL);
}

int eddy_select(eddy_select_case *cases, size_t count) {
    struct select select;
    if (!ed_sync_enter()) return EDDY_EWRONGTHREAD;
    int done = begin(&select, cases, count);
    if (done < 0) return done;
    done = look(&select, NULL);
    if (done != EDDY_EBUSY) return done;
    struct ed_standing *standing = ed_standing_create(ed_fiber_current(), count, true);
    if (standing == NULL) return EDDY_ENOMEM;
    done = look(&select, standing);
    if (done == EDDY_EBUSY) {
        done = ed_standing_wait(standing, "select");
        take_back_all(&select, standing);
        if (done == 0) {
            done = (int)(standing->winner - standing->nodes);
            cases[done].status = standing->winner->status;
        }
    }
    ed_free(standing);
    return done;
}
