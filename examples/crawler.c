/* crawler.c: fetches a site: bounded concurrency, a bound for each host, timeouts, retries, TLS; as a guest.
 *     crawler https://127.0.0.1:7443/ [TRUSTED.pem]
 * Eight tasks take pages from a queue and put the links that they find into it; when each page has been dealt with the queue
 * is joined and closed. What fails is tried again after 100, 200, 400 ms, times a random part: clients that failed together
 * must not come back together (M. Brooker, "Exponential Backoff And Jitter", 2015). HTTP is parsed by http-parser.
 * Manners: it says who it is, stays with the machine that it was sent to, asks it two things at a time with a pause after
 * each, and keeps to its robots.txt (RFC 9309): where that cannot be had nothing is fetched. Left out: links that are
 * relative to their page, redirections. */
#include <eddy/eddy.h>
#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME "eddy-crawler"
enum { WORKERS = 8, A_HOST = 2, TRIES = 4, PAGES_MAX = 1000, HOSTS_MAX = 50, BODY_MAX = 256 * 1024, RULES_MAX = 64 };

struct rule {
    bool allows;
    char path[128];
};

struct host {
    char name[128];
    uint16_t port;
    bool tls;
    eddy_semaphore *slots; /* requests at a time */
    eddy_once *asked;      /* for its rules */
    bool closed;           /* to us, all of it */
    int64_t pause_ns;      /* after each request, in its slot */
    size_t rule_count;
    struct rule rules[RULES_MAX];
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
    if (site.host_count > 0 && (strlen(site.hosts->name) != length || memcmp(site.hosts->name, name, length) != 0))
        return NULL; /* another machine */
    *host = (struct host){.port = port,
                          .tls = tls,
                          .slots = eddy_semaphore_create(A_HOST),
                          .asked = eddy_once_create(),
                          .pause_ns = EDDY_MS(50)};
    memcpy(host->name, name, length);
    const bool complete = host->slots != NULL && host->asked != NULL;
    site.host_count += complete;
    return complete ? host : NULL;
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
    const int bytes = snprintf(buffer, sizeof buffer,
                               "GET %s HTTP/1.1\r\nHost: %s:%u\r\nUser-Agent: " NAME "\r\nConnection: close\r\n\r\n",
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

/* Until there is an answer that another try would not change. */
static int get(const struct page *page, struct answer *answer, int *tries) {
    struct host *host = page->host;
    int status = 0;
    *tries = 0;
    for (int64_t pause_ns = EDDY_MS(100); *tries < TRIES; pause_ns *= 2) {
        if (*tries > 0) status = eddy_sleep(pause_ns / 2 + random() % (pause_ns / 2));
        if (status == 0) status = eddy_semaphore_acquire(host->slots);
        if (status < 0) break; /* cancelled */
        free(answer->body);
        *answer = (struct answer){0};
        status = EDDY_TIMEOUT(EDDY_SECONDS(10), fetch(page, answer));
        const int slept = status == EDDY_ECANCELED ? status : eddy_sleep(host->pause_ns);
        (void)eddy_semaphore_post(host->slots);
        ++*tries;
        if (slept < 0) return slept;
        if (status == EDDY_ECERTIFICATE || (status == 0 && answer->code < 500 && answer->code != 429)) break;
        if (*tries < TRIES) status = 0;
    }
    return status;
}

static void print(const struct page *page, int status, unsigned code, const char *more) {
    char what[16];
    snprintf(what, sizeof what, "%u", code);
    printf("%s %s://%s:%u%s, %s\n", status < 0 ? eddy_status_name(status) : what, page->host->tls ? "https" : "http",
           page->host->name, page->host->port, page->path, more);
}

/* ---- robots.txt ---- */

/* The lines for `agent`; whether there are any. */
static bool read_rules(struct host *host, const char *text, const char *agent) {
    bool found = false, ours = false, naming = false; /* inside a group; among the names at its beginning */
    for (; *text != 0; text += strcspn(text, "\r\n"), text += strspn(text, "\r\n")) {
        char line[256], key[16] = "", value[sizeof host->rules->path] = "";
        snprintf(line, sizeof line, "%.*s", (int)strcspn(text, "\r\n"), text);
        if (sscanf(line, " %15[^: \t#] : %127[^# \t]", key, value) < 1) continue;
        if (strcasecmp(key, "user-agent") == 0) {
            ours = (naming && ours) || strcasecmp(value, agent) == 0;
            found |= ours;
        }
        naming = strcasecmp(key, "user-agent") == 0;
        if (!ours || value[0] == 0) continue;
        const bool allows = strcasecmp(key, "allow") == 0;
        if (strcasecmp(key, "crawl-delay") == 0 && atoi(value) > 0)
            host->pause_ns = A_HOST * EDDY_SECONDS(atoi(value) % 3600);
        if (!allows && strcasecmp(key, "disallow") != 0) continue;
        host->closed |= host->rule_count == RULES_MAX; /* too many to keep to */
        if (host->closed) continue;
        struct rule *rule = &host->rules[host->rule_count++];
        rule->allows = allows;
        snprintf(rule->path, sizeof rule->path, "%s", value);
    }
    return found;
}

/* Whether the path begins as the rule says: * is anything, $ at its end the path's end. */
static bool matches(const char *rule, const char *path) {
    const char *star = NULL, *from = NULL; /* the last *, and what comes behind it in the path for now */
    while (*rule != 0 && !(*rule == '$' && rule[1] == 0 && *path == 0)) {
        if (*rule == '*') {
            star = ++rule;
            from = path;
        } else if (*path != 0 && *rule == *path) {
            rule++;
            path++;
        } else if (star == NULL || *from == 0) {
            return false;
        } else {
            rule = star;
            path = ++from;
        }
    }
    return true;
}

/* The longest rule counts; of two that are as long the one that allows. */
static bool may_fetch(const struct host *host, const char *path) {
    bool allowed = true;
    size_t longest = 0;
    for (const struct rule *rule = host->rules; rule < host->rules + host->rule_count; rule++) {
        const size_t length = 2 * strlen(rule->path) + rule->allows;
        if (length <= longest || !matches(rule->path, path)) continue;
        longest = length;
        allowed = rule->allows;
    }
    return allowed && !host->closed;
}

static int ask_for_rules(void *arg) {
    struct page page = {.host = arg, .path = "/robots.txt"};
    struct answer answer = {0};
    int tries;
    const int status = get(&page, &answer, &tries);
    const bool none = answer.code >= 400 && answer.code < 500 && answer.code != 429;
    page.host->closed = status < 0 || (answer.code != 200 && !none);
    if (!page.host->closed && !none && answer.body != NULL && !read_rules(page.host, answer.body, NAME))
        (void)read_rules(page.host, answer.body, "*");
    if (page.host->closed) print(&page, status, answer.code, "so it is left alone");
    free(answer.body);
    return status == EDDY_ECANCELED ? status : 0;
}

/* ---- pages ---- */

static int visit(const struct page *page) {
    struct answer answer = {0};
    char more[64];
    int tries, links = 0;
    int status = eddy_once_run(page->host->asked, ask_for_rules, page->host);
    if (status < 0 || !may_fetch(page->host, page->path)) return status;
    status = get(page, &answer, &tries);
    if (status == 0 && answer.code == 200 && answer.body != NULL) status = add_links(page, answer.body, &links);
    snprintf(more, sizeof more, "%d links, tries: %d", links, tries);
    print(page, status, answer.code, more);
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
    for (size_t i = 0; i < site.host_count; i++) {
        eddy_semaphore_release(site.hosts[i].slots);
        eddy_once_release(site.hosts[i].asked);
    }
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
