/* bench.h: what a benchmark written in C or C++ shares with the runner, eddy's and its peers' alike.
 *
 * A program asks one question. The runner (bench/run.py) starts it with --workers N --size N --repetitions N, and with
 * --form TEXT where a question has more than one. It works `size` through once per repetition, between bench_start()
 * and bench_stop(), and bench_stop() prints one line of JSON: wall and CPU time, resident memory, how many operations,
 * and a checksum. The runner knows the right checksum: a wrong answer has no speed.
 *
 * Nothing here is eddy's. eddy's programs define bench_repetition(), and main.c calls it inside a run; peers define
 * their own main. Threads: the one that called bench_open(). */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench {
    int workers;      /* threads that may run tasks                                              */
    int64_t size;     /* how much one repetition does; what it counts is the question's business */
    int repetitions;  /* in this process; the first one is cold                                  */
    int repetition;   /* the current one, from 1                                                 */
    const char *form; /* "" is the question's plain form                                         */
};
extern struct bench bench;

/* Reads the arguments; a wrong one ends the program with code 2. */
void bench_open(int argc, char **argv);

bool bench_form(const char *form); /* is it this one? */

/* Between the two lies what is measured. `cell` names a part of the question, NULL: all of it. */
void bench_start(void);
void bench_stop(const char *cell, int64_t operations, int64_t checksum);

/* A measured amount that is not a time: bytes, mostly. */
void bench_amount(const char *cell, const char *unit, double amount, int64_t checksum);

/* Ends the program: an operation failed, so there is no figure. */
void bench_fail(const char *what, int status);

int64_t bench_now_ns(void);
int64_t bench_resident_bytes(void);
void bench_pin(int core); /* the calling thread, modulo the cores there are */

/* In each of eddy's programs: one repetition, called in the main task. */
void bench_repetition(void);

#ifdef __cplusplus
}
#endif

#endif
