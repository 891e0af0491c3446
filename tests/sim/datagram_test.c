/* Datagrams of a simulation: each whole; lost, doubled and out of order as often as asked; the same seed, the same run. */
#include "../net/net_testing.h"
#include "eddy/sim.h"
#include "eddy/udp.h"

#include <stdio.h>

enum { SENT = 400 };

static struct {
    int came[SENT], received, out_of_order, last;
    uint64_t order; /* a sum of them all in their order */
} seen;

static int receive_all(void *arg, eddy_value *out) {
    (void)out;
    char text[32];
    eddy_address from;
    int got;
    while ((got = eddy_udp_receive(arg, text, sizeof text - 1, &from)) >= 0) {
        text[got] = '\0';
        int number = -1, bytes = -1;
        EXPECT_EQ(1, sscanf(text, "datagram %d%n", &number, &bytes));
        EXPECT_EQ(got, bytes); /* whole */
        EXPECT(number >= 0 && number < SENT);
        seen.came[number]++;
        seen.received++;
        if (number < seen.last) seen.out_of_order++;
        seen.last = number;
        seen.order = seen.order * 31 + (uint64_t)number;
    }
    return got;
}

static int send_all(void *arg, eddy_value *out) {
    (void)out;
    eddy_udp *host, *guest;
    EXPECT_OK(eddy_udp_open(&host, "127.0.0.1", 0, NULL));
    EXPECT_OK(eddy_udp_connect(&guest, "127.0.0.1", eddy_udp_port(host), NULL));
    eddy_task *receiver = spawn(receive_all, host);
    for (int i = 0; i < SENT; i++) {
        char text[32];
        int bytes = snprintf(text, sizeof text, "datagram %d", i);
        EXPECT_OK(eddy_udp_send(guest, text, (size_t)bytes, NULL));
        if (i % 10 == 0) EXPECT_OK(eddy_sleep(EDDY_US(200)));
    }
    EXPECT_OK(eddy_sleep(EDDY_SECONDS(1)));
    eddy_udp_close(host);
    EXPECT_EQ(EDDY_ECLOSED, end_of(receiver));
    EXPECT_OK(eddy_udp_send(guest, "nobody", 6, NULL));
    EXPECT_OK(eddy_sleep(EDDY_SECONDS(1)));
    int status = eddy_udp_send(guest, "is there", 8, NULL);
    EXPECT(status == -ECONNREFUSED || (status == 0 && *(unsigned *)arg > 0)); /* who is lost finds nobody missing */
    EXPECT_OK(status == 0 ? eddy_yield() : eddy_udp_send(guest, "told once", 9, NULL));
    eddy_udp_close(guest); /* one is under way when the run ends */
    return 0;
}

static void run_with(uint64_t seed, unsigned lost, unsigned doubled) {
    memset(&seen, 0, sizeof seen);
    EXPECT_OK(eddy_sim_run(send_all, &lost, NULL,
                           EDDY_SIM(.seed = seed, .datagrams_lost = lost, .datagrams_doubled = doubled)));
}

UNIT(sim_datagram, they_arrive_once_in_any_order_unless_asked_otherwise) {
    int out_of_order = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run_with(seed, 0, 0);
        for (int i = 0; i < SENT; i++) EXPECT_EQ(1, seen.came[i]);
        out_of_order += seen.out_of_order;
    }
    EXPECT(out_of_order > 1000);
}

UNIT(sim_datagram, they_are_lost_and_doubled_as_often_as_asked) {
    int lost = 0, doubled = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run_with(seed, 100, 50);
        for (int i = 0; i < SENT; i++) {
            EXPECT(seen.came[i] <= 2);
            lost += seen.came[i] == 0;
            doubled += seen.came[i] == 2;
        }
    }
    EXPECT(lost > 600 && lost < 1000); /* 800 and 360 of 8,000 are to be expected: 27 and 18 is one deviation */
    EXPECT(doubled > 250 && doubled < 480);
    run_with(1, 1000, 0);
    EXPECT_EQ(0, seen.received);
}

UNIT(sim_datagram, same_seed_same_run) {
    for (uint64_t seed = 1; seed <= 5; seed++) {
        run_with(seed, 100, 100);
        uint64_t order = seen.order;
        run_with(seed, 100, 100);
        EXPECT_EQ(order, seen.order);
    }
}

UNIT(sim_datagram, what_cannot_be_asked_for_is_refused) {
    EXPECT_EQ(EDDY_EINVAL, eddy_sim_run(send_all, NULL, NULL, EDDY_SIM(.datagrams_lost = 1001)));
    EXPECT_EQ(EDDY_EINVAL, eddy_sim_run(send_all, NULL, NULL, EDDY_SIM(.datagrams_doubled = 1001)));
}
