/* report_model.c: what a worker process says while it runs: what is read is what one write wrote, numbers only grow, and the last
 * message is read, by the frame that tells of it or when the function has ended.
 * Sources
 * Smaller src/exec/report.h s/ED_REPORT_BYTES_MAX = 1024/ED_REPORT_BYTES_MAX = 16/ */
#include "exec/report.h"
#include "explorer.h"

enum { MESSAGES = 2 };

static struct ed_report *report;
static _Atomic uint32_t *ended; /* the answer's frame: what it orders */
static unsigned sent, received; /* frames */
static uint64_t last;

static void setup(void) {
    report = model_alloc(sizeof *report);
    ended = model_alloc(sizeof *ended);
    model_name(&report->told, "told");
    model_name(&report->sequence, "sequence");
    model_name(&report->words[0], "first");
    model_name(&report->words[1], "second");
    sent = received = 0;
    last = 0;
    ed_report_init(report);
}

static void says(void) {
    for (uint64_t i = 1; i <= MESSAGES; i++) {
        const uint64_t message[2] = {i, i};
        if (ed_report_put(report, message, sizeof message)) sent++;
    }
    ED_STORE_RELEASE(ended, 1);
}

static void take(void) {
    char data[ED_REPORT_BYTES_MAX];
    uint32_t bytes = 0;
    uint64_t number = last, message[2];
    if (!ed_report_take(report, data, &bytes, &number)) {
        MODEL_CHECK(number == last);
        return;
    }
    MODEL_CHECK(number > last && number <= MESSAGES && bytes == sizeof message);
    memcpy(message, data, sizeof message);
    MODEL_CHECK(message[0] == number && message[1] == number);
    last = number;
}

static bool has_frame(void *arg) {
    (void)arg;
    return sent > received;
}
static void listens(void) {
    while (last < MESSAGES) {
        model_wait(has_frame, NULL); /* for ever: what was said last got no frame, and was not read */
        received++;
        take();
    }
}

/* Who looks whenever it likes, and once more when the function has ended. */
static bool has_ended(void *arg) {
    (void)arg;
    return ED_LOAD_RELAXED(ended) != 0;
}
static void looks(void) {
    take();
    model_wait(has_ended, NULL);
    while (ED_LOAD_ACQUIRE(ended) == 0) continue;
    take();
}

static void check(void) { MODEL_CHECK(last == MESSAGES); }

static const struct model_scenario scenarios[] = {
    {.name = "frames", .setup = setup, .threads = {says, listens}, .check = check},
    {.name = "end", .setup = setup, .threads = {says, looks}, .check = check},
};
MODEL_MAIN(scenarios)
