/* inbox_model.c: messages of each producer arrive in order, none is lost, none comes twice; a closed inbox refuses.
 * Everything is in the header. */
#include "explorer.h"
#include "lockfree/inbox.h"

enum { PRODUCERS = 2, EACH = 2 };

struct letter {
    struct ed_message message;
    int producer, number;
};

static struct ed_inbox *inbox;
static struct letter *letters;
static int accepted[PRODUCERS], arrived[PRODUCERS];
static bool closed;

static void setup(void) {
    inbox = model_alloc(sizeof *inbox);
    letters = model_alloc(sizeof *letters * PRODUCERS * EACH);
    model_name(&inbox->head, "head");
    model_name(letters, "letters");
    ed_inbox_init(inbox);
    for (int i = 0; i < PRODUCERS; i++) accepted[i] = arrived[i] = 0;
    closed = false;
}

static void produce(int producer) {
    bool refused = false;
    for (int i = 0; i < EACH; i++) {
        struct letter *letter = &letters[producer * EACH + i];
        letter->producer = producer;
        letter->number = i;
        int status = ed_inbox_push(inbox, &letter->message);
        MODEL_CHECK(status == 0 || status == EDDY_ECLOSED);
        MODEL_CHECK(!(refused && status == 0)); /* closed for good */
        refused = status != 0;
        if (!refused) accepted[producer]++;
    }
}
static void producer_0(void) { produce(0); }
static void producer_1(void) { produce(1); }

static void receive(struct ed_message *message) {
    while (message != NULL) {
        struct letter *letter = ED_CONTAINER(message, struct letter, message);
        message = message->next;
        MODEL_CHECK(letter->number == arrived[letter->producer]); /* in order, hence once */
        arrived[letter->producer]++;
        letter->message.next = NULL; /* the node is the receiver's now */
    }
}
static void owner_takes(void) {
    receive(ed_inbox_take(inbox));
    receive(ed_inbox_take(inbox));
}
static void owner_closes(void) {
    receive(ed_inbox_take(inbox));
    receive(ed_inbox_close(inbox));
    closed = true;
    MODEL_CHECK(!ed_inbox_empty(inbox));
}

static void check(void) {
    if (!closed) receive(ed_inbox_take(inbox));
    MODEL_CHECK(closed || ed_inbox_empty(inbox));
    for (int i = 0; i < PRODUCERS; i++) MODEL_CHECK(arrived[i] == accepted[i]);
}

static const struct model_scenario scenarios[] = {
    {.name = "one_producer", .setup = setup, .threads = {owner_takes, producer_0}, .check = check},
    {.name = "two_producers", .setup = setup, .threads = {owner_takes, producer_0, producer_1}, .check = check},
    {.name = "close", .setup = setup, .threads = {owner_closes, producer_0, producer_1}, .check = check},
};
MODEL_MAIN(scenarios)
