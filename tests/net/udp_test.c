/* Datagrams: each whole or not at all, to whom it was meant for; what goes wrong has a status. */
#include "eddy/udp.h"
#include "net_testing.h"
#include "runtime/simulate.h"
#include "task/task.h"

#include "eddy/loop.h"

#include <dlfcn.h>
#include <netinet/in.h>
#include <stdio.h>

#define REAL_TEST(name) TEST(udp, name, TEST_REAL)

static eddy_udp *open_here(void) {
    eddy_udp *udp;
    EXPECT_OK(eddy_udp_open(&udp, "127.0.0.1", 0, NULL));
    EXPECT(eddy_udp_port(udp) != 0);
    return udp;
}

static eddy_udp *speak_to(const eddy_udp *other) {
    eddy_udp *udp;
    EXPECT_OK(eddy_udp_connect(&udp, "127.0.0.1", eddy_udp_port(other), NULL));
    return udp;
}

/* Answers each datagram to its sender, until it is closed. */
static int answer_all(void *arg, eddy_value *out) {
    (void)out;
    char buffer[2048];
    eddy_address from;
    int got;
    while ((got = eddy_udp_receive(arg, buffer, sizeof buffer, &from)) >= 0)
        EXPECT_OK(eddy_udp_send(arg, buffer, (size_t)got, &from));
    return got;
}

static int ask(void *arg, eddy_value *out) {
    (void)out;
    eddy_udp *udp = speak_to(arg);
    for (int i = 0; i < 50; i++) { /* one at a time: loopback and a simulation lose none then */
        char text[32], got[64];
        int bytes = snprintf(text, sizeof text, "question %d of %u", i, eddy_udp_port(udp));
        EXPECT_OK(eddy_udp_send(udp, text, (size_t)bytes, NULL));
        EXPECT_EQ(bytes, eddy_udp_receive(udp, got, sizeof got, NULL));
        EXPECT(memcmp(text, got, (size_t)bytes) == 0);
    }
    eddy_udp_close(udp);
    return 0;
}

CORE_TEST(udp, many_ask_and_each_gets_its_answer) {
    eddy_udp *host = open_here();
    eddy_task *answering = spawn_parked(answer_all, host);
    eddy_group group;
    EXPECT_OK(eddy_group_enter(&group));
    for (int i = 0; i < 20; i++) EXPECT_OK(eddy_group_spawn(&group, NULL, ask, host, NULL));
    EXPECT_OK(eddy_group_exit(&group, 0));
    test_until_all_parked(); /* the last answer may be here before its send has returned there: it must not begin a call */
    eddy_udp_close(host);
    EXPECT_EQ(EDDY_ECLOSED, end_of(answering));
}

REAL_TEST(datagrams_keep_their_bounds) {
    eddy_udp *host = open_here(), *guest = speak_to(host);
    char buffer[8] = "", text[64], wanted[64];
    eddy_address from;
    EXPECT_OK(eddy_udp_send(guest, "", 0, NULL));
    EXPECT_OK(eddy_udp_send(guest, "12345678", 8, NULL));
    EXPECT_OK(eddy_udp_send(guest, "123456789ab", 11, NULL));
    EXPECT_OK(eddy_udp_send(guest, "next", 4, NULL));
    EXPECT_EQ(0, eddy_udp_receive(host, buffer, sizeof buffer, &from));
    EXPECT_EQ(8, eddy_udp_receive(host, buffer, sizeof buffer, &from));
    EXPECT_EQ(11, eddy_udp_receive(host, buffer, sizeof buffer, &from)); /* cut */
    EXPECT(memcmp(buffer, "12345678", 8) == 0);
    EXPECT_EQ(4, eddy_udp_receive(host, buffer, sizeof buffer, &from));
    eddy_address_text(&from, text, sizeof text);
    eddy_udp_local(guest, wanted, sizeof wanted);
    EXPECT_STR(wanted, text);
    eddy_udp_close(host);
    eddy_udp_close(guest);
}

struct receiving {
    eddy_udp *udp;
    int got;
};

static int receive_one(void *arg, eddy_value *out) {
    struct receiving *receiving = arg;
    char buffer[16];
    (void)out;
    receiving->got = eddy_udp_receive(receiving->udp, buffer, sizeof buffer, NULL);
    return receiving->got;
}

CORE_TEST(udp, cancelled_receive_takes_no_datagram) {
    eddy_udp *host = open_here(), *guest = speak_to(host);
    char buffer[16];
    for (int i = 0; i < 20; i++) {
        struct receiving receiving = {host, 0};
        eddy_task *task = spawn_parked(receive_one, &receiving);
        EXPECT_EQ(EDDY_EBUSY, eddy_udp_receive(host, buffer, sizeof buffer, NULL));
        eddy_cancel(EDDY_FUTURE(task));
        EXPECT_OK(eddy_udp_send(guest, "for the next", 12, NULL));
        EXPECT_EQ(EDDY_ECANCELED, end_of(task));
        if (receiving.got == EDDY_ECANCELED) receiving.got = eddy_udp_receive(host, buffer, sizeof buffer, NULL);
        EXPECT_EQ(12, receiving.got); /* the datagram may overtake a cancel that travels */
    }
    eddy_udp_close(host);
    eddy_udp_close(guest);
}

REAL_TEST(what_goes_wrong_has_a_status) {
    eddy_udp *host = open_here(), *guest = speak_to(host), *other;
    char buffer[16], *huge = calloc(1, 70000);
    EXPECT_EQ(-EMSGSIZE, eddy_udp_send(guest, huge, 70000, NULL));
    EXPECT_EQ(-EDESTADDRREQ, eddy_udp_send(host, "x", 1, NULL));
    EXPECT_EQ(-EADDRINUSE, eddy_udp_open(&other, "127.0.0.1", eddy_udp_port(host), NULL));
    EXPECT_HAS(eddy_error_text(eddy_error_current(-EADDRINUSE)), "127.0.0.1");
    EXPECT_EQ(EDDY_EINVAL, eddy_udp_connect(&other, NULL, 1, NULL));
    eddy_udp_close(host);
    test_until_all_parked(); /* its close may travel */
    EXPECT_OK(eddy_udp_send(guest, "anybody?", 8, NULL));
    EXPECT_EQ(-ECONNREFUSED, EDDY_TIMEOUT(EDDY_SECONDS(5), eddy_udp_receive(guest, buffer, sizeof buffer, NULL)));
    eddy_handled();
    eddy_udp_close(guest);
    eddy_udp_close(NULL);
    free(huge);
}

REAL_TEST(a_port_is_shared_on_request) {
    eddy_udp *first, *second;
    EXPECT_OK(eddy_udp_open(&first, NULL, 0, EDDY_UDP(.share_port = true, .family = AF_INET)));
    EXPECT_OK(eddy_udp_open(&second, NULL, eddy_udp_port(first), EDDY_UDP(.share_port = true, .family = AF_INET)));
    EXPECT_EQ(eddy_udp_port(first), eddy_udp_port(second));
    eddy_udp_close(first);
    eddy_udp_close(second);
}

/* ---- no room ------------------------------------------------------------------------------------- */

static _Atomic int first_refused, second_refused;

/* This program's sendto stands before the system's, which on loopback always has room: it has none for "first" until "second"
 * has been refused, and none for that twice. */
ssize_t sendto(int fd, const void *data, size_t bytes, int flags, const struct sockaddr *to, socklen_t to_bytes) {
    bool refused = false;
    if (bytes == 5 && memcmp(data, "first", 5) == 0) refused = second_refused == 0 && ++first_refused > 0;
    if (bytes == 6 && memcmp(data, "second", 6) == 0) refused = second_refused < 2 && ++second_refused > 0;
    if (refused) {
        errno = EAGAIN;
        return -1;
    }
    __typeof__(&sendto) next = (__typeof__(&sendto))(uintptr_t)dlsym(RTLD_NEXT, "sendto");
    return next(fd, data, bytes, flags, to, to_bytes);
}

static int send_first(void *arg, eddy_value *out) {
    (void)out;
    return eddy_udp_send(arg, "first", 5, NULL);
}

static int wait_in_line(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    struct ed_fiber *fiber = ed_fiber_current();
    const bool migrates = ed_stay_begin(fiber); /* here is the socket's worker */
    eddy_udp *host = open_here(), *guest = speak_to(host);
    char buffer[8];
    eddy_task *first = spawn(send_first, guest);
    while (first_refused < 2) EXPECT_OK(eddy_yield()); /* it waits for room, at the head of the line */
    ed_stay_end(fiber, migrates);
    EXPECT_OK(eddy_udp_send(guest, "second", 6, NULL));
    EXPECT_EQ(2, second_refused);
    EXPECT_OK(end_of(first));
    EXPECT_EQ(5, eddy_udp_receive(host, buffer, sizeof buffer, NULL));
    EXPECT_EQ(6, eddy_udp_receive(host, buffer, sizeof buffer, NULL));
    eddy_udp_close(host);
    eddy_udp_close(guest);
    return 0;
}

/* Who waits in line for room is woken where it may change its worker; the socket's calls are made on its own. */
UNIT(udp, a_task_that_migrates_waits_for_room_where_the_socket_is) {
    ed_runtime_migrate_always(true);
    EXPECT_OK(eddy_run(wait_in_line, NULL, NULL, EDDY_RUN(.workers = 2)));
}

/* ---- what a run leaves open --------------------------------------------------------------------- */

struct left {
    eddy_udp *udp;
    int reports;
};

static void count_report(const eddy_report *report, void *arg) {
    struct left *left = arg;
    EXPECT_EQ(EDDY_REPORT_SHUTDOWN, report->kind);
    EXPECT_STR("a UDP socket was never closed", report->message);
    left->reports++;
}

static int leave_open(void *arg, eddy_value *out) {
    (void)out;
    ((struct left *)arg)->udp = open_here();
    return 0;
}

UNIT(udp, left_open_is_reported_and_can_still_be_closed) {
    struct left left = {NULL, 0};
    EXPECT_EQ(0, eddy_run(leave_open, &left, NULL, EDDY_RUN(.on_exception = count_report, .on_exception_arg = &left)));
    EXPECT_EQ(1, left.reports);
    eddy_udp_close(left.udp);
}

static int open_with_failing_memory(void *arg) {
    (void)arg;
    eddy_udp *udp;
    int status = eddy_udp_open(&udp, "127.0.0.1", 0, NULL);
    if (status == 0) eddy_udp_close(udp);
    eddy_sleep(EDDY_MS(1)); /* the loop turns: libuv lets go of the handle */
    return status;
}

REAL_TEST(refused_memory_leaves_nothing) {
    EXPECT_OK(open_with_failing_memory(NULL));
    if (test_workers() == 1) EXPECT(test_each_allocation_fails(open_with_failing_memory, NULL) >= 3);
}
