/* process_calls.c: work for other processes: an image in shared memory, an open file, many small pieces.
 *
 *   brighten     changes an image where it lies, in memory that both processes see; says how far it is; stops when nobody
 *                waits any more
 *   print_sum    writes to a descriptor that came with the call
 *   count_primes one of many pieces of work, four of them under way at once */
#include <eddy/eddy.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 400, COLUMNS = 1000, PIECES = 20, PIECE = 5000 };

/* ---- in the worker processes ------------------------------------------------------------------ */

static int brighten(eddy_bytes in, eddy_bytes *out) {
    const eddy_bytes image = eddy_process_lent_buffer();
    unsigned char *pixel = image.data;
    (void)out;
    for (int row = 0; row < ROWS; row++) {
        if (eddy_process_cancelled()) return eddy_fail(EDDY_ECANCELED, "stopped at row %d", row);
        for (int column = 0; column < COLUMNS; column++, pixel++) *pixel = *pixel > 205 ? 255 : *pixel + 50;
        if (row % 100 == 99) eddy_process_report(&row, sizeof row);
        if (in.size > 0) usleep(1000); /* a slow one */
    }
    return 0;
}
EDDY_REMOTE(brighten);

static int print_sum(eddy_bytes in, eddy_bytes *out) {
    int number[2], fd = eddy_process_fd_take(0);
    (void)out;
    if (fd < 0) return fd;
    memcpy(number, in.data, sizeof number);
    dprintf(fd, "%d + %d = %d\n", number[0], number[1], number[0] + number[1]);
    return close(fd);
}
EDDY_REMOTE(print_sum);

static int count_primes(eddy_bytes in, eddy_bytes *out) {
    int first, count = 0;
    memcpy(&first, in.data, sizeof first);
    for (int number = first; number < first + PIECE; number++) {
        int divisor = 2;
        while (divisor * divisor <= number && number % divisor != 0) divisor++;
        count += number > 1 && divisor * divisor > number;
    }
    return eddy_bytes_copy(out, &count, sizeof count);
}
EDDY_REMOTE(count_primes);

/* ---- in this one ------------------------------------------------------------------------------ */

static int show_rows(void *arg, eddy_bytes report, uint64_t number) {
    (void)number; /* a slow caller misses some, but never the last */
    memcpy(arg, report.data, sizeof(int));
    return 0;
}

static int change_image(eddy_process_pool *pool) {
    eddy_process_buffer *image;
    int status = eddy_process_buffer_create(&image, ROWS * COLUMNS);
    if (status < 0) return status;
    memset(eddy_process_buffer_bytes(image).data, 100, ROWS * COLUMNS);
    int rows = 0;
    status = eddy_process_pool_call(pool, brighten, eddy_bytes_view(NULL, 0), NULL,
                                    EDDY_PROCESS_CALL(.buffer = &image, .progress = show_rows, .progress_arg = &rows));
    const unsigned char *pixels = eddy_process_buffer_bytes(image).data;
    printf("the last report came from row %d; the last pixel is %d\n", rows, pixels[ROWS * COLUMNS - 1]);

    int late = EDDY_TIMEOUT(EDDY_MS(50), eddy_process_pool_call(pool, brighten, eddy_bytes_view("slow", 4), NULL,
                                                                EDDY_PROCESS_CALL(.buffer = &image)));
    eddy_process_pool_stats stats;
    eddy_process_pool_stats_read(pool, &stats);
    printf("the slow one: %s, and %d processes were killed\n", eddy_status_name(late), (int)stats.kills);
    eddy_process_buffer_release(image);
    return status;
}

static int next_piece(void *arg, eddy_bytes *in_out) {
    static int firsts[PIECES];
    int *given = arg;
    if (*given == PIECES) return 0;
    firsts[*given] = *given * PIECE;
    *in_out = eddy_bytes_view(&firsts[(*given)++], sizeof firsts[0]);
    return 1;
}

static int add_piece(void *arg, size_t index, eddy_bytes in, int status, eddy_bytes *out) {
    int count, *sum = (int *)arg + 1;
    (void)index, (void)in;
    if (status < 0) return status; /* and the map stops */
    memcpy(&count, out->data, sizeof count);
    *sum += count;
    return 0;
}

static int app(void *arg, eddy_value *out) {
    (void)arg, (void)out;
    eddy_process_pool *pool;
    int status = eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 2, .grace_ns = EDDY_SECONDS(5)));
    if (status < 0) return status;
    status = change_image(pool);
    const int numbers[] = {19, 23}, fd = STDOUT_FILENO;
    fflush(stdout);
    if (status == 0)
        status = eddy_process_pool_call(pool, print_sum, eddy_bytes_view(numbers, sizeof numbers), NULL,
                                        EDDY_PROCESS_CALL(.fds = &fd, .fds_count = 1));
    int given_and_sum[2] = {0, 0};
    if (status == 0)
        status = eddy_process_pool_map(
            pool, count_primes,
            EDDY_PROCESS_MAP(.next = next_piece, .each = add_piece, .arg = given_and_sum, .buffer = 4));
    printf("%d primes below %d\n", given_and_sum[1], PIECES * PIECE);
    const int closed = eddy_process_pool_close(pool);
    return status < 0 ? status : closed;
}

int main(void) { return eddy_run(app, NULL, NULL, NULL) < 0; }
