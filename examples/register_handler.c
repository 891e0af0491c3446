/* register_handler.c: a registration handler that blocks and computes, without holding up a loop.
 *
 * The database blocks: it is asked through a pool of 4 threads. The hash computes: it is made in a pool of
 * 2 processes, which a timeout stops for real. The handler itself reads top to bottom. In asyncio:
 *
 *     async def register(user):
 *         if await loop.run_in_executor(threads, look_up, user): return 409
 *         async with asyncio.timeout(5):
 *             user.hash = await loop.run_in_executor(processes, hash_password, user.password)
 *         return 201 if await loop.run_in_executor(threads, insert, user) else 409
 *
 * Ada registers twice at once: both may find her name free, and the insert decides. (The database is an
 * array and the hash a toy; examples/signup is the real thing.) */
#include <eddy/eddy.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { REQUESTS = 5 };

static struct user {
    const char *name, *password;
    uint64_t hash;
    int code; /* the answer, as HTTP has it */
} requests[REQUESTS] = {{.name = "ada", .password = "engine"},
                        {.name = "grace", .password = "cobol"},
                        {.name = "ada", .password = "again"},
                        {.name = "alan", .password = "enigma"},
                        {.name = "edsger", .password = "goto"}};

static struct user database[REQUESTS]; /* guarded by the lock: the pool's threads call it */
static int database_users;
static pthread_mutex_t database_lock = PTHREAD_MUTEX_INITIALIZER;

static int look_up(void *arg, eddy_value *out) { /* gives 1 if the name is taken */
    const struct user *user = arg;
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* the disk */
    pthread_mutex_lock(&database_lock);
    for (int i = 0; i < database_users; i++)
        if (strcmp(database[i].name, user->name) == 0) out->i64 = 1;
    pthread_mutex_unlock(&database_lock);
    return 0;
}

static int insert(void *arg, eddy_value *out) { /* gives 1 if the name was free */
    const struct user *user = arg;
    out->i64 = 1;
    pthread_mutex_lock(&database_lock);
    for (int i = 0; i < database_users; i++)
        if (strcmp(database[i].name, user->name) == 0) out->i64 = 0;
    if (out->i64) database[database_users++] = *user;
    pthread_mutex_unlock(&database_lock);
    return 0;
}

static int hash_password(eddy_bytes in, eddy_bytes *out) { /* in another process: bytes in, bytes out */
    uint64_t hash = 14695981039346656037u;                 /* FNV-1a, over and over */
    for (int round = 0; round < 1000000; round++)
        for (size_t i = 0; i < in.size; i++) hash = (hash ^ ((unsigned char *)in.data)[i]) * 1099511628211u;
    return eddy_bytes_copy(out, &hash, sizeof hash);
}
EDDY_REMOTE(hash_password);

static eddy_thread_pool *threads;
static eddy_process_pool *processes;

static int register_user(void *arg, eddy_value *out) {
    struct user *user = arg;
    const eddy_bytes password = eddy_bytes_view(user->password, strlen(user->password));
    eddy_bytes hash;
    eddy_value taken, inserted;
    (void)out;

    int status = eddy_thread_pool_run(threads, look_up, user, &taken);
    if (status < 0) return status;
    user->code = 409;
    if (taken.i64) return 0;

    status = EDDY_TIMEOUT(EDDY_SECONDS(5), eddy_process_pool_run(processes, hash_password, password, &hash));
    if (status == EDDY_ETIMEDOUT) user->code = 504; /* and nothing computes any more */
    if (status < 0) return status == EDDY_ETIMEDOUT ? 0 : status;
    memcpy(&user->hash, hash.data, sizeof user->hash);
    eddy_bytes_free(&hash);

    status = eddy_thread_pool_run(threads, insert, user, &inserted);
    user->code = inserted.i64 ? 201 : 409;
    return status;
}

static int serve(void) { /* all requests at once */
    int created = 0, taken = 0;
    eddy_group group;
    int status = eddy_group_enter(&group);
    for (int i = 0; i < REQUESTS && status == 0; i++)
        status = eddy_group_spawn(&group, NULL, register_user, &requests[i], EDDY_TASK(.name = requests[i].name));
    status = eddy_group_exit(&group, status);
    if (status < 0) return status;

    for (int i = 0; i < REQUESTS; i++) {
        printf("%s: %d\n", requests[i].name, requests[i].code);
        created += requests[i].code == 201;
        taken += requests[i].code == 409;
    }
    printf("%d created, %d taken, %d users in the database\n", created, taken, database_users);
    const bool right = created == REQUESTS - 1 && taken == 1 && database_users == created;
    return right ? 0 : eddy_fail(EDDY_ESTATE, "each name must be there once");
}

static int app(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    int status = eddy_thread_pool_create(&threads, EDDY_THREAD_POOL(.threads = 4, .name = "database"));
    if (status == 0) status = eddy_process_pool_create(&processes, EDDY_PROCESS_POOL(.processes = 2, .name = "hash"));
    if (status == 0) status = serve();
    eddy_process_pool_close(processes); /* NULL is nothing */
    eddy_thread_pool_close(threads);
    return status;
}

int main(void) { return eddy_run(app, NULL, NULL, NULL) < 0; }
