/* database.c: SQLite, and nothing else knows of it.
 *
 * Problem    A connection and its prepared statements serve one thread at a time; opening one for each request
 *            costs more than the request.
 * Idea       As many connections as the pool has threads, opened at the start, where a failure still can be
 *            told and descriptors are left. A call takes one and gives it back, so it never waits for one.
 * Durability Write-ahead log with synchronous=FULL: when an insert has returned, the user survives a power cut.
 * Races      Two inserts of one name: the UNIQUE column decides, and the second one fails with -EEXIST.
 * Threads    Any pool thread. The lock is held for a few loads and stores. */
#include "service/database.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUSY_MS = 10000 }; /* inserts queue for one lock and a disk; other programs may hold it too */

static const char schema[] = "PRAGMA journal_mode = WAL;"
                             "PRAGMA synchronous = FULL;"
                             "CREATE TABLE IF NOT EXISTS users ("
                             " username TEXT NOT NULL UNIQUE,"
                             " email TEXT NOT NULL,"
                             " salt TEXT NOT NULL,"
                             " hash TEXT NOT NULL,"
                             " iterations INTEGER NOT NULL,"
                             " created INTEGER NOT NULL DEFAULT (unixepoch()));";
static const char find_sql[] = "SELECT username, email, salt, hash FROM users WHERE username = ?1";
static const char insert_sql[] = "INSERT INTO users (username, email, salt, hash, iterations)"
                                 " VALUES (?1, ?2, ?3, ?4, ?5)";

struct connection {
    sqlite3 *sqlite;
    sqlite3_stmt *find, *insert;
};

struct database {
    pthread_mutex_t lock;
    unsigned count, idle_count; /* count: constant                        */
    struct connection **idle;   /* under the lock: the first idle_count   */
    struct connection connections[];
};

/* ---- opening ---------------------------------------------------------------------------------- */

static int connect_to(struct connection *connection, const char *path) {
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(path, &connection->sqlite, flags, NULL);
    if (code != SQLITE_OK) return code;
    sqlite3_extended_result_codes(connection->sqlite, 1);
    sqlite3_busy_timeout(connection->sqlite, BUSY_MS);
    code = sqlite3_exec(connection->sqlite, schema, NULL, NULL, NULL);
    if (code != SQLITE_OK) return code;
    code = sqlite3_prepare_v2(connection->sqlite, find_sql, -1, &connection->find, NULL);
    if (code != SQLITE_OK) return code;
    return sqlite3_prepare_v2(connection->sqlite, insert_sql, -1, &connection->insert, NULL);
}

static void disconnect(struct connection *connection) {
    sqlite3_finalize(connection->find);
    sqlite3_finalize(connection->insert);
    sqlite3_close(connection->sqlite);
}

bool database_open(struct database **database_out, const char *path, unsigned connections) {
    struct database *database = calloc(1, sizeof *database + connections * sizeof(struct connection));
    struct connection **idle = calloc(connections, sizeof *idle);
    if (database == NULL || idle == NULL) {
        fprintf(stderr, "signup-service: no memory for the database\n");
        free(database);
        free(idle);
        return false;
    }
    pthread_mutex_init(&database->lock, NULL);
    database->idle = idle;
    for (database->count = 0; database->count < connections; database->count++) {
        struct connection *connection = &database->connections[database->count];
        if (connect_to(connection, path) != SQLITE_OK) {
            fprintf(stderr, "signup-service: cannot open database %s: %s\n", path, sqlite3_errmsg(connection->sqlite));
            disconnect(connection);
            database_close(database);
            return false;
        }
        database->idle[database->idle_count++] = connection;
    }
    *database_out = database;
    return true;
}

void database_close(struct database *database) {
    if (database == NULL) return;
    for (unsigned i = 0; i < database->count; i++) disconnect(&database->connections[i]);
    pthread_mutex_destroy(&database->lock);
    free(database->idle);
    free(database);
}

/* ---- calls ------------------------------------------------------------------------------------ */

static struct connection *take(struct database *database) {
    pthread_mutex_lock(&database->lock);
    struct connection *connection = database->idle_count > 0 ? database->idle[--database->idle_count] : NULL;
    pthread_mutex_unlock(&database->lock);
    return connection;
}

static void give_back(struct database *database, struct connection *connection) {
    pthread_mutex_lock(&database->lock);
    database->idle[database->idle_count++] = connection;
    pthread_mutex_unlock(&database->lock);
}

static int fail(sqlite3 *sqlite, int code) {
    if (code == SQLITE_CONSTRAINT_UNIQUE) return -EEXIST;
    if ((code & 0xff) == SQLITE_BUSY) return EDDY_EBUSY; /* the low byte of an extended code is its kind */
    return eddy_fail(-EIO, "database: %s", sqlite3_errmsg(sqlite));
}

static void copy_column(char *text, size_t bytes, sqlite3_stmt *statement, int column) {
    const unsigned char *value = sqlite3_column_text(statement, column);
    snprintf(text, bytes, "%s", value != NULL ? (const char *)value : "");
}

static void read_user(sqlite3_stmt *statement, struct user *user) {
    copy_column(user->username, sizeof user->username, statement, 0);
    copy_column(user->email, sizeof user->email, statement, 1);
    copy_column(user->salt, sizeof user->salt, statement, 2);
    copy_column(user->hash, sizeof user->hash, statement, 3);
}

int database_find(struct database *database, const char *username, struct user *user_out) {
    struct connection *connection = take(database);
    if (connection == NULL) return EDDY_EBUSY;
    sqlite3_bind_text(connection->find, 1, username, -1, SQLITE_STATIC);
    const int code = sqlite3_step(connection->find);
    int status = 0;
    if (code == SQLITE_DONE)
        status = -ENOENT;
    else if (code != SQLITE_ROW)
        status = fail(connection->sqlite, code);
    else if (user_out != NULL)
        read_user(connection->find, user_out);
    sqlite3_reset(connection->find);
    sqlite3_clear_bindings(connection->find);
    give_back(database, connection);
    return status;
}

int database_insert(struct database *database, const struct user *user) {
    struct connection *connection = take(database);
    if (connection == NULL) return EDDY_EBUSY;
    sqlite3_stmt *insert = connection->insert;
    sqlite3_bind_text(insert, 1, user->username, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 2, user->email, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 3, user->salt, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 4, user->hash, -1, SQLITE_STATIC);
    sqlite3_bind_int(insert, 5, PASSWORD_ITERATIONS);
    const int code = sqlite3_step(insert);
    const int status = code == SQLITE_DONE ? 0 : fail(connection->sqlite, code);
    sqlite3_reset(insert);
    sqlite3_clear_bindings(insert);
    give_back(database, connection);
    return status;
}
