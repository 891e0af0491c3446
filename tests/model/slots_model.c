/* slots_model.c: the shared page of a process pool: a call begins in one process at most, and never once it was taken back;
 * after a death the one call that had begun is lost, and no other, whatever calls before it left in the slots. The real
 * wire.h; the pool's side and the process's are stand-ins that do what process_pool.h says of them. A socket hands over what
 * was written before, and so does the end of a process. */
#include "exec/wire.h"
#include "explorer.h"

enum { CALLS = 2 };

/* What one side does is in plain memory that only it writes, handed over by the atomics below it. */
struct world {
    struct ed_wire_page page;
    unsigned slots[CALLS + 1];       /* of each call, by its number: 1, 2 */
    bool began[CALLS + 1];           /* the process has moved its slot on */
    bool skipped[CALLS + 1];         /* its answer: it was taken back */
    _Atomic uint32_t sent, answered; /* the socket: how many calls and answers have been written */
    _Atomic uint32_t lock, killed, dead;
};
static struct world *world;
static unsigned calls, ran[CALLS + 1], taken[CALLS + 1], lost[CALLS + 1], ended[CALLS + 1];
static bool one_slot; /* a call is sent when the one before has been answered, in its slot */

/* A system call tells the newest, and orders. */
static uint32_t system_tells(_Atomic uint32_t *what) { return ED_ADD(what, 0); }

/* ---- the process ---------------------------------------------------------------------------------------------- */

static bool is_called_or_killed(void *arg) {
    return ED_LOAD_RELAXED(&world->sent) > *(uint32_t *)arg || ED_LOAD_RELAXED(&world->killed);
}
/* Between any two steps the kill may take effect. */
static _Noreturn void die(void) {
    ED_STORE_RELEASE(&world->dead, 1);
    model_exit();
}
static void die_if_killed(void) {
    if (ED_LOAD_RELAXED(&world->killed)) die();
}
static void process(void) {
    for (uint32_t served = 0; served < calls; served++) {
        model_wait(is_called_or_killed, &served);
        if (system_tells(&world->sent) <= served) die();
        const unsigned number = served + 1;
        world->skipped[number] = !ed_wire_slot_claim(&world->page.slots[world->slots[number]], number, ED_WIRE_BEGUN);
        world->began[number] = !world->skipped[number];
        die_if_killed();
        ran[number] += world->began[number];
        die_if_killed();
        ED_STORE_RELEASE(&world->answered, number);
    }
}

static void kills(void) { ED_STORE_RELEASE(&world->killed, 1); }

/* ---- the pool ------------------------------------------------------------------------------------------------- */

static bool is_free(void *lock) { return ED_LOAD_RELAXED((_Atomic uint32_t *)lock) == 0; }
static void lock(void) {
    uint32_t is = 0;
    while (!ED_CAS(&world->lock, &is, 1)) {
        model_wait(is_free, &world->lock);
        is = 0;
    }
}
static void unlock(void) { ED_STORE_RELEASE(&world->lock, 0); }

static void send_call(unsigned number) {
    lock();
    world->slots[number] = one_slot ? 0 : number - 1;
    ed_wire_slot_send(&world->page.slots[world->slots[number]], number);
    ED_STORE_RELEASE(&world->sent, number);
    unlock();
}

/* Anybody of the pool: a task that is cancelled, a process that is free. */
static bool take(unsigned number) {
    lock();
    bool mine = ED_LOAD_RELAXED(&world->sent) >= number && !taken[number] && !ended[number] &&
                ed_wire_slot_claim(&world->page.slots[world->slots[number]], number, ED_WIRE_TAKEN);
    taken[number] += mine;
    unlock();
    return mine;
}

static bool is_answered_or_dead(void *arg) {
    return ED_LOAD_RELAXED(&world->answered) > *(uint32_t *)arg || ED_LOAD_RELAXED(&world->dead);
}
/* What was answered before the death counts, and is read first. */
static bool read_answer(uint32_t read) {
    model_wait(is_answered_or_dead, &read);
    (void)system_tells(&world->dead);
    return system_tells(&world->answered) > read;
}
static void home(void) {
    uint32_t read = 0;
    for (unsigned number = 1; number <= calls; number++) {
        send_call(number);
        if (one_slot && number == 1 && !read_answer(read)) break;
    }
    while (read < ED_LOAD_RELAXED(&world->sent) && read_answer(read)) {
        read++;
        lock();
        ended[read]++;
        MODEL_CHECK(world->skipped[read] == (taken[read] > 0));
        unlock();
    }
    lock();
    for (unsigned number = read + 1; number <= ED_LOAD_RELAXED(&world->sent); number++) {
        ended[number]++;
        if (taken[number]) continue;
        if (ed_wire_slot_begun(&world->page.slots[world->slots[number]], number)) {
            MODEL_CHECK(world->began[number]);
            lost[number]++;
        } else {
            ran[number]++; /* another process does it */
        }
    }
    unlock();
}
static void takes_second(void) { (void)take(calls); }
static void moves_second(void) {
    if (take(calls)) ran[calls]++;
}
static void takes_both(void) {
    (void)take(2);
    (void)take(1);
}

/* ---- scenarios ------------------------------------------------------------------------------------------------ */

static void setup_of(unsigned count, bool same) {
    world = model_alloc(sizeof *world);
    model_name(&world->page.slots[0], "slot 0");
    model_name(&world->page.slots[1], "slot 1");
    model_name(&world->sent, "sent");
    model_name(&world->answered, "answered");
    calls = count;
    one_slot = same;
    for (int i = 0; i <= CALLS; i++) ran[i] = taken[i] = lost[i] = ended[i] = 0;
}
static void setup_two(void) { setup_of(2, false); }
static void setup_same(void) { setup_of(2, true); }

static void check_ran(bool moved) {
    const unsigned sent = ED_LOAD_RELAXED(&world->sent);
    for (unsigned number = 1; number <= sent; number++) {
        MODEL_CHECK(ended[number] == 1);
        MODEL_CHECK(ran[number] + lost[number] >= 1 || taken[number]); /* none is forgotten */
        MODEL_CHECK(ran[number] <= 1);                                 /* none runs twice */
        MODEL_CHECK(moved || taken[number] + ran[number] <= 1);        /* not once it was taken back */
    }
    MODEL_CHECK(lost[1] + lost[2] <= 1);
}
static void check(void) { check_ran(false); }
static void check_moved(void) { check_ran(true); }

static const struct model_scenario scenarios[] = {
    {.name = "taken_back", .setup = setup_two, .threads = {home, process, takes_both}, .check = check},
    {.name = "moved", .setup = setup_two, .threads = {home, process, moves_second}, .check = check_moved},
    {.name = "death", .setup = setup_two, .threads = {home, process, kills}, .check = check},
    {.name = "slot_again", .setup = setup_same, .threads = {home, process, kills}, .check = check},
    {.name = "slot_again_taken", .setup = setup_same, .threads = {home, process, takes_second}, .check = check},
};
MODEL_MAIN(scenarios)
