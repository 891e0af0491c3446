/* verify.c: reads all users, matches them with the accounts that were promised, then hashes all passwords once more,
 * as an eddy program of its own: a thread pool with a thread per core, a task per thread, one index for all.
 *
 * Faults     a user without a 201; a 201 without its user, or twice; another address or hash than was answered;
 *            a 409 for a name that is not there; a hash that is not the password's. */
#include "demo/verify.h"
#include "demo/plan.h"

#include "common/hex.h"
#include "common/password.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
    char username[NAME_BYTES], email[EMAIL_BYTES];
    char salt[2 * PASSWORD_SALT_BYTES + 1], hash[2 * PASSWORD_HASH_BYTES + 1];
    bool is_right; /* the hash is the password's */
};

struct rows {
    struct row *items;
    size_t count, capacity;
};

/* ---- reading ------------------------------------------------------------------------------------ */

static void copy_column(char *text, size_t bytes, sqlite3_stmt *statement, int column) {
    const unsigned char *value = sqlite3_column_text(statement, column);
    snprintf(text, bytes, "%s", value != NULL ? (const char *)value : "");
}

static int add_row(struct rows *rows, sqlite3_stmt *statement) {
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity == 0 ? 256 : 2 * rows->capacity;
        struct row *items = realloc(rows->items, rows->capacity * sizeof *items);
        if (items == NULL) return SQLITE_NOMEM;
        rows->items = items;
    }
    struct row *row = &rows->items[rows->count++];
    memset(row, 0, sizeof *row);
    copy_column(row->username, sizeof row->username, statement, 0);
    copy_column(row->email, sizeof row->email, statement, 1);
    copy_column(row->salt, sizeof row->salt, statement, 2);
    copy_column(row->hash, sizeof row->hash, statement, 3);
    return SQLITE_OK;
}

static int read_rows(struct rows *rows, const char *path) {
    static const char sql[] = "SELECT username, email, salt, hash FROM users WHERE iterations = ?1 ORDER BY username";
    sqlite3 *sqlite;
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_open_v2(path, &sqlite, SQLITE_OPEN_READWRITE, NULL);
    if (code == SQLITE_OK) code = sqlite3_prepare_v2(sqlite, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_bind_int(statement, 1, PASSWORD_ITERATIONS);
    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) code = add_row(rows, statement);
    if (code != SQLITE_DONE) fprintf(stderr, "signup-demo: cannot read %s: %s\n", path, sqlite3_errmsg(sqlite));
    sqlite3_finalize(statement);
    sqlite3_close(sqlite);
    return code == SQLITE_DONE ? 0 : -EIO;
}

/* ---- comparing ---------------------------------------------------------------------------------- */

static const struct row *find_row(const struct rows *rows, const char *username) {
    size_t low = 0, high = rows->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(rows->items[middle].username, username);
        if (order == 0) return &rows->items[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static void compare(struct outcome *outcome, const struct rows *rows) {
    struct tally *tally = &outcome->tally;
    accounts_sort(&tally->created);
    for (size_t i = 0; i < rows->count; i++)
        if (accounts_find(&tally->created, rows->items[i].username) == NULL)
            tally_fault(tally, "%s is in the database, and nobody was told", rows->items[i].username);
    for (size_t i = 0; i < tally->created.count; i++) {
        const struct account *account = &tally->created.items[i];
        const struct row *row = find_row(rows, account->username);
        char email[EMAIL_BYTES];
        plan_email(email, sizeof email, account->username);
        if (i > 0 && strcmp(account->username, account[-1].username) == 0)
            tally_fault(tally, "%s was registered twice", account->username);
        if (row == NULL)
            tally_fault(tally, "%s was registered, and is not in the database", account->username);
        else if (strcmp(row->email, email) != 0 || strncmp(row->hash, account->hash_start, HASH_START_BYTES - 1) != 0)
            tally_fault(tally, "%s is not stored as was answered", account->username);
    }
    for (size_t i = 0; i < tally->taken.count; i++)
        if (find_row(rows, tally->taken.items[i].username) == NULL)
            tally_fault(tally, "%s was said to be taken, and is not there", tally->taken.items[i].username);
}

/* ---- hashing ------------------------------------------------------------------------------------ */

struct recount {
    struct rows *rows;
    eddy_thread_pool *pool;
    _Atomic size_t next;
};

static int hash_in_thread(void *arg, eddy_value *out) {
    (void)out;
    struct row *row = arg;
    struct password_hash expected, found;
    char password[PASSWORD_BYTES];
    plan_password(password, sizeof password, row->username);
    if (!hex_decode(expected.salt, sizeof expected.salt, row->salt)) return 0;
    if (!hex_decode(expected.hash, sizeof expected.hash, row->hash)) return 0;
    memcpy(found.salt, expected.salt, sizeof found.salt);
    if (!password_derive(&found, password, strlen(password))) return EDDY_ENOMEM;
    row->is_right = memcmp(found.hash, expected.hash, sizeof found.hash) == 0;
    return 0;
}

static int recount_some(void *arg, eddy_value *out) {
    (void)out;
    struct recount *recount = arg;
    int status = 0;
    for (size_t i; status == 0 && (i = atomic_fetch_add(&recount->next, 1)) < recount->rows->count;)
        status = eddy_thread_pool_run(recount->pool, hash_in_thread, &recount->rows->items[i], NULL);
    return status;
}

static int recount_main(void *arg, eddy_value *out) {
    (void)out;
    struct recount *recount = arg;
    eddy_stats stats;
    int status = eddy_stats_read(&stats); /* one worker per core */
    if (status == 0)
        status = eddy_thread_pool_create(&recount->pool, EDDY_THREAD_POOL(.threads = stats.workers, .name = "recount"));
    if (status < 0) return status;
    eddy_group group;
    status = eddy_group_enter(&group);
    for (unsigned i = 0; i < stats.workers && status == 0; i++)
        status = eddy_group_spawn(&group, NULL, recount_some, recount, EDDY_TASK(.name = "recount"));
    status = eddy_group_exit(&group, status);
    const int closed = eddy_thread_pool_close(recount->pool);
    return status < 0 ? status : closed;
}

int verify(struct outcome *outcome, const char *database) {
    struct rows rows = {NULL, 0, 0};
    int status = read_rows(&rows, database);
    if (status == 0) {
        compare(outcome, &rows);
        struct recount recount = {.rows = &rows};
        status = eddy_run(recount_main, &recount, NULL, EDDY_RUN(.name = "verify", .handle_sigint = true));
    }
    outcome->users = rows.count;
    for (size_t i = 0; i < rows.count; i++) {
        if (rows.items[i].is_right)
            outcome->right_hashes++;
        else if (status == 0)
            tally_fault(&outcome->tally, "the hash of %s is not its password's", rows.items[i].username);
    }
    free(rows.items);
    return status;
}
