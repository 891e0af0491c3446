/* slots_model.c: the shared page of a process pool: a call begins in one process at most, and never once it was taken back;
 * after a death the one call that had begun is lost, and no other, whatever calls before it left in the slots; each answer
 * is read, as it was written, whether its frame was sent or goes without saying. The real wire.h; the pool's side and the
 * process's are stand-ins that do what process_pool.h says of them. A socket hands over what was written before, and so does
 * the end of a process.
 * Sources
 * Smaller src/exec/wire.h s/ED_WIRE_IN_FLIGHT = 64/ED_WIRE_IN_FLIGHT = 4/ */
#include "exec/wire.h"
#include "explorer.h"

enum { CALLS = 3 };

/* What one side does is in plain memory that only it writes, handed over by the atomics below it. */
struct world {
    struct ed_wire_page page;
    unsigned slots[CALLS + 1];     /* of each call, by its number: 1, 2 */
    bool began[CALLS + 1];         /* the process has moved its slot on */
    _Atomic uint32_t sent, frames; /* the socket: how many calls, and how many frames of the process  */
    _Atomic uint32_t result;       /* which of these is the answer to the call `streamed` itself      */
    _Atomic uint32_t lock, killed, dead;
};
static struct world *world;
static unsigned calls, ran[CALLS + 1], taken[CALLS + 1], lost[CALLS + 1], ended[CALLS + 1];
static uint32_t heard;    /* frames */
static unsigned streamed; /* the call whose answer fits no box; 0: none */
static bool has_result;
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
        const unsigned slot = world->slots[number];
        world->began[number] = ed_wire_slot_claim(&world->page.slots[slot], number, ED_WIRE_BEGUN);
        die_if_killed();
        ran[number] += world->began[number];
        die_if_killed();
        if (number == streamed) {
            const uint32_t frames = ED_LOAD_RELAXED(&world->frames);
            ED_STORE_RELAXED(&world->result, frames + 1);
            ED_ADD(&world->frames, 1);
            continue;
        }
        world->page.boxes[slot].head.number = number;
        world->page.boxes[slot].head.status = world->began[number];
        const bool tells = ed_wire_answer(&world->page, slot, number);
        die_if_killed();
        if (tells) ED_ADD(&world->frames, 1);
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

static bool is_told_or_dead(void *arg) {
    (void)arg;
    return ED_LOAD_RELAXED(&world->frames) > heard || ED_LOAD_RELAXED(&world->dead);
}
/* What was answered before the death counts, and is read first. False: there will be none. */
static bool await_answer(unsigned number) {
    bool dead = false;
    while (number == streamed ? !has_result : !ed_wire_slot_done(&world->page.slots[world->slots[number]], number)) {
        if (dead) return false;
        model_wait(is_told_or_dead, NULL);
        if (system_tells(&world->frames) == heard) {
            dead = system_tells(&world->dead);
        } else if (++heard == ED_LOAD_RELAXED(&world->result)) {
            MODEL_CHECK(number == streamed); /* what comes before it is in boxes by now */
            has_result = true;
        } else {
            ed_wire_listen(&world->page);
        }
    }
    return true;
}
static bool read_answer(uint32_t *read) {
    const unsigned number = *read + 1;
    if (!await_answer(number)) return false;
    *read = number;
    lock();
    ended[number]++;
    const struct ed_wire_head *head = &world->page.boxes[world->slots[number]].head;
    MODEL_CHECK(number == streamed || (head->number == number && head->status == (taken[number] == 0)));
    unlock();
    return true;
}
static void home(void) {
    uint32_t read = 0;
    for (unsigned number = 1; number <= calls; number++) {
        send_call(number);
        if (one_slot && number == 1 && !read_answer(&read)) break;
    }
    while (read < ED_LOAD_RELAXED(&world->sent) && read_answer(&read)) continue;
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
    model_name(&world->page.told, "told");
    model_name(&world->frames, "frames");
    heard = streamed = 0;
    has_result = false;
    calls = count;
    one_slot = same;
    for (int i = 0; i <= CALLS; i++) ran[i] = taken[i] = lost[i] = ended[i] = 0;
}
static void setup_two(void) { setup_of(2, false); }
static void setup_same(void) { setup_of(2, true); }
static void setup_streamed(void) {
    setup_of(3, false);
    streamed = 2;
}

static void check_ran(bool moved) {
    const unsigned sent = ED_LOAD_RELAXED(&world->sent);
    for (unsigned number = 1; number <= sent; number++) {
        MODEL_CHECK(ended[number] == 1);
        MODEL_CHECK(ran[number] + lost[number] >= 1 || taken[number]); /* none is forgotten */
        MODEL_CHECK(ran[number] <= 1);                                 /* none runs twice */
        MODEL_CHECK(moved || taken[number] + ran[number] <= 1);        /* not once it was taken back */
    }
    MODEL_CHECK(lost[1] + lost[2] + lost[3] <= 1);
}
static void check(void) { check_ran(false); }
static void check_moved(void) { check_ran(true); }

static void check_all(void) {
    check();
    for (unsigned number = 1; number <= calls; number++) MODEL_CHECK(ran[number] == 1 && ended[number] == 1);
}

static const struct model_scenario scenarios[] = {
    {.name = "answers", .setup = setup_two, .threads = {home, process}, .check = check_all},
    {.name = "answers_again", .setup = setup_same, .threads = {home, process}, .check = check_all},
    {.name = "streamed", .setup = setup_streamed, .threads = {home, process}, .check = check_all},
    {.name = "taken_back", .setup = setup_two, .threads = {home, process, takes_both}, .check = check},
    {.name = "moved", .setup = setup_two, .threads = {home, process, moves_second}, .check = check_moved},
    {.name = "death", .setup = setup_two, .threads = {home, process, kills}, .check = check},
    {.name = "slot_again", .setup = setup_same, .threads = {home, process, kills}, .check = check},
    {.name = "slot_again_taken", .setup = setup_same, .threads = {home, process, takes_second}, .check = check},
};
MODEL_MAIN(scenarios)
