/* json.c: jansson, and nothing else knows of it.
 *
 * Problem    jansson reads nested arrays by recursion, up to 2048 deep: more stack than a task has.
 * Idea       A registration is flat. Depth is counted before the parser sees the text, and little is allowed. */
#include "service/json.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

enum { DEPTH_MAX = 8, HASH_DIGITS_SHOWN = 16 };

void json_prepare(void) {
    json_object_seed(0); /* from the system's random source; not safe to leave to the first threads */
}

/* ---- in ----------------------------------------------------------------------------------------- */

static bool is_deep(const char *text, size_t bytes) {
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < bytes; i++) {
        if (in_string) {
            if (text[i] == '\\')
                i++;
            else if (text[i] == '"')
                in_string = false;
        } else if (text[i] == '"') {
            in_string = true;
        } else if (text[i] == '{' || text[i] == '[') {
            if (++depth > DEPTH_MAX) return true;
        } else if (text[i] == '}' || text[i] == ']') {
            depth--;
        }
    }
    return false;
}

/* Copies a member that must be a string of 1 to `bytes_max` bytes. */
static bool read_string(const json_t *object, const char *name, char *out, size_t bytes_max) {
    const json_t *value = json_object_get(object, name);
    const char *text = json_string_value(value);
    const size_t bytes = text != NULL ? json_string_length(value) : 0;
    if (bytes == 0 || bytes > bytes_max) return false;
    memcpy(out, text, bytes + 1);
    return true;
}

/* Letters, digits and "._-": what needs no escape in a path. */
static bool is_username(const char *name) {
    for (; *name != 0; name++)
        if (!isalnum((unsigned char)*name) && strchr("._-", *name) == NULL) return false;
    return true;
}

/* Something, one @, something, and no blanks. Whether it works only a mail can tell. */
static bool is_email(const char *email) {
    const char *at = strchr(email, '@');
    if (at == NULL || at == email || at[1] == 0 || strchr(at + 1, '@') != NULL) return false;
    for (; *email != 0; email++)
        if ((unsigned char)*email <= ' ' || *email == 0x7f) return false;
    return true;
}

static const char *read_members(const json_t *object, struct registration *out) {
    if (!json_is_object(object)) return "the body is not a JSON object";
    if (!read_string(object, "username", out->username, USERNAME_BYTES_MAX) || !is_username(out->username))
        return "username must be 1 to 64 letters, digits, '.', '_' or '-'";
    if (!read_string(object, "password", out->password, PASSWORD_BYTES_MAX))
        return "password must be a string of 1 to 256 bytes";
    if (!read_string(object, "email", out->email, EMAIL_BYTES_MAX) || !is_email(out->email))
        return "email must be an address of at most 254 bytes";
    return NULL;
}

const char *json_read_registration(const char *text, size_t bytes, struct registration *out) {
    if (bytes == 0) return "the body is empty";
    if (is_deep(text, bytes)) return "the JSON is nested too deep";
    json_error_t error;
    json_t *object = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL) return "the body is not JSON";
    const char *fault = read_members(object, out);
    json_decref(object);
    return fault;
}

/* ---- out ---------------------------------------------------------------------------------------- */

/* Takes `object`. */
static char *print(json_t *object) {
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(object);
    return text;
}

char *json_error(const char *text) { return print(json_pack("{s:s}", "error", text)); }

char *json_status(const char *text) { return print(json_pack("{s:s}", "status", text)); }

char *json_user(const struct user *user) {
    char shown[HASH_DIGITS_SHOWN + sizeof "..."];
    memcpy(shown, user->hash, HASH_DIGITS_SHOWN);
    memcpy(shown + HASH_DIGITS_SHOWN, "...", sizeof "...");
    return print(json_pack("{s:s, s:s, s:s, s:s}", "username", user->username, "email", user->email, "password_hash",
                           shown, "status", "registered"));
}

/* Where memory runs out `object` is NULL or lacks a member: print() then gives NULL, or less is told. */
static void add_count(json_t *object, const char *name, uint64_t count) {
    json_object_set_new(object, name, json_integer((json_int_t)count));
}

static void add_ms(json_t *object, const char *name, int64_t ns) {
    json_object_set_new(object, name, json_real((double)ns / 1e6));
}

static json_t *pack_worker(const eddy_worker_stats *worker) {
    json_t *object = json_object();
    add_count(object, "tasks", worker->tasks_started);
    add_count(object, "direct", worker->tasks_direct);
    add_count(object, "stolen", worker->tasks_stolen);
    add_count(object, "steals", worker->steals);
    add_count(object, "switches", worker->switches);
    add_count(object, "polls", worker->polls);
    add_count(object, "parks", worker->parks);
    add_ms(object, "loop_held_ms_max", worker->held_ns_max);
    return object;
}

static json_t *pack_threads(const eddy_thread_pool_stats *pool) {
    json_t *object = json_object();
    add_count(object, "queued", pool->queued);
    add_count(object, "running", pool->running);
    add_count(object, "threads", pool->threads);
    add_count(object, "done", pool->done);
    return object;
}

static json_t *pack_processes(const struct stats *stats) {
    const eddy_process_pool_stats *pool = &stats->processes;
    json_t *object = json_object(), *pids = json_array();
    add_count(object, "queued", pool->queued);
    add_count(object, "running", pool->running);
    add_count(object, "processes", pool->processes);
    add_count(object, "done", pool->done);
    add_count(object, "kills", pool->kills);
    add_count(object, "deaths", pool->deaths);
    add_count(object, "respawns", pool->respawns);
    for (size_t i = 0; i < stats->pids_count; i++) json_array_append_new(pids, json_integer(stats->pids[i]));
    json_object_set_new(object, "pids", pids);
    return object;
}

char *json_stats(const struct stats *stats) {
    json_t *object = json_object(), *workers = json_array();
    add_count(object, "workers", stats->workers_count);
    add_count(object, "tasks", stats->all.tasks_alive);
    add_count(object, "stacks", stats->all.stacks_alive);
    add_count(object, "steals", stats->steals);
    add_ms(object, "loop_held_ms_max", stats->all.held_ns_max);
    add_count(object, "connections", stats->connections);
    add_count(object, "connections_refused", stats->connections_refused);
    add_count(object, "answers", stats->answers);
    json_object_set_new(object, "thread_pool", pack_threads(&stats->threads));
    json_object_set_new(object, "process_pool", pack_processes(stats));
    for (unsigned i = 0; i < stats->workers_count; i++) json_array_append_new(workers, pack_worker(&stats->workers[i]));
    json_object_set_new(object, "per_worker", workers);
    return print(object);
}
