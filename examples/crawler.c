/* crawler.c: fetches a site and what it links to: bounded concurrency, a bound for each host, timeouts, retries, TLS.
 *     crawler https://127.0.0.1:7443/ [TRUSTED.pem]
 * Eight tasks take pages from a queue and put the links that they find into it; when each page has been dealt with the queue
 * is joined and closed. What fails is tried again after 100, 200, 400 ms, times a random part: clients that failed together
 * must not come back together (M. Brooker, "Exponential Backoff And Jitter", 2015). HTTP is parsed by http-parser. */
#include <eddy/eddy.h>
#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 8, A_HOST = 2, TRIES = 4, PAGES_MAX = 1000, HOSTS_MAX = 50, BODY_MAX = 256 * 1024 };

struct host {
    char name[128];
    uint16_t port;
    bool tls;
    eddy_semaphore *slots; /* requests at a time */
};
struct page {
    struct host *host;
    char path[256];
};

static struct {
    eddy_lock *lock; /* of hosts and pages: tasks on all cores add to them */
    eddy_queue *todo;
    eddy_tls *tls;
    struct host hosts[HOSTS_MAX];
    struct page pages[PAGES_MAX];
    size_t host_count, page_count;
} site;

/* ---- what there is to fetch ---- */

static struct host *find_host(const char *name, size_t length, uint16_t port, bool tls) {
    struct host *host = site.hosts;
    for (; host < site.hosts + site.host_count; host++)
        if (strlen(host->name) == length && memcmp(host->name, name, length) == 0 && host->port == port &&
            host->tls == tls)
            return host;
    if (site.host_count == HOSTS_MAX || length >= sizeof host->name) return NULL;
    *host = (struct host){.port = port, .tls = tls, .slots = eddy_semaphore_create(A_HOST)};
    memcpy(host->name, name, length);
    site.host_count += host->slots != NULL;
    return host->slots != NULL ? host : NULL;
}

/* A link found on a page of `base`; each page is fetched once, and what makes no sense is left out. */
static int add_link(struct host *base, const char *url, size_t length) {
    struct http_parser_url parts;
    http_parser_url_init(&parts);
    if (http_parser_parse_url(url, length, false, &parts) != 0 || !(parts.field_set & 1 << UF_PATH)) return 0;
    const size_t path = parts.field_data[UF_PATH].off;
    const size_t end = parts.field_set & 1 << UF_FRAGMENT ? parts.field_data[UF_FRAGMENT].off - 1u : length;
    if (end - path >= sizeof site.pages->path) return 0;
    int status = eddy_lock_acquire(site.lock);
    if (status < 0) return status;
    const bool tls = length > 5 && url[4] == 's';
    struct host *host = base;
    if (parts.field_set & 1 << UF_HOST)
        host = find_host(url + parts.field_data[UF_HOST].off, parts.field_data[UF_HOST].len,
                         parts.port != 0 ? parts.port
                         : tls           ? 443
                                         : 80,
                         tls);
    struct page *page = site.pages;
    while (page < site.pages + site.page_count &&
           (page->host != host || strlen(page->path) != end - path || memcmp(page->path, url + path, end - path) != 0))
        page++;
    const bool fresh = host != NULL && page == site.pages + site.page_count && site.page_count < PAGES_MAX;
    if (fresh) {
        *page = (struct page){.host = host};
        memcpy(page->path, url + path, end - path);
        site.page_count++;
    }
    (void)eddy_lock_unlock(site.lock);
    return fresh ? eddy_queue_put(site.todo, EDDY_PTR(page)) : 0;
}

static int add_links(const struct page *page, const char *body, int *links) {
    int status = 0;
    while (status == 0 && (body = strstr(body, "href=\"")) != NULL) {
        body += strlen("href=\"");
        const size_t length = strcspn(body, "\"");
        status = add_link(page->host, body, length);
        ++*links;
    }
    return status;
}

/* ---- one request ---- */

struct answer {
    unsigned code;
    bool complete;
    size_t bytes;
    char *body; /* ended by a 0 */
};

static int on_body(http_parser *parser, const char *data, size_t bytes) {
    struct answer *answer = parser->data;
    if (answer->bytes + bytes > BODY_MAX) return 1;
    char *body = realloc(answer->body, answer->bytes + bytes + 1);
    if (body == NULL) return 1;
    memcpy(body + answer->bytes, data, bytes);
    body[answer->bytes += bytes] = 0;
    answer->body = body;
    return 0;
}

static int on_complete(http_parser *parser) {
    struct answer *answer = parser->data;
    answer->complete = true;
    answer->code = parser->status_code;
    return 0;
}

static int exchange(eddy_stream *stream, const struct page *page, struct answer *answer) {
    static const http_parser_settings settings = {.on_body = on_body, .on_message_complete = on_complete};
    char buffer[4096];
    http_parser parser;
    http_parser_init(&parser, HTTP_RESPONSE);
    parser.data = answer;
    const int bytes = snprintf(buffer, sizeof buffer, "GET %s HTTP/1.1\r\nHost: %s:%u\r\nConnection: close\r\n\r\n",
                               page->path, page->host->name, page->host->port);
    int got = eddy_stream_write(stream, buffer, (size_t)bytes);
    while (got >= 0 && !answer->complete) {
        got = eddy_stream_read(stream, buffer, sizeof buffer);
        if (got < 0 && got != EDDY_EOF) break;
        const size_t more = got > 0 ? (size_t)got : 0; /* the end of the stream may be the end of the body */
        if (http_parser_execute(&parser, &settings, buffer, more) != more || (more == 0 && !answer->complete))
            return eddy_fail(EDDY_EINVAL, "no HTTP, cut off, or too long");
    }
    return got < 0 && got != EDDY_EOF ? got : 0;
}

static int fetch(const struct page *page, struct answer *answer) {
    eddy_stream *stream;
    int status = eddy_connect(&stream, page->host->name, page->host->port,
                              EDDY_CONNECT(.tls = page->host->tls ? site.tls : NULL));
    if (status < 0) return status;
    status = exchange(stream, page, answer);
    eddy_stream_release(stream); /* closes it */
    return status;
}

/* ---- pages ---- */

static int visit(const struct page *page) {
    struct answer answer = {0};
    int status = 0, tries = 0, links = 0;
    for (int64_t pause_ns = EDDY_MS(100); tries < TRIES; pause_ns *= 2) {
        if (tries > 0) status = eddy_sleep(pause_ns / 2 + random() % (pause_ns / 2));
        if (status == 0) status = eddy_semaphore_acquire(page->host->slots);
        if (status < 0) break; /* cancelled */
        free(answer.body);
        answer = (struct answer){0};
        status = EDDY_TIMEOUT(EDDY_SECONDS(10), fetch(page, &answer));
        (void)eddy_semaphore_post(page->host->slots);
        tries++;
        if (status == EDDY_ECANCELED || status == EDDY_ECERTIFICATE) break; /* another try changes nothing */
        if (status == 0 && answer.code < 500 && answer.code != 429) break;
        if (tries < TRIES) status = 0;
    }
    if (status == 0 && answer.code == 200 && answer.body != NULL) status = add_links(page, answer.body, &links);
    char what[16];
    snprintf(what, sizeof what, "%u", answer.code);
    printf("%s %s://%s:%u%s, %d links, tries: %d\n", status < 0 ? eddy_status_name(status) : what,
           page->host->tls ? "https" : "http", page->host->name, page->host->port, page->path, links, tries);
    free(answer.body);
    return status == EDDY_ECANCELED ? status : 0; /* a page that cannot be had is no failure of the crawl */
}

static int work(void *arg, eddy_value *out) {
    eddy_value page;
    int status;
    (void)arg, (void)out;
    while ((status = eddy_queue_get(site.todo, &page)) == 0) {
        status = visit(page.ptr);
        eddy_queue_task_done(site.todo);
        if (status < 0) return status;
    }
    return status == EDDY_ECLOSED ? 0 : status;
}

static int app(void *arg, eddy_value *out) {
    char **arguments = arg;
    eddy_group group;
    (void)out;
    site.lock = eddy_lock_create();
    site.todo = eddy_queue_create(0, NULL);
    if (site.lock == NULL || site.todo == NULL) return EDDY_ENOMEM;
    int status = eddy_tls_client_create(&site.tls, EDDY_TLS(.ca_file = arguments[2]));
    if (status == 0) status = eddy_group_enter(&group);
    if (status < 0) return status;
    for (int i = 0; i < WORKERS && status == 0; i++) status = eddy_group_spawn(&group, NULL, work, NULL, NULL);
    if (status == 0) status = add_link(NULL, arguments[1], strlen(arguments[1]));
    if (status == 0) status = eddy_queue_join(site.todo);
    eddy_queue_close(site.todo);
    status = eddy_group_exit(&group, status);
    printf("%zu pages on %zu hosts\n", site.page_count, site.host_count);
    for (size_t i = 0; i < site.host_count; i++) eddy_semaphore_release(site.hosts[i].slots);
    eddy_queue_release(site.todo);
    eddy_lock_release(site.lock);
    eddy_tls_release(site.tls);
    return status;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: crawler URL [TRUSTED.pem]\n");
        return 2;
    }
    return eddy_run(app, argv, NULL, EDDY_RUN(.handle_sigint = true)) < 0;
}
