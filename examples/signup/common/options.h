/* options.h: a program's flags as a table: parsing, checking and the help text come from the same lines. */
#ifndef SIGNUP_OPTIONS_H
#define SIGNUP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
    OPTION_FLAG,    /* bool: true when it is there                  */
    OPTION_NUMBER,  /* int64_t within min and max                   */
    OPTION_SECONDS, /* int64_t nanoseconds; min and max in seconds  */
    OPTION_TEXT     /* const char *: borrowed from argv             */
};

struct option {
    const char *name;  /* "--port"                     */
    const char *value; /* what the help calls its value */
    const char *help;
    enum option_kind kind;
    void *target;
    int64_t min, max;
};

enum options_result { OPTIONS_GO_ON, OPTIONS_HELPED, OPTIONS_WRONG };

/* Sets the targets from argv. "--help" prints `usage` and the table; a mistake is told on standard error. */
enum options_result options_parse(const struct option *options, size_t count, const char *usage, int argc, char **argv);

#endif
