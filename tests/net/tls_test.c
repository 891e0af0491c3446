/* TLS streams: the same bytes as on plain ones, whoever is slow, cancelled or on another worker; who is not to be trusted is
 * refused, with the reason. Interoperation with other programs: tests/scripts/tls_peers.py. */
#include "tls_testing.h"

#include <openssl/ssl.h>

/* ---- bytes ------------------------------------------------------------------------------------ */

CORE_TEST(tls, echo_over_a_verified_connection) {
    struct trust trust;
    trust_make(&trust, NULL, NULL);
    eddy_server *server = serve_tls(echo, NULL, trust.server);
    eddy_stream *stream = dial_tls(server, trust.client);
    eddy_tls_info info;
    EXPECT_OK(eddy_stream_tls_info(stream, &info));
    EXPECT_STR("TLSv1.3", info.version);
    EXPECT_STR("CN = host", info.peer);
    EXPECT_STR("", info.alpn);
    EXPECT(!info.resumed);
    for (int i = 0; i < 30; i++) {
        write_text(stream, "over and over");
        expect_text(stream, "over and over");
    }
    hang_up(stream);
    stop_serving(server);
    trust_drop(&trust);
}

struct transfer {
    eddy_stream *stream;
    uint64_t bytes;
};

static int send_pattern(void *arg, eddy_value *out) {
    (void)out;
    struct transfer *transfer = arg;
    int status = pattern_send(transfer->stream, 0, transfer->bytes, 50000);
    return status < 0 ? status : eddy_stream_shutdown_write(transfer->stream);
}

/* Both directions at once, and each side's end is seen by the other. */
CORE_TEST(tls, much_goes_through_and_comes_back_in_order) {
    struct trust trust;
    trust_make(&trust, NULL, NULL);
    eddy_server *server = serve_tls(echo, NULL, trust.server);
    struct transfer transfer = {dial_tls(server, trust.client),
                                (uint64_t)test_scaled(test_simulated() ? 300000 : 3000000)};
    eddy_task *sender = spawn(send_pattern, &transfer);
    EXPECT_EQ(transfer.bytes, pattern_receive(transfer.stream, 0));
    EXPECT_OK(end_of(sender));
    expect_end(transfer.stream); /* again */
    hang_up(transfer.stream);
    stop_serving(server);
    trust_drop(&trust);
}

static int send_slowly(eddy_stream *stream, void *arg) {
    (void)arg;
    for (uint64_t at = 0; at < 6000; at += 100) {
        EXPECT_OK(pattern_send(stream, at, at + 100, 37));
        EXPECT_OK(eddy_sleep(EDDY_US(300)));
    }
    return 0;
}

/* A read that is cancelled at any moment has lost nothing. */
CORE_TEST(tls, cancelled_reads_lose_no_byte) {
    struct trust trust;
    trust_make(&trust, NULL, NULL);
    eddy_server *server = serve_tls(send_slowly, NULL, trust.server);
    eddy_stream *stream = dial_tls(server, trust.client);
    uint64_t at = 0;
    int timeouts = 0;
    for (;;) {
        unsigned char buffer[64];
        int got = EDDY_TIMEOUT(EDDY_US(100), eddy_stream_read(stream, buffer, 1 + at % sizeof buffer));
        if (got == EDDY_EOF) break;
        if (got == EDDY_ETIMEDOUT) {
            timeouts++;
            continue;
        }
        EXPECT(got > 0);
        pattern_expect(buffer, (size_t)got, at);
        at += (uint64_t)got;
    }
    EXPECT_EQ(6000, at);
    EXPECT(timeouts > 0);
    hang_up(stream);
    stop_serving(server);
    trust_drop(&trust);
}

static int answer_after_the_end(eddy_stream *stream, void *arg) {
    (void)arg;
    expect_text(stream, "question");
    expect_end(stream);
    write_text(stream, "answer");
    return 0;
}

CORE_TEST(tls, each_direction_ends_by_itself) {
    struct trust trust;
    trust_make(&trust, NULL, NULL);
    eddy_server *server = serve_tls(answer_after_the_end, NULL, trust.server);
    eddy_stream *stream = dial_tls(server, trust.client);
    write_text(stream, "question");
    EXPECT_OK(eddy_stream_shutdown_write(stream));
    EXPECT_EQ(EDDY_ECLOSED, eddy_stream_write(stream, "x", 1));
    expect_text(stream, "answer");
    expect_end(stream);
    hang_up(stream);
    stop_serving(server);
    trust_drop(&trust);
}

static int read_three_lines(eddy_stream *stream, void *arg) {
    static const char *const wanted[] = {"GET / HTTP/1.1\r\n", "Host: a\r\n", "\r\n"};
    (void)arg;
    for (int i = 0; i < 3; i++) {
        const char *line;
        size_t bytes;
        EXPECT_OK(eddy_stream_read_until(stream, "\r\n", 2, 0, &line, &bytes));
        EXPECT_EQ(strlen(wanted[i]), bytes);
        EXPECT(memcmp(wanted[i], line, bytes) == 0);
    }
    write_text(stream, "ok");
    return 0;
}

/* One record for each byte, and one record for all: what OpenSSL still holds is read before anybody waits. */
CORE_TEST(tls, lines_are_found_whatever_the_records_are) {
    struct trust trust;
    trust_make(&trust, NULL, NULL);
    eddy_server *server = serve_tls(read_three_lines, NULL, trust.server);
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (int whole = 0; whole < 2; whole++) {
        eddy_stream *stream = dial_tls(server, trust.client);
        for (const char *text = request; !whole && *text != '\0'; text++) EXPECT_OK(eddy_stream_write(stream, text, 1));
        if (whole) write_text(stream, request);
        expect_text(stream, "ok");
        expect_end(stream);
        hang_up(stream);
    }
    stop_serving(server);
    trust_drop(&trust);
}

/* ---- upgrades --------------------------------------------------------------------------------- */

struct upgrade {
    struct trust trust;
    bool eager; /* the client begins the handshake without waiting for the answer */
};

static int upgrade_on_request(eddy_stream *stream, void *arg) {
    struct upgrade *upgrade = arg;
    const char *line;
    size_t bytes;
    EXPECT_OK(eddy_stream_read_until(stream, "\n", 1, 0, &line, &bytes));
    EXPECT(bytes == 9 && memcmp(line, "STARTTLS\n", 9) == 0);
    if (!upgrade->eager) write_text(stream, "go\n");
    EXPECT_OK(eddy_stream_start_tls(stream, upgrade->trust.server, NULL));
    EXPECT_EQ(EDDY_ESTATE, eddy_stream_start_tls(stream, upgrade->trust.server, NULL));
    return echo(stream, NULL);
}

CORE_TEST(tls, plain_stream_is_upgraded_in_place) {
    struct upgrade upgrade;
    trust_make(&upgrade.trust, NULL, NULL);
    eddy_server *server = serve(upgrade_on_request, &upgrade);
    for (int eager = 0; eager < 2; eager++) {
        upgrade.eager = eager;
        eddy_stream *stream = dial(server);
        eddy_tls_info info;
        EXPECT_EQ(EDDY_ESTATE, eddy_stream_tls_info(stream, &info));
        EXPECT(eddy_stream_ssl(stream) == NULL);
        write_text(stream, "STARTTLS\n");
        if (!eager) expect_text(stream, "go\n");
        EXPECT_EQ(EDDY_EINVAL, eddy_stream_start_tls(stream, upgrade.trust.client, NULL));
        EXPECT_OK(eddy_stream_start_tls(stream, upgrade.trust.client, "localhost"));
        EXPECT_OK(eddy_stream_tls_info(stream, &info));
        EXPECT_STR("localhost", info.server_name);
        write_text(stream, "secret");
        expect_text(stream, "secret");
        hang_up(stream);
    }
    stop_serving(server);
    trust_drop(&upgrade.trust);
}

/* The stream's home is another worker's, where there is one. */
static int remote_side(void *arg, eddy_value *out) {
    (void)out;
    struct {
        struct guest *guest;
        struct trust *trust;
    } *both = arg;
    EXPECT_OK(eddy_stream_start_tls(both->guest->stream, both->trust->server, NULL));
    expect_text(both->guest->stream, "hello");
    write_text(both->guest->stream, "good ");
    write_text(both->guest->stream, "bye");
    return eddy_stream_close(both->guest->stream);
}

CORE_TEST(tls, streams_of_other_workers_do_the_same) {
    struct guest guest;
    struct trust trust;
    trust_make(&trust, NULL, NULL);
    guest_enter(&guest);
    struct {
        struct guest *guest;
        struct trust *trust;
    } both = {&guest, &trust};
    eddy_task *task = spawn(remote_side, &both);
    EXPECT_OK(eddy_stream_start_tls(guest.client, trust.client, "127.0.0.1"));
    write_text(guest.client, "hello");
    expect_text(guest.client, "good bye");
    expect_end(guest.client);
    EXPECT_OK(end_of(task));
    guest_leave(&guest);
    trust_drop(&trust);
}

static int wait_for_input(void *arg, eddy_value *out) {
    (void)out;
    char c;
    return eddy_stream_read(arg, &c, 1);
}

CORE_TEST(tls, a_stream_that_is_read_or_closed_is_not_upgraded) {
    struct guest guest;
    struct trust trust;
    trust_make(&trust, NULL, NULL);
    guest_enter(&guest);
    eddy_task *reader = spawn_parked(wait_for_input, guest.client);
    EXPECT_EQ(EDDY_EBUSY, eddy_stream_start_tls(guest.client, trust.client, "localhost"));
    eddy_stream_abort(guest.client);
    EXPECT_EQ(EDDY_ECLOSED, end_of(reader));
    EXPECT_EQ(EDDY_ECLOSED, eddy_stream_start_tls(guest.client, trust.client, "localhost"));
    guest_leave(&guest);
    trust_drop(&trust);
}

/* ---- who is refused --------------------------------------------------------------------------- */

static void expect_refused(const struct identity *identity, const char *ca_file, const char *name, const char *why) {
    eddy_tls *host, *client;
    EXPECT_OK(eddy_tls_server_create(&host, EDDY_TLS(.certificate_file = identity->file)));
    EXPECT_OK(eddy_tls_client_create(&client, EDDY_TLS(.ca_file = ca_file)));
    eddy_server *server = serve_tls(echo, NULL, host);
    eddy_stream *stream;
    EXPECT_EQ(EDDY_ECERTIFICATE, try_dial_tls(&stream, server, client, name));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_ECERTIFICATE)), why);
    eddy_handled();
    eddy_server_close(server);
    EXPECT_OK(eddy_server_wait_closed(server));
    EXPECT_EQ(1, eddy_server_handshakes_failed(server)); /* the client told it */
    eddy_server_release(server);
    eddy_tls_release(host);
    eddy_tls_release(client);
}

CORE_TEST(tls, certificates_that_are_not_to_be_trusted_are_refused_with_the_reason) {
    struct identity authority, stranger, expired, early, elsewhere, self, fine;
    identity_make(&authority, "authority", NULL, NULL, -1, 10);
    identity_make(&stranger, "stranger", NULL, NULL, -1, 10);
    identity_make(&expired, "expired", "DNS:localhost", &authority, -10, -1);
    identity_make(&early, "early", "DNS:localhost", &authority, 5, 10);
    identity_make(&elsewhere, "elsewhere", "DNS:example.org,IP:127.0.0.2", &authority, -1, 10);
    identity_make(&self, "self", "DNS:localhost", NULL, -1, 10);
    identity_make(&fine, "fine", "DNS:localhost,DNS:*.example.org", &authority, -1, 10);
    expect_refused(&expired, authority.file, "localhost", "certificate has expired");
    expect_refused(&early, authority.file, "localhost", "certificate is not yet valid");
    expect_refused(&elsewhere, authority.file, "localhost", "hostname mismatch");
    expect_refused(&elsewhere, authority.file, "127.0.0.1", "IP address mismatch");
    expect_refused(&self, authority.file, "localhost", "self-signed certificate");
    expect_refused(&fine, stranger.file, "localhost", "unable to get local issuer certificate");
    expect_refused(&fine, NULL, "localhost", "unable to get local issuer certificate"); /* the system trusts it not */
    expect_refused(&fine, authority.file, "a.b.example.org", "hostname mismatch");
    struct identity *all[] = {&authority, &stranger, &expired, &early, &elsewhere, &self, &fine};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) identity_drop(all[i]);
}

CORE_TEST(tls, clients_are_verified_where_the_server_asks_for_it) {
    struct trust trust;
    eddy_tls_options wanted = eddy_tls_options_init();
    wanted.verify_clients = true;
    trust_make(&trust, &wanted, NULL);
    eddy_server *server = serve_tls(echo, NULL, trust.server);
    eddy_stream *stream;
    char c;
    EXPECT_OK(try_dial_tls(&stream, server, trust.client, NULL)); /* TLS 1.3: the server looks later */
    EXPECT_EQ(EDDY_ETLS, eddy_stream_read(stream, &c, 1));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_ETLS)), "certificate required");
    EXPECT_EQ(EDDY_ETLS, eddy_stream_read(stream, &c, 1));
    eddy_handled();
    eddy_stream_close(stream);
    eddy_stream_release(stream);

    struct identity member;
    identity_make(&member, "member", "DNS:member", &trust.authority, -1, 10);
    eddy_tls *client;
    EXPECT_OK(
        eddy_tls_client_create(&client, EDDY_TLS(.ca_file = trust.authority.file, .certificate_file = member.file)));
    stream = dial_tls(server, client);
    write_text(stream, "it is me");
    expect_text(stream, "it is me");
    hang_up(stream);
    stop_serving(server);
    eddy_tls_release(client);
    identity_drop(&member);
    trust_drop(&trust);
}

CORE_TEST(tls, an_unverified_client_meets_anybody) {
    struct identity self;
    identity_make(&self, "self", "DNS:elsewhere", NULL, -10, -1);
    eddy_tls *host, *client;
    EXPECT_OK(eddy_tls_server_create(&host, EDDY_TLS(.certificate_file = self.file)));
    EXPECT_OK(eddy_tls_client_create(&client, EDDY_TLS(.no_verify = true)));
    eddy_server *server = serve_tls(echo, NULL, host);
    eddy_stream *stream = dial_tls(server, client);
    write_text(stream, "whoever you are");
    expect_text(stream, "whoever you are");
    hang_up(stream);
    stop_serving(server);
    eddy_tls_release(host);
    eddy_tls_release(client);
    identity_drop(&self);
}

/* ---- what is agreed on ------------------------------------------------------------------------- */

static int tell_protocol(eddy_stream *stream, void *arg) {
    (void)arg;
    eddy_tls_info info;
    EXPECT_OK(eddy_stream_tls_info(stream, &info));
    EXPECT(eddy_stream_ssl(stream) != NULL);
    write_text(stream, info.alpn[0] != '\0' ? info.alpn : "none");
    write_text(stream, info.resumed ? " resumed" : " new");
    return 0;
}

CORE_TEST(tls, protocol_is_the_first_of_the_servers_that_the_client_knows) {
    struct trust trust;
    eddy_tls_options wanted = eddy_tls_options_init();
    wanted.alpn = "h2,http/1.1";
    trust_make(&trust, &wanted, NULL);
    static const struct {
        const char *offered, *picked;
    } cases[] = {
        {"http/1.1,h2", "h2 new"}, {"http/1.1", "http/1.1 new"}, {"smtp,http/1.1", "http/1.1 new"}, {NULL, "none new"}};
    eddy_server *server = serve_tls(tell_protocol, NULL, trust.server);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        eddy_tls *client;
        EXPECT_OK(eddy_tls_client_create(&client, EDDY_TLS(.ca_file = trust.authority.file, .alpn = cases[i].offered)));
        eddy_stream *stream = dial_tls(server, client);
        expect_text(stream, cases[i].picked);
        hang_up(stream);
        eddy_tls_release(client);
    }
    eddy_tls *client;
    EXPECT_OK(eddy_tls_client_create(&client, EDDY_TLS(.ca_file = trust.authority.file, .alpn = "smtp")));
    eddy_stream *stream;
    EXPECT_EQ(EDDY_ETLS, try_dial_tls(&stream, server, client, NULL));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_ETLS)), "no application protocol");
    eddy_handled();
    eddy_tls_release(client);
    stop_serving(server);
    EXPECT_EQ(EDDY_EINVAL, eddy_tls_client_create(&client, EDDY_TLS(.alpn = "h2,,http/1.1")));
    EXPECT_EQ(EDDY_EINVAL, eddy_tls_client_create(&client, EDDY_TLS(.alpn = "")));
    eddy_handled();
    trust_drop(&trust);
}

static void expect_session(const eddy_server *server, eddy_tls *client, const char *text) {
    eddy_stream *stream = dial_tls(server, client);
    expect_text(stream, text);
    expect_end(stream);
    hang_up(stream);
}

CORE_TEST(tls, sessions_are_resumed) {
    for (int old = 0; old < 2; old++) {
        struct trust trust;
        trust_make(&trust, NULL, NULL);
        if (old) SSL_CTX_set_max_proto_version(eddy_tls_context(trust.client), TLS1_2_VERSION);
        eddy_server *server = serve_tls(tell_protocol, NULL, trust.server);
        expect_session(server, trust.client, "none new");
        for (int i = 0; i < 4; i++) expect_session(server, trust.client, "none resumed");
        eddy_tls *fresh;
        EXPECT_OK(eddy_tls_client_create(&fresh, EDDY_TLS(.ca_file = trust.authority.file, .no_sessions = true)));
        for (int i = 0; i < 2; i++) expect_session(server, fresh, "none new");
        eddy_tls_release(fresh);
        stop_serving(server);
        trust_drop(&trust);
    }
}

static eddy_tls *choose_second(void *arg, const char *name) { return strcmp(name, "second") == 0 ? arg : NULL; }

CORE_TEST(tls, servers_answer_to_several_names) {
    struct trust trust;
    struct identity second;
    eddy_tls *other;
    trust_make(&trust, NULL, NULL);
    identity_make(&second, "second", "DNS:second", &trust.authority, -1, 10);
    EXPECT_OK(eddy_tls_server_create(&other, EDDY_TLS(.certificate_file = second.file)));
    eddy_tls *both;
    EXPECT_OK(eddy_tls_server_create(
        &both, EDDY_TLS(.certificate_file = trust.host.file, .choose = choose_second, .choose_arg = other)));
    eddy_server *server = serve_tls(echo, NULL, both);
    static const char *const names[] = {"localhost", "second", NULL};
    static const char *const subjects[] = {"CN = host", "CN = second", "CN = host"};
    for (int i = 0; i < 3; i++) {
        eddy_stream *stream;
        eddy_tls_info info;
        EXPECT_OK(try_dial_tls(&stream, server, trust.client, names[i]));
        EXPECT_OK(eddy_stream_tls_info(stream, &info));
        EXPECT_STR(subjects[i], info.peer);
        hang_up(stream);
    }
    stop_serving(server);
    eddy_tls_release(both);
    eddy_tls_release(other);
    identity_drop(&second);
    trust_drop(&trust);
}

/* ---- broken peers ----------------------------------------------------------------------------- */

static int leave_without_a_word(eddy_stream *stream, void *arg) {
    (void)arg;
    write_text(stream, "and then");
    SSL_set_quiet_shutdown(eddy_stream_ssl(stream), 1); /* no close_notify */
    return 0;
}

CORE_TEST(tls, truncated_connection_is_no_end_of_file) {
    struct trust trust;
    trust_make(&trust, NULL, NULL);
    eddy_server *server = serve_tls(leave_without_a_word, NULL, trust.server);
    eddy_stream *stream = dial_tls(server, trust.client);
    expect_text(stream, "and then");
    char c;
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(EDDY_ETRUNCATED, eddy_stream_read(stream, &c, 1));
        EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_ETRUNCATED)), "close_notify");
    }
    eddy_handled();
    eddy_stream_close(stream);
    eddy_stream_release(stream);
    stop_serving(server);
    trust_drop(&trust);
}

static int say_hello(eddy_stream *stream, void *arg) {
    (void)arg;
    write_text(stream, "220 here speaks no TLS\r\n");
    char c;
    while (eddy_stream_read(stream, &c, 1) > 0) {
    }
    return 0;
}

static int hang_up_at_once(eddy_stream *stream, void *arg) {
    (void)arg;
    char buffer[2000];
    eddy_stream_read(stream, buffer, sizeof buffer);
    return 0;
}

CORE_TEST(tls, peers_that_speak_no_tls_are_told_apart) {
    struct trust trust;
    trust_make(&trust, NULL, NULL);
    eddy_server *server = serve(say_hello, NULL);
    eddy_stream *stream;
    EXPECT_EQ(EDDY_ETLS, try_dial_tls(&stream, server, trust.client, NULL));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_ETLS)), "wrong version number");
    stop_serving(server);

    server = serve(hang_up_at_once, NULL);
    EXPECT_EQ(EDDY_ETRUNCATED, try_dial_tls(&stream, server, trust.client, NULL));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_ETRUNCATED)), "during the TLS handshake");
    stop_serving(server);
    eddy_handled();

    server = serve_tls(echo, NULL, trust.server);
    eddy_stream *plain = dial(server);
    write_text(plain, "GET / HTTP/1.0\r\n\r\n");
    char buffer[100];
    while (eddy_stream_read(plain, buffer, sizeof buffer) > 0) {
    } /* an alert */
    eddy_stream_close(plain);
    eddy_stream_release(plain);
    stop_serving(server);
    trust_drop(&trust);
}

CORE_TEST(tls, handshakes_have_a_deadline) {
    struct trust trust;
    test_stay(); /* on the stream's worker the handshake has begun by its deadline: else the stream is closed */
    eddy_tls_options hasty = eddy_tls_options_init();
    hasty.handshake_ns = EDDY_MS(20);
    trust_make(&trust, &hasty, &hasty);
    eddy_server *server = serve_tls(echo, NULL, trust.server);
    eddy_stream *silent = dial(server);
    char c;
    EXPECT(eddy_stream_read(silent, &c, 1) < 0); /* the server has given up */
    eddy_stream_close(silent);
    eddy_stream_release(silent);
    stop_serving(server);

    struct guest guest; /* a host that says nothing */
    guest_enter(&guest);
    EXPECT_EQ(EDDY_ETIMEDOUT, eddy_stream_start_tls(guest.client, trust.client, "localhost"));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_ETIMEDOUT)), "took longer than 20 ms");
    eddy_handled();
    EXPECT_EQ(EDDY_ETLS, send_text(guest.client, "x")); /* it can only be closed */
    guest_leave(&guest);
    trust_drop(&trust);
}

static int begin_tls(void *arg, eddy_value *out) {
    (void)out;
    struct {
        eddy_stream *stream;
        eddy_tls *tls;
    } *begin = arg;
    return eddy_stream_start_tls(begin->stream, begin->tls, "localhost");
}

CORE_TEST(tls, cancelled_handshake_leaves_a_stream_to_close) {
    struct trust trust;
    struct guest guest;
    test_stay(); /* on the stream's worker a write is told at once that it may not be */
    trust_make(&trust, NULL, NULL);
    guest_enter(&guest);
    struct {
        eddy_stream *stream;
        eddy_tls *tls;
    } begin = {guest.client, trust.client};
    eddy_task *task = spawn_parked(begin_tls, &begin);
    EXPECT_EQ(EDDY_EBUSY, eddy_stream_write(guest.client, "x", 1));
    eddy_cancel(EDDY_FUTURE(task));
    EXPECT_EQ(EDDY_ECANCELED, end_of(task));
    EXPECT_EQ(EDDY_ETLS, send_text(guest.client, "x"));
    guest_leave(&guest);
    trust_drop(&trust);
}

/* ---- configurations --------------------------------------------------------------------------- */

TEST(tls, files_that_are_wrong_are_named) {
    struct identity one, two;
    eddy_tls *tls;
    char missing[256], garbage[256];
    identity_make(&one, "one", "DNS:one", NULL, -1, 1);
    identity_make(&two, "two", "DNS:two", NULL, -1, 1);
    snprintf(missing, sizeof missing, "%s/missing.pem", test_folder());
    snprintf(garbage, sizeof garbage, "%s/garbage.pem", test_folder());
    FILE *file = fopen(garbage, "w");
    fputs("this is no certificate\n", file);
    fclose(file);
    EXPECT_EQ(EDDY_EINVAL, eddy_tls_server_create(&tls, NULL));
    EXPECT_EQ(EDDY_EINVAL,
              eddy_tls_server_create(&tls, EDDY_TLS(.certificate_file = one.file, .verify_clients = true)));
    static const char *const reasons[] = {"No such file", "no start line"};
    const char *const files[] = {missing, garbage};
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(EDDY_ETLS, eddy_tls_server_create(&tls, EDDY_TLS(.certificate_file = files[i])));
        EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_ETLS)), files[i]);
        EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_ETLS)), reasons[i]);
        EXPECT_EQ(EDDY_ETLS, eddy_tls_client_create(&tls, EDDY_TLS(.ca_file = files[i])));
        EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_ETLS)), files[i]);
    }
    EXPECT_EQ(EDDY_ETLS, eddy_tls_server_create(&tls, EDDY_TLS(.certificate_file = one.file, .key_file = two.file)));
    EXPECT_HAS(eddy_error_text(eddy_error_current(EDDY_ETLS)), "key values mismatch");
    eddy_handled();
    identity_drop(&one);
    identity_drop(&two);
}

struct failing {
    const char *file;
    eddy_tls *server;
};

static int create_with_failing_memory(void *arg) {
    const struct failing *failing = arg;
    eddy_tls *tls;
    int status = eddy_tls_client_create(&tls, EDDY_TLS(.ca_file = failing->file, .alpn = "h2"));
    if (status == 0) eddy_tls_release(tls);
    return status;
}

TEST(tls, refused_memory_leaks_nothing) {
    struct identity one;
    identity_make(&one, "one", "DNS:one", NULL, -1, 1);
    struct failing failing = {one.file, NULL};
    EXPECT_EQ(2, test_each_allocation_fails(create_with_failing_memory, &failing));
    identity_drop(&one);
}
