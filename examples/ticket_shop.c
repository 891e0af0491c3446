/* ticket_shop.c: a server with a bug that one run in a thousand shows, and its test, which finds it in seconds.
 *
 *     ticket_shop serve 7777          sells; try it with: nc 127.0.0.1 7777, and type buy
 *     ticket_shop test                tries 20,000 simulated evenings, until one sells a ticket twice
 *     ticket_shop test --careful      the same with the bug mended
 *     ticket_shop trace SEED          one evening, and what the workers did in it
 *     ticket_shop count 20000         how many of so many evenings go wrong
 *
 * docs/testing-your-server.md tells the story. */
#include <eddy/eddy.h>

#include <stdlib.h>
#include <string.h>

/* ---- the server --------------------------------------------------------------------------------- */

struct shop {
    int tickets;      /* left */
    bool is_careful;  /* the bug is mended */
    eddy_lock *sales; /* held during a sale, if careful */
};

/* The ledger's library blocks: it has a thread. */
static int write_ledger(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    return 0;
}

static int sell(struct shop *shop) {
    if (shop->tickets == 0) return 0;
    int status = eddy_to_thread(write_ledger, shop, NULL); /* other customers are served meanwhile */
    if (status < 0) return status;
    shop->tickets--;
    return 1;
}

static int sell_carefully(struct shop *shop) {
    int status = eddy_lock_acquire(shop->sales);
    if (status < 0) return status;
    status = sell(shop);
    eddy_lock_unlock(shop->sales);
    return status;
}

static int serve_customer(eddy_stream *stream, void *arg) {
    struct shop *shop = arg;
    const char *line;
    size_t bytes;
    int status;
    while ((status = eddy_stream_read_until(stream, "\n", 1, 0, &line, &bytes)) == 0) {
        bool buys = bytes == 4 && memcmp(line, "buy\n", 4) == 0;
        status = !buys ? -EPROTO : shop->is_careful ? sell_carefully(shop) : sell(shop);
        if (status < 0) return status;
        const char *answer = status == 1 ? "sold\n" : "sold out\n";
        status = eddy_stream_write(stream, answer, strlen(answer));
        if (status < 0) return status;
    }
    return status;
}

/* ---- its test ----------------------------------------------------------------------------------- */

static int buy(void *arg, eddy_value *out) {
    int *sold = arg;
    const char *line;
    size_t bytes;
    eddy_stream *stream;
    (void)out;
    int status = eddy_sleep((int64_t)(eddy_sim_random() % EDDY_SECONDS(2))); /* people come when they like */
    if (status == 0) status = eddy_connect(&stream, "127.0.0.1", 7777, NULL);
    if (status < 0) return status;
    status = eddy_stream_write(stream, "buy\n", 4);
    if (status == 0) status = eddy_stream_read_until(stream, "\n", 1, 0, &line, &bytes);
    if (status == 0) *sold += bytes == 5;
    eddy_stream_close(stream);
    eddy_stream_release(stream);
    return status;
}

/* Two customers, one ticket. */
static int evening(void *arg, eddy_value *out) {
    struct shop shop = {1, *(bool *)arg, eddy_lock_create()};
    int sold = 0;
    eddy_server *server;
    eddy_group customers;
    (void)out;
    int status = eddy_server_open(&server, "127.0.0.1", 7777, serve_customer, &shop, NULL);
    if (status < 0) goto release_lock;
    status = eddy_group_enter(&customers);
    for (int i = 0; status == 0 && i < 2; i++)
        status = eddy_group_spawn(&customers, NULL, buy, &sold, EDDY_TASK(.name = "customer"));
    status = eddy_group_exit(&customers, status);
    if (status == 0) status = eddy_server_shutdown(server, EDDY_SECONDS(1));
    if (status == 0 && sold > 1) status = eddy_fail(-EPROTO, "one ticket was sold %d times", sold);
    eddy_server_release(server);
release_lock:
    eddy_lock_release(shop.sales);
    return status;
}

/* ---- main --------------------------------------------------------------------------------------- */

static int serve(void *port, eddy_value *out) {
    struct shop shop = {100, true, eddy_lock_create()};
    eddy_server *server;
    (void)out;
    int status = eddy_server_open(&server, "127.0.0.1", (uint16_t)atoi(port), serve_customer, &shop, NULL);
    if (status == 0) {
        fprintf(stderr, "listening on port %u\n", eddy_server_port(server));
        eddy_server_wait_closed(server); /* until ^C cancels this task */
        status = eddy_server_shutdown(server, EDDY_SECONDS(1));
        eddy_server_release(server);
    }
    eddy_lock_release(shop.sales);
    return status;
}

static int count_failures(uint64_t seeds) {
    bool is_careful = false;
    uint64_t failed = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++)
        failed += eddy_sim_run(evening, &is_careful, NULL, EDDY_SIM(.seed = seed, .serial = true)) < 0;
    printf("%llu of %llu evenings went wrong\n", (unsigned long long)failed, (unsigned long long)seeds);
    return 0;
}

int main(int argc, char **argv) {
    bool is_careful = argc > 2 && strcmp(argv[2], "--careful") == 0;
    if (argc > 2 && strcmp(argv[1], "serve") == 0)
        return eddy_run(serve, argv[2], NULL, EDDY_RUN(.serial = true, .handle_sigint = true)) < 0;
    if (argc > 2 && strcmp(argv[1], "trace") == 0)
        return eddy_sim_run(evening, &is_careful, NULL,
                            EDDY_SIM(.seed = strtoull(argv[2], NULL, 10), .serial = true, .trace = stdout)) < 0;
    if (argc > 1 && strcmp(argv[1], "test") == 0)
        return eddy_sim_explore(evening, &is_careful, 20000, NULL, EDDY_SIM(.seed = 1, .serial = true)) < 0;
    if (argc > 2 && strcmp(argv[1], "count") == 0) return count_failures(strtoull(argv[2], NULL, 10));
    fprintf(stderr, "usage: ticket_shop serve PORT | test [--careful] | trace SEED | count SEEDS\n");
    return 2;
}
