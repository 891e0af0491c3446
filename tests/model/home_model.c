/* home_model.c: what moves from worker to worker while others send to it: each message arrives where it is at that moment, in
 * its sender's order, and who finds it at home may touch it.
 * Everything is in the headers. */
#include "explorer.h"
#include "lockfree/inbox.h"
#include "net/home.h"

enum { WORKERS = 2, EACH = 2 };

struct letter {
    struct ed_message message;
    int number;
};

struct ed_worker {
    struct ed_inbox inbox;
};

static struct thing {
    struct ed_home home;
    int value; /* plain: the home's */
} * thing;
static struct ed_worker *workers;
static struct letter *letters;
static int arrived;

static void setup(void) {
    workers = model_alloc(sizeof *workers * WORKERS);
    letters = model_alloc(sizeof *letters * EACH);
    thing = model_alloc(sizeof *thing);
    for (int i = 0; i < WORKERS; i++) ed_inbox_init(&workers[i].inbox);
    ed_home_init(&thing->home, &workers[0]);
    model_name(&thing->home.worker, "worker");
    model_name(&thing->home.under_way, "under_way");
    model_name(&thing->value, "value");
    model_name(&workers[0].inbox.head, "inbox_0");
    model_name(&workers[1].inbox.head, "inbox_1");
    arrived = 0;
}

/* A worker looks into its inbox. */
static void receive(struct ed_worker *worker) {
    for (struct ed_message *message = ed_inbox_take(&worker->inbox); message != NULL;) {
        struct letter *letter = ED_CONTAINER(message, struct letter, message);
        message = message->next;
        MODEL_CHECK(ed_home_is(&thing->home, worker)); /* it is here */
        MODEL_CHECK(letter->number == arrived);
        arrived++;
        ed_home_arrived(&thing->home);
        thing->value++;
    }
}

static void move(struct ed_worker *from, struct ed_worker *to) {
    if (!ed_home_is(&thing->home, from) || !ed_home_move_begin(&thing->home)) return;
    thing->value++;
    ed_home_move_end(&thing->home, to);
}

static void old_home(void) {
    receive(&workers[0]);
    move(&workers[0], &workers[1]);
    receive(&workers[0]);
    move(&workers[0], &workers[1]);
}

static void new_home(void) {
    receive(&workers[1]);
    if (ed_home_is(&thing->home, &workers[1])) thing->value++;
    move(&workers[1], &workers[0]);
    receive(&workers[1]);
}

static void sender(void) {
    for (int i = 0; i < EACH; i++) {
        letters[i].number = i;
        struct ed_worker *to = ed_home_send(&thing->home);
        MODEL_CHECK(ed_inbox_push(&to->inbox, &letters[i].message) == 0);
    }
}

/* What has not been received yet lies where the thing is. */
static void check(void) {
    for (int i = 0; i < WORKERS; i++) receive(&workers[i]);
    MODEL_CHECK(arrived == EACH);
    MODEL_CHECK(ed_home_move_begin(&thing->home));
}

/* Who calls by name: the call comes to a home that it has left, and is sent after it. */
static void caller(void) {
    struct ed_worker *to = ed_home_find(&thing->home);
    MODEL_CHECK(to == &workers[0] || to == &workers[1]);
}
static void check_nothing_sent(void) { MODEL_CHECK(ed_home_move_begin(&thing->home)); }

static const struct model_scenario scenarios[] = {
    {.name = "send_while_it_moves", .setup = setup, .threads = {old_home, sender}, .check = check},
    {.name = "send_while_it_moves_there_and_back",
     .setup = setup,
     .threads = {old_home, sender, new_home},
     .check = check},
    {.name = "call", .setup = setup, .threads = {old_home, caller, new_home}, .check = check_nothing_sent},
};
MODEL_MAIN(scenarios)
