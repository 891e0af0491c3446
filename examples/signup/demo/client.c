/* client.c: asks what the plan says, compares each answer with what the rules allow, notes what it promised. Opens a
 * new connection where the service closed the old one, which it may do only after an answer that says so. */
#include "demo/client.h"
#include "demo/exchange.h"

#include <jansson.h>
#include <string.h>

static const int64_t patience_ns = EDDY_SECONDS(60); /* for one answer: the service gives up after 5 s and an insert */
static const int64_t retry_ns = EDDY_MS(200);        /* after a 503 */

struct visit {
    struct client *client;
    eddy_stream *stream; /* NULL: not connected */
    struct reply reply;
    char body[2048];
};

static void leave(struct visit *visit) {
    if (visit->stream == NULL) return;
    eddy_stream_close(visit->stream);
    eddy_stream_release(visit->stream);
    visit->stream = NULL;
}

/* ---- answers ------------------------------------------------------------------------------------ */

static bool is_allowed(const struct step *step, int status) {
    for (size_t i = 0; step->allowed[i] != 0; i++)
        if (step->allowed[i] == status) return true;
    return false;
}

static bool is_string(const json_t *object, const char *name, const char *expected) {
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL && strcmp(text, expected) == 0;
}

/* Copies the first digits of the hash. False if the body is not that of this user. */
static bool read_user(const char *body, const char *username, char *hash_start) {
    char email[EMAIL_BYTES];
    plan_email(email, sizeof email, username);
    json_t *object = json_loads(body, 0, NULL);
    const char *hash = json_string_value(json_object_get(object, "password_hash"));
    const bool ok = is_string(object, "username", username) && is_string(object, "email", email) &&
                    is_string(object, "status", "registered") && hash != NULL &&
                    strlen(hash) == HASH_START_BYTES - 1 + strlen("...") &&
                    strcmp(hash + HASH_START_BYTES - 1, "...") == 0;
    if (ok) {
        memcpy(hash_start, hash, HASH_START_BYTES - 1);
        hash_start[HASH_START_BYTES - 1] = 0;
    }
    json_decref(object);
    return ok;
}

static const struct account *find_own(const struct accounts *accounts, const char *username) {
    for (size_t i = accounts->count; i-- > 0;)
        if (strcmp(accounts->items[i].username, username) == 0) return &accounts->items[i];
    return NULL;
}

static void note(struct visit *visit, const struct step *step) {
    struct tally *tally = &visit->client->tally;
    const struct reply *reply = &visit->reply;
    if (!is_allowed(step, reply->status) || reply->closes != step->breaks)
        tally_fault(tally, "%s: %d%s, %s", step->title, reply->status, reply->closes ? " and close" : "", reply->body);

    char hash_start[HASH_START_BYTES];
    const bool is_user = reply->status == 201 || (reply->status == 200 && step->kind == STEP_LOOK_UP);
    if (is_user && !read_user(reply->body, step->username, hash_start)) {
        tally_fault(tally, "%s %s: %s", step->title, step->username, reply->body);
    } else if (reply->status == 201) {
        tally_add_account(&tally->created, step->username, hash_start);
        atomic_fetch_add(&visit->client->load->created, 1);
    } else if (is_user) {
        if (strcmp(find_own(&tally->created, step->username)->hash_start, hash_start) != 0)
            tally_fault(tally, "the hash of %s has changed", step->username);
    } else if (step->kind == STEP_RACE && reply->status == 409) {
        tally_add_account(&tally->taken, step->username, "");
    }
}

/* ---- requests ----------------------------------------------------------------------------------- */

static int ask(struct visit *visit, const struct step *step) {
    struct client *client = visit->client;
    int status = 0;
    if (visit->stream == NULL) status = eddy_connect(&visit->stream, "127.0.0.1", client->load->port, NULL);
    if (status < 0) return status;
    const int64_t start_ns = eddy_time_ns();
    status = EDDY_TIMEOUT(patience_ns, exchange(visit->stream, step->request, step->request_bytes, &visit->reply));
    if (status < 0) return status;
    tally_add_answer(&client->tally, visit->reply.status, eddy_time_ns() - start_ns);
    atomic_fetch_add(&client->load->answered, 1);
    note(visit, step);
    if (visit->reply.closes) leave(visit);
    return visit->reply.status == 503 ? eddy_sleep(retry_ns) : 0;
}

int client_main(void *arg, eddy_value *out) {
    (void)out;
    struct client *client = arg;
    struct visit visit = {.client = client, .reply = {.body = visit.body, .body_max = sizeof visit.body}};
    int status = 0;
    for (uint64_t i = 0; i < client->requests && eddy_time_ns() < client->load->deadline_ns; i++) {
        struct step step;
        plan_next(&client->plan, &client->tally.created, &step);
        status = ask(&visit, &step);
        if (status == EDDY_ECANCELED) break;
        if (status == 0) continue;
        tally_fault(&client->tally, "%s: no answer: %s", step.title, eddy_status_text(status));
        eddy_handled();
        leave(&visit);
        break; /* this connection's word is broken: what it asks from here on would prove nothing */
    }
    leave(&visit);
    return status == EDDY_ECANCELED ? status : 0;
}
