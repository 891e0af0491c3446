/* plan.c: a mixture of requests, the same for the same seed.
 *
 *   40 % new users    5 % names that two connections want at once    10 % names that are taken
 *   25 % look-ups     5 % look-ups of nobody                         15 % what must be refused
 *
 * Each connection begins with a contested name, when all of them do the same thing in the same moment. */
#include "demo/plan.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t next_random(struct plan *plan) { /* splitmix64 */
    uint64_t x = plan->random += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

void plan_init(struct plan *plan, int64_t seed, unsigned connection) {
    *plan = (struct plan){.seed = seed, .connection = connection};
    plan->random = (uint64_t)seed * 1000003 + connection;
}

void plan_password(char *text, size_t bytes, const char *username) {
    snprintf(text, bytes, "p\xc3\xa4ss \"w\xc3\xb6rd\" of %s", username); /* needs escapes in JSON */
}

void plan_email(char *text, size_t bytes, const char *username) { snprintf(text, bytes, "%s@example.com", username); }

/* ---- requests ----------------------------------------------------------------------------------- */

static void set_request(struct step *step, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void set_request(struct step *step, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    step->request_bytes = (size_t)vsnprintf(step->request, sizeof step->request, format, arguments);
    va_end(arguments);
}

static void set_get(struct step *step, const char *path) {
    set_request(step, "GET %s HTTP/1.1\r\nHost: demo\r\n\r\n", path);
}

static void set_post(struct step *step, const char *body) {
    set_request(step, "POST /register HTTP/1.1\r\nHost: demo\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
}

static void set_registration(struct step *step, const char *username) {
    char password[PASSWORD_BYTES], email[EMAIL_BYTES];
    plan_password(password, sizeof password, username);
    plan_email(email, sizeof email, username);
    json_t *object = json_pack("{s:s, s:s, s:s}", "username", username, "password", password, "email", email);
    char *body = json_dumps(object, JSON_ENSURE_ASCII);
    set_post(step, body != NULL ? body : "");
    free(body);
    json_decref(object);
}

/* ---- steps -------------------------------------------------------------------------------------- */

/* 503: the queue is full. 504: it took too long. 500: its process was killed (drive.c counts those). */
static void plan_new(struct plan *plan, struct step *step) {
    *step = (struct step){.kind = STEP_REGISTER, .title = "register", .allowed = {201, 503, 504, 500}};
    snprintf(step->username, sizeof step->username, "user-%lld-%u-%u", (long long)plan->seed, plan->connection,
             plan->fresh++);
    set_registration(step, step->username);
}

/* Connections 2n and 2n + 1 ask for the same names, in the same order. */
static void plan_race(struct plan *plan, struct step *step) {
    *step = (struct step){.kind = STEP_RACE, .title = "race", .allowed = {201, 409, 503, 504, 500}};
    snprintf(step->username, sizeof step->username, "race-%lld-%u-%u", (long long)plan->seed, plan->connection / 2,
             plan->raced++);
    set_registration(step, step->username);
}

static const char *pick(struct plan *plan, const struct accounts *created) {
    return created->items[next_random(plan) % created->count].username;
}

static void plan_taken(struct plan *plan, const struct accounts *created, struct step *step) {
    *step = (struct step){.kind = STEP_PLAIN, .title = "register a taken name", .allowed = {409}};
    set_registration(step, pick(plan, created));
}

static void plan_look_up(struct plan *plan, const struct accounts *created, struct step *step) {
    *step = (struct step){.kind = STEP_LOOK_UP, .title = "look up", .allowed = {200}};
    char path[NAME_BYTES + 16];
    snprintf(step->username, sizeof step->username, "%s", pick(plan, created));
    snprintf(path, sizeof path, "/users/%s", step->username);
    set_get(step, path);
}

static void plan_nobody(struct step *step) {
    *step = (struct step){.kind = STEP_PLAIN, .title = "look up nobody", .allowed = {404}};
    set_get(step, "/users/nobody");
}

static void plan_bad(struct plan *plan, struct step *step) {
    static const struct bad {
        const char *title;
        int status;
        bool breaks;
        const char *body;    /* of a POST /register   */
        const char *request; /* or all of the request */
    } bads[] = {
        {"no JSON", 400, false, "{\"username\": ", NULL},
        {"no password", 400, false, "{\"username\": \"x\", \"email\": \"x@example.com\"}", NULL},
        {"no address", 400, false, "{\"username\": \"x\", \"password\": \"y\", \"email\": \"x\"}", NULL},
        {"a name with a blank", 400, false, "{\"username\": \"x y\", \"password\": \"y\", \"email\": \"x@y\"}", NULL},
        {"deep JSON", 400, false, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", NULL},
        {"no such path", 404, false, NULL, "GET /nowhere HTTP/1.1\r\nHost: demo\r\n\r\n"},
        {"no such method", 405, false, NULL, "DELETE /register HTTP/1.1\r\nHost: demo\r\n\r\n"},
        {"too long", 413, true, NULL, "POST /register HTTP/1.1\r\nHost: demo\r\nContent-Length: 99999\r\n\r\n"},
        {"bare LF", 400, true, NULL, "GET /healthz HTTP/1.1\nHost: demo\r\n\r\n"},
        {"two lengths", 400, true, NULL,
         "POST /register HTTP/1.1\r\nHost: demo\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}"},
        {"folded header", 400, true, NULL, "GET /healthz HTTP/1.1\r\nHost: demo\r\nA: b\r\n c\r\n\r\n"},
        {"other version", 505, true, NULL, "GET /healthz HTTP/2.0\r\nHost: demo\r\n\r\n"},
    };
    const struct bad *bad = &bads[next_random(plan) % (sizeof bads / sizeof bads[0])];
    *step = (struct step){.title = bad->title, .allowed = {bad->status}, .breaks = bad->breaks};
    if (bad->body != NULL)
        set_post(step, bad->body);
    else
        set_request(step, "%s", bad->request);
}

void plan_next(struct plan *plan, const struct accounts *created, struct step *step) {
    const unsigned roll = (unsigned)(next_random(plan) % 100);
    if (plan->raced == 0)
        plan_race(plan, step);
    else if (roll < 40 || (created->count == 0 && roll < 80))
        plan_new(plan, step);
    else if (roll < 50)
        plan_taken(plan, created, step);
    else if (roll < 75)
        plan_look_up(plan, created, step);
    else if (roll < 80)
        plan_race(plan, step);
    else if (roll < 85)
        plan_nobody(step);
    else
        plan_bad(plan, step);
}
