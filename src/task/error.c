/* error.c: details of failures: counted, immutable once shared, a tree for groups.
 *
 * A task owns the detail of its last failure (task->error); a plain pool thread lends a slot (exec/). Whoever has no
 * memory keeps the status alone. Threads: references any; building, one owner. */
#include "task/task.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local eddy_error **thread_slot; /* plain threads only: never read in a function that switches */

eddy_error *ed_error_create(int status, const char *task, const char *text) {
    size_t bytes = strlen(text) + 1;
    eddy_error *error = ed_calloc(sizeof *error + bytes);
    if (error == NULL) return NULL;
    ED_STORE_RELAXED(&error->references, 1);
    error->status = status;
    snprintf(error->task, sizeof error->task, "%s", task);
    memcpy(error->text, text, bytes);
    return error;
}

bool ed_error_add_child(eddy_error *error, eddy_error *child) {
    if (error->children_count == error->children_capacity) {
        unsigned capacity = error->children_capacity * 2 + 4;
        eddy_error **children = ed_realloc(error->children, capacity * sizeof children[0]);
        if (children == NULL) {
            eddy_error_release(child);
            return false;
        }
        error->children = children;
        error->children_capacity = capacity;
    }
    error->children[error->children_count++] = child;
    return true;
}

eddy_error *eddy_error_share(const eddy_error *error) {
    if (error != NULL) ED_ADD_RELAXED((_Atomic unsigned *)&error->references, 1);
    return (eddy_error *)error;
}

void eddy_error_release(eddy_error *error) {
    if (error == NULL || ED_SUB(&error->references, 1) != 1) return;
    for (unsigned i = 0; i < error->children_count; i++) eddy_error_release(error->children[i]);
    ed_free(error->children);
    ed_free(error);
}

void ed_error_set_current(eddy_error *error) {
    eddy_task *task = ed_task_current();
    if (task == NULL) {
        eddy_error_release(error);
        return;
    }
    ed_task_set_special(task);
    eddy_error_release(task->error);
    task->error = error;
}

__attribute__((noinline)) void ed_error_thread_slot(eddy_error **slot) { thread_slot = slot; }

__attribute__((noinline)) static eddy_error **slot_of_thread(void) { return thread_slot; }

int eddy_fail(int code, const char *format, ...) {
    eddy_task *task = ed_task_current();
    eddy_error **slot = task != NULL ? &task->error : slot_of_thread();
    if (slot == NULL) return code;
    char text[512], name[ED_TASK_NAME_BYTES] = "";
    va_list list;
    va_start(list, format);
    text[0] = '\0';
    if (format != NULL) vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (task != NULL) {
        eddy_task_name(task, name, sizeof name);
        ed_task_set_special(task);
    }
    eddy_error_release(*slot);
    *slot = ed_error_create(code, name, text);
    return code;
}

void eddy_handled(void) { ed_error_set_current(NULL); }

const eddy_error *eddy_error_current(int status) {
    eddy_task *task = ed_task_current();
    return task != NULL && task->error != NULL && task->error->status == status ? task->error : NULL;
}

int eddy_error_status(const eddy_error *error) { return error != NULL ? error->status : 0; }
const char *eddy_error_text(const eddy_error *error) { return error != NULL ? error->text : ""; }
const char *eddy_error_task(const eddy_error *error) { return error != NULL ? error->task : ""; }
size_t eddy_error_children(const eddy_error *error) { return error != NULL ? error->children_count : 0; }
const eddy_error *eddy_error_child(const eddy_error *error, size_t index) {
    return error != NULL && index < error->children_count ? error->children[index] : NULL;
}

/* Appends to a buffer that may be full; `used` goes on counting. */
static void append(char *buffer, size_t bytes, size_t *used, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void append(char *buffer, size_t bytes, size_t *used, const char *format, ...) {
    va_list list;
    va_start(list, format);
    int added = vsnprintf(*used < bytes ? buffer + *used : NULL, *used < bytes ? bytes - *used : 0, format, list);
    va_end(list);
    if (added > 0) *used += (size_t)added;
}

static void print(const eddy_error *error, const char *known, int depth, char *buffer, size_t bytes, size_t *used) {
    append(buffer, bytes, used, "%*s%s: %s", depth * 2, "", eddy_status_name(error->status),
           error->text[0] != '\0' ? error->text : eddy_status_text(error->status));
    if (error->task[0] != '\0' && strcmp(error->task, known) != 0)
        append(buffer, bytes, used, " (task \"%s\")", error->task);
    for (unsigned i = 0; i < error->children_count; i++) {
        append(buffer, bytes, used, "\n");
        print(error->children[i], known, depth + 1, buffer, bytes, used);
    }
}

size_t ed_error_print(const eddy_error *error, const char *known, char *buffer, size_t bytes) {
    size_t used = 0;
    if (bytes > 0) buffer[0] = '\0';
    if (error != NULL) print(error, known, 0, buffer, bytes, &used);
    return used;
}

size_t eddy_error_print(const eddy_error *error, char *buffer, size_t bytes) {
    return ed_error_print(error, "", buffer, bytes);
}
