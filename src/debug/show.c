/* show.c: pictures as text: a line for each task, a tree of who waits for whom, stacks.
 *
 * Tree      Each task stands below those that wait for it, as in asyncio's pstree, so one that two wait for stands there
 *           twice, the second time without what is below it. Tasks that nobody waits for are the roots; those of a round
 *           without an entry hang from the one made first. A round is told on a line of its own.
 * Stacks    From the last call of the program's own outwards: what eddy does to suspend is left out, but for the public
 *           function that the program called. Optimised, many of these are left by a jump and do not stand there: then a
 *           static function of eddy's or two may be told, but nothing of the program's is left out.
 * Threads   Any: a picture does not change.
 * Tests     tests/debug/picture_test.c. */
#include "debug/picture.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 64, LINE_BYTES = 256 };

struct text {
    char *buffer;
    size_t bytes, used;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *text, const char *format, ...) {
    const size_t room = text->used < text->bytes ? text->bytes - text->used : 0;
    va_list list;
    va_start(list, format);
    int added = vsnprintf(room > 0 ? text->buffer + text->used : NULL, room, format, list);
    va_end(list);
    if (added > 0) text->used += (size_t)added;
}

/* ---- stacks -------------------------------------------------------------------------------------- */

enum call { PROGRAMS, INTERNAL, PUBLIC, CALLS_BACK };

static enum call kind_of(const void *place) {
    static const char *const back[] = {"eddy_coro_await+", "eddy_context_run+", "eddy_once_run+"};
    char name[LINE_BYTES];
    ed_symbol_print(place, name, sizeof name);
    for (size_t i = 0; i < sizeof back / sizeof back[0]; i++)
        if (strncmp(name, back[i], strlen(back[i])) == 0) return CALLS_BACK;
    if (strncmp(name, "eddy_", 5) == 0) return PUBLIC;
    return strncmp(name, "ed_", 3) == 0 ? INTERNAL : PROGRAMS; /* or a static function of eddy's */
}

size_t ed_stack_text(void *const *places, size_t count, const char *indent, char *buffer, size_t bytes) {
    size_t first = 0;
    enum call kind = PROGRAMS;
    for (size_t i = 0; i < count && kind != PUBLIC && kind != CALLS_BACK; i++) {
        kind = kind_of(places[i]);
        if (kind == INTERNAL) first = i + 1;
        if (kind == PUBLIC) first = i;
    }
    while (kind == PUBLIC && first + 1 < count && kind_of(places[first + 1]) == PUBLIC)
        first++; /* one through another */
    if (first == count) first = 0;
    return ed_symbols_print(places + first, count - first, indent, buffer, bytes);
}

static void add_stack(struct text *text, const eddy_task_picture *task) {
    char lines[ED_STACK_FRAMES * LINE_BYTES / 2];
    ed_stack_text(task->stack, task->stack_count, "    ", lines, sizeof lines);
    if (task->stack_count > 0) add(text, "%s\n", lines);
}

/* ---- a task on a line ------------------------------------------------------------------------------ */

static const char *const states[] = {"new", "running", "ready", "waiting", "unseen"};

static void add_wait(struct text *text, const eddy_picture *picture, const eddy_task_picture *task) {
    if (task->waits_on == NULL) return;
    add(text, " on %s", task->waits_on);
    if (task->since_ns > 0) add(text, " for %.3f s", (double)(picture->taken_ns - task->since_ns) / 1e9);
}

static void add_task(struct text *text, const eddy_picture *picture, const eddy_task_picture *task) {
    add(text, "%s (id %" PRIu64 ") %s", task->name, task->id, states[task->state]);
    add_wait(text, picture, task);
}

static void add_row(struct text *text, const eddy_picture *picture, const eddy_task_picture *task) {
    char worker[16] = "-", wait[LINE_BYTES] = "-";
    if (task->worker >= 0) snprintf(worker, sizeof worker, "%d", task->worker);
    struct text waits = {wait, sizeof wait, 0};
    if (task->waits_on != NULL) {
        add(&waits, "%s", task->waits_on);
        for (size_t i = 0; i < task->awaits_count && i < 4; i++)
            add(&waits, "%s%" PRIu64, i > 0 ? "," : " ", task->awaits[i]);
        if (task->awaits_count > 4) add(&waits, ",...");
        if (task->since_ns > 0) add(&waits, " for %.3f s", (double)(picture->taken_ns - task->since_ns) / 1e9);
    }
    add(text, "%6" PRIu64 " %6s %-8s %-20s %-24s %s\n", task->id, worker, states[task->state], task->name, wait,
        task->place != NULL ? task->place : "-");
}

/* ---- the tree -------------------------------------------------------------------------------------- */

static size_t index_of(const eddy_picture *picture, uint64_t id) {
    size_t low = 0, high = picture->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (picture->all[middle]->told.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < picture->count && picture->all[low]->told.id == id ? low : picture->count;
}

struct tree {
    struct text *text;
    const eddy_picture *picture;
    bool *shown, *awaited;
    bool more[DEPTH_MAX]; /* at this depth others follow */
};

static void add_branch(struct tree *tree, size_t index, unsigned depth) {
    const eddy_task_picture *task = &tree->picture->all[index]->told;
    for (unsigned i = 1; i < depth; i++) add(tree->text, "%s", tree->more[i] ? "│   " : "    ");
    if (depth > 0) add(tree->text, "%s", tree->more[depth] ? "├── " : "└── ");
    add_task(tree->text, tree->picture, task);
    const bool again = tree->shown[index] && task->awaits_count > 0;
    add(tree->text, "%s\n", again ? " (see above)" : "");
    if (tree->shown[index] || depth + 1 == DEPTH_MAX) return;
    tree->shown[index] = true;
    for (size_t i = 0; i < task->awaits_count; i++) {
        const size_t below = index_of(tree->picture, task->awaits[i]);
        tree->more[depth + 1] = i + 1 < task->awaits_count;
        if (below < tree->picture->count) add_branch(tree, below, depth + 1);
    }
}

static void add_cycle(struct text *text, const eddy_picture *picture) {
    uint64_t ids[16];
    const size_t length = eddy_picture_cycle(picture, ids, 16);
    if (length == 0) return;
    add(text, "cycle of %zu: none of them can go on: ", length);
    for (size_t i = 0; i < length && i < 16; i++) {
        const size_t at = index_of(picture, ids[i]);
        add(text, "%s (id %" PRIu64 ") waits for ", picture->all[at]->told.name, ids[i]);
    }
    add(text, "%s%s (id %" PRIu64 ")\n", length > 16 ? "... " : "", picture->all[index_of(picture, ids[0])]->told.name,
        ids[0]);
}

static void add_tree(struct text *text, const eddy_picture *picture) {
    bool *flags = ed_calloc(2 * picture->count + 1);
    if (flags == NULL) {
        add(text, "no memory for the tree\n");
        return;
    }
    struct tree tree = {text, picture, flags, flags + picture->count, {false}};
    for (size_t i = 0; i < picture->count; i++) {
        const eddy_task_picture *task = &picture->all[i]->told;
        for (size_t j = 0; j < task->awaits_count; j++) {
            const size_t at = index_of(picture, task->awaits[j]);
            if (at < picture->count) tree.awaited[at] = true;
        }
    }
    for (int rounds = 0; rounds < 2; rounds++)
        for (size_t i = 0; i < picture->count; i++)
            if (!tree.shown[i] && (rounds > 0 || !tree.awaited[i])) add_branch(&tree, i, 0);
    add_cycle(text, picture);
    ed_free(flags);
}

/* ---- all ------------------------------------------------------------------------------------------- */

static void add_table(struct text *text, const eddy_picture *picture) {
    add(text, "%6s %6s %-8s %-20s %-24s %s\n", "ID", "WORKER", "STATE", "NAME", "WAITS ON", "SPAWNED AT");
    for (size_t i = 0; i < picture->count; i++) add_row(text, picture, &picture->all[i]->told);
}

static void add_stacks(struct text *text, const eddy_picture *picture) {
    for (size_t i = 0; i < picture->count; i++) {
        const eddy_task_picture *task = &picture->all[i]->told;
        add_task(text, picture, task);
        add(text, "%s%s\n", task->place != NULL ? ", spawned at " : "", task->place != NULL ? task->place : "");
        add_stack(text, task);
    }
}

size_t eddy_picture_print(const eddy_picture *picture, enum eddy_picture_form form, char *buffer, size_t bytes) {
    struct text text = {buffer, bytes, 0};
    if (bytes > 0) buffer[0] = '\0';
    switch (form) {
    case EDDY_PICTURE_TABLE: add_table(&text, picture); break;
    case EDDY_PICTURE_TREE: add_tree(&text, picture); break;
    case EDDY_PICTURE_STACKS: add_stacks(&text, picture); break;
    }
    if (picture->missing > 0)
        add(&text, "%u of %u workers did not answer: something holds them\n", picture->missing,
            picture->sched->workers_count);
    if (picture->lost > 0) add(&text, "%zu details are missing: no memory\n", picture->lost);
    return text.used;
}
