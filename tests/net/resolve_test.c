/* Look-ups: numbers at once, names in threads, failures by name, and a cancel that the thread outlives.
 * Method: this program's getaddrinfo stands before the system's and knows a few names of its own. */
#include "net_testing.h"

#include "eddy/loop.h"
#include "eddy/thread.h"

#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

/* "slow.test" takes until the test lets it go, "many.test" has three addresses, "wrong.test" does not exist,
 * "broken.test" meets a system error; other names go to the system. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int slow_begun, slow_most, slow_now, slow_allowed;

typedef int (*getaddrinfo_fn)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static int system_look_up(const char *host, const char *service, const struct addrinfo *hints,
                          struct addrinfo **found) {
    getaddrinfo_fn next = (getaddrinfo_fn)dlsym(RTLD_NEXT, "getaddrinfo");
    return next(host, service, hints, found);
}

static void be_slow(void) {
    pthread_mutex_lock(&lock);
    slow_begun++;
    if (++slow_now > slow_most) slow_most = slow_now;
    while (slow_allowed == 0) pthread_cond_wait(&changed, &lock);
    slow_allowed--;
    slow_now--;
    pthread_mutex_unlock(&lock);
}

static void allow_slow(int count) {
    pthread_mutex_lock(&lock);
    slow_allowed += count;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static int slow_figure(const int *figure) {
    pthread_mutex_lock(&lock);
    int value = *figure;
    pthread_mutex_unlock(&lock);
    return value;
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    if (host == NULL || strstr(host, ".test") == NULL) return system_look_up(host, service, hints, found);
    if (strcmp(host, "slow.test") == 0) {
        be_slow();
        return system_look_up("127.0.0.7", service, hints, found);
    }
    if (strcmp(host, "broken.test") == 0) {
        errno = EIO;
        return EAI_SYSTEM;
    }
    if (strcmp(host, "many.test") != 0) return EAI_NONAME;
    struct addrinfo *last = NULL;
    for (int i = 3; i > 0; i--) {
        char address[16];
        snprintf(address, sizeof address, "127.0.0.%d", i);
        struct addrinfo *one;
        int failure = system_look_up(address, service, hints, &one);
        if (failure != 0) return failure;
        one->ai_next = last;
        last = one;
    }
    *found = last;
    return 0;
}

typedef int (*getnameinfo_fn)(const struct sockaddr *, socklen_t, char *, socklen_t, char *, socklen_t, int);

static bool is_local(const struct sockaddr *address, int number) {
    const struct sockaddr_in *in = (const void *)address;
    return address->sa_family == AF_INET && ntohl(in->sin_addr.s_addr) == 0x7f000000u + (unsigned)number;
}

/* 127.0.0.2 is two.test, 127.0.0.7 is slow.test and slow, 127.0.0.8 meets a system error. */
int getnameinfo(const struct sockaddr *address, socklen_t bytes, char *host, socklen_t host_bytes, char *service,
                socklen_t service_bytes, int flags) {
    getnameinfo_fn next = (getnameinfo_fn)dlsym(RTLD_NEXT, "getnameinfo");
    const char *name = is_local(address, 2) ? "two.test" : is_local(address, 7) ? "slow.test" : NULL;
    if (is_local(address, 8)) {
        errno = EIO;
        return EAI_SYSTEM;
    }
    if (is_local(address, 9)) return EAI_NONAME;
    if (name == NULL || flags & NI_NUMERICHOST)
        return next(address, bytes, host, host_bytes, service, service_bytes, flags);
    if (is_local(address, 7)) be_slow();
    int failure = next(address, bytes, host, host_bytes, service, service_bytes, flags | NI_NUMERICHOST);
    if (failure == 0) snprintf(host, host_bytes, "%s", name);
    return failure;
}

static void expect_address(const eddy_addresses *addresses, size_t index, const char *wanted) {
    char text[64];
    EXPECT_EQ(strlen(wanted), eddy_address_text(eddy_addresses_get(addresses, index), text, sizeof text));
    EXPECT_STR(wanted, text);
}

TEST(resolve, numbers_need_no_resolver) {
    eddy_addresses *addresses;
    EXPECT_OK(eddy_resolve("127.0.0.1", "80", 0, &addresses));
    EXPECT_EQ(1, eddy_addresses_count(addresses));
    expect_address(addresses, 0, "127.0.0.1:80");
    eddy_addresses_release(addresses);
    EXPECT_OK(eddy_resolve("::1", "65535", AF_INET6, &addresses));
    expect_address(addresses, 0, "[::1]:65535");
    eddy_addresses_release(addresses);
    EXPECT_OK(eddy_resolve(NULL, NULL, AF_INET, &addresses));
    expect_address(addresses, 0, "0.0.0.0:0");
    eddy_addresses_release(addresses);
    eddy_addresses_release(NULL);
}

TEST(resolve, names_give_all_their_addresses_in_order) {
    need_localhost();
    eddy_addresses *addresses;
    EXPECT_OK(eddy_resolve("many.test", "8080", 0, &addresses));
    EXPECT_EQ(3, eddy_addresses_count(addresses));
    expect_address(addresses, 0, "127.0.0.1:8080");
    expect_address(addresses, 2, "127.0.0.3:8080");
    eddy_addresses_release(addresses);
    EXPECT_OK(eddy_resolve("localhost", NULL, AF_INET, &addresses));
    expect_address(addresses, 0, "127.0.0.1:0");
    eddy_addresses_release(addresses);
}

static eddy_address numeric(const char *host, const char *port) {
    eddy_addresses *addresses;
    EXPECT_OK(eddy_resolve(host, port, 0, &addresses));
    eddy_address address = *eddy_addresses_get(addresses, 0);
    eddy_addresses_release(addresses);
    return address;
}

TEST(resolve, addresses_have_names, TEST_REAL) {
    const eddy_address two = numeric("127.0.0.2", "7"), six = numeric("::1", "65000");
    char host[1025] = "", service[32] = "";
    EXPECT_OK(eddy_address_name(&two, NI_NUMERICSERV, host, sizeof host, service, sizeof service));
    EXPECT_STR("two.test", host);
    EXPECT_STR("7", service);
    EXPECT_OK(eddy_address_name(&two, NI_NUMERICHOST | NI_NUMERICSERV, host, sizeof host, NULL, 0));
    EXPECT_STR("127.0.0.2", host);
    EXPECT_OK(eddy_address_name(&six, NI_NUMERICHOST | NI_NUMERICSERV, host, sizeof host, service, sizeof service));
    EXPECT_STR("::1", host);
    EXPECT_STR("65000", service);
    EXPECT_OK(eddy_address_name(&two, NI_NUMERICSERV, host, sizeof "two.test", service, 2));
    int status = eddy_address_name(&two, NI_NUMERICSERV, host, sizeof "two.test" - 1, NULL, 0);
    EXPECT_STR("EAI_OVERFLOW", eddy_status_name(status));
    EXPECT_HAS(eddy_error_text(eddy_error_current(status)), "127.0.0.2:7");
    const eddy_address broken = numeric("127.0.0.8", "7"), nameless = numeric("127.0.0.9", "7");
    EXPECT_EQ(-EIO, eddy_address_name(&broken, 0, host, sizeof host, NULL, 0));
    EXPECT_HAS(eddy_error_text(eddy_error_current(-EIO)), "127.0.0.8:7");
    EXPECT_STR("EAI_NONAME", eddy_status_name(eddy_address_name(&nameless, NI_NAMEREQD, host, sizeof host, NULL, 0)));
    EXPECT_EQ(EDDY_EINVAL, eddy_address_name(&two, 0, NULL, 0, NULL, 0));
    eddy_handled();
}

CORE_TEST(resolve, addresses_are_named_in_a_simulation_too) {
    if (!test_simulated()) return;
    const eddy_address own = numeric("127.0.0.1", "80"), other = numeric("10.0.0.1", "81");
    char host[64], service[8];
    EXPECT_OK(eddy_address_name(&own, 0, host, sizeof host, service, sizeof service));
    EXPECT_STR("localhost", host);
    EXPECT_STR("80", service);
    EXPECT_OK(eddy_address_name(&other, 0, host, sizeof host, NULL, 0));
    EXPECT_STR("10.0.0.1", host);
    EXPECT_STR("EAI_NONAME", eddy_status_name(eddy_address_name(&other, NI_NAMEREQD, host, sizeof host, NULL, 0)));
    eddy_handled();
}

static int name_slowly(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    const eddy_address slow = numeric("127.0.0.7", "7");
    char host[64] = "";
    int status = eddy_address_name(&slow, NI_NUMERICSERV, host, sizeof host, NULL, 0);
    if (status == 0) EXPECT_STR("slow.test", host);
    return status;
}

/* The thread outlives what it was asked for, and touches nothing of it. */
TEST(resolve, a_name_that_takes_long_is_cancelled_or_has_a_deadline, TEST_REAL) {
    eddy_task *task = spawn_parked(name_slowly, NULL);
    EXPECT(eddy_cancel(EDDY_FUTURE(task)));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    eddy_value none;
    EXPECT_EQ(EDDY_ETIMEDOUT, EDDY_TIMEOUT(EDDY_MS(1), name_slowly(NULL, &none)));
    eddy_handled();
    task = spawn_parked(name_slowly, NULL);
    allow_slow(3);
    EXPECT_OK(end_of(task));
    while (slow_figure(&slow_now) > 0) EXPECT_OK(eddy_yield());
}

TEST(resolve, failures_have_a_name_and_a_text) {
    eddy_addresses *addresses;
    int status = eddy_resolve("wrong.test", "80", 0, &addresses);
    EXPECT_STR("EAI_NONAME", eddy_status_name(status));
    EXPECT_HAS(eddy_error_text(eddy_error_current(status)), "wrong.test");
    EXPECT_EQ(-EIO, eddy_resolve("broken.test", "80", 0, &addresses));
    EXPECT_HAS(eddy_error_text(eddy_error_current(-EIO)), "broken.test");
    eddy_stream *stream;
    EXPECT_EQ(status, eddy_connect(&stream, "wrong.test", 80, NULL));
    eddy_server *server;
    EXPECT_EQ(status, eddy_server_open(&server, "wrong.test", 80, echo, NULL, NULL));
    eddy_handled();
}

static int look_up_slowly(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    char name[16] = "slow.test"; /* gone when this returns */
    eddy_addresses *addresses = NULL;
    int status = eddy_resolve(name, "80", AF_INET, &addresses);
    memset(name, 'x', sizeof name - 1);
    if (status == 0) {
        expect_address(addresses, 0, "127.0.0.7:80");
        eddy_addresses_release(addresses);
    }
    return status;
}

TEST(resolve, slow_names_hold_up_no_loop_and_only_few_threads) {
    enum { MANY = 10 };
    eddy_task *tasks[MANY];
    for (int i = 0; i < MANY; i++) tasks[i] = spawn(look_up_slowly, NULL);
    while (slow_figure(&slow_begun) < 4) EXPECT_OK(eddy_sleep(EDDY_US(100))); /* this loop turns */
    for (int i = 0; i < MANY; i++) EXPECT(!eddy_future_done(EDDY_FUTURE(tasks[i])));
    allow_slow(MANY);
    for (int i = 0; i < MANY; i++) EXPECT_OK(end_of(tasks[i]));
    EXPECT_EQ(4, slow_figure(&slow_most));
}

TEST(resolve, cancelled_look_up_is_abandoned) {
    eddy_task *tasks[6];
    for (int i = 0; i < 6; i++) tasks[i] = spawn(look_up_slowly, NULL);
    while (slow_figure(&slow_begun) < 4) EXPECT_OK(eddy_sleep(EDDY_US(100)));
    test_until_all_parked();
    for (int i = 0; i < 6; i++) EXPECT(eddy_cancel(EDDY_FUTURE(tasks[i])));
    for (int i = 0; i < 6; i++) EXPECT_EQ(EDDY_ECANCELED, end_of(tasks[i]));
    EXPECT_EQ(4, slow_figure(&slow_now)); /* the threads are still at it */
    allow_slow(4);
    while (slow_figure(&slow_now) > 0) EXPECT_OK(eddy_sleep(EDDY_US(100)));
    eddy_addresses *addresses;
    EXPECT_OK(eddy_resolve("many.test", NULL, 0, &addresses)); /* and then free for others */
    eddy_addresses_release(addresses);
    EXPECT_EQ(4, slow_figure(&slow_begun)); /* the two that had not begun never did */
}

/* A thread that has just been told of one name is none for the next. */
TEST(resolve, slow_name_holds_up_no_other) {
    enum { MANY = 4 };
    eddy_task *tasks[MANY];
    eddy_addresses *addresses;
    EXPECT_OK(eddy_resolve("many.test", "80", 0, &addresses)); /* its thread stays, and waits for more */
    eddy_addresses_release(addresses);
    for (int i = 0; i < MANY; i++) tasks[i] = spawn(look_up_slowly, NULL);
    while (slow_figure(&slow_begun) < MANY) EXPECT_OK(eddy_sleep(EDDY_US(100)));
    allow_slow(MANY);
    for (int i = 0; i < MANY; i++) EXPECT_OK(end_of(tasks[i]));
}

/* ---- beside users' work ---------------------------------------------------------------------------------- */

static _Atomic bool work_may_end;
static _Atomic int work_begun;

static int work_long(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    work_begun++;
    while (!work_may_end) usleep(200);
    return 0;
}

static int have_work_done(void *arg, eddy_value *out) { return eddy_to_thread(work_long, arg, out); }

/* All threads for users' work are taken, and more of it waits: names are found all the same. */
TEST(resolve, never_waits_behind_users_work, TEST_REAL) {
    enum { JOBS = 40 }; /* the pool has 32 threads at most */
    eddy_task *tasks[JOBS];
    eddy_addresses *addresses;
    char host[64];
    for (int i = 0; i < JOBS; i++) tasks[i] = spawn(have_work_done, NULL);
    test_until_all_parked();
    EXPECT_OK(eddy_resolve("many.test", "80", 0, &addresses));
    EXPECT_EQ(3, eddy_addresses_count(addresses));
    eddy_addresses_release(addresses);
    const eddy_address two = numeric("127.0.0.2", "7");
    EXPECT_OK(eddy_address_name(&two, NI_NUMERICSERV, host, sizeof host, NULL, 0));
    EXPECT(work_begun < JOBS); /* the rest waited meanwhile */
    work_may_end = true;
    for (int i = 0; i < JOBS; i++) EXPECT_OK(end_of(tasks[i]));
}
