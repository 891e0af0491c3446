/* options.c: see options.h. */
#include "common/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(const struct option *options, size_t count, const char *usage) {
    printf("%s\n", usage);
    for (size_t i = 0; i < count; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", options[i].name, options[i].value != NULL ? options[i].value : "");
        printf("  %-22s %s\n", left, options[i].help);
    }
    printf("  %-22s this text\n", "--help");
}

static bool set_number(const struct option *option, const char *text) {
    char *end;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != 0) return false;
    if (number < option->min || number > option->max) return false;
    *(int64_t *)option->target = number;
    return true;
}

static bool set_seconds(const struct option *option, const char *text) {
    char *end;
    const double seconds = strtod(text, &end);
    if (end == text || *end != 0) return false;
    if (!(seconds >= (double)option->min && seconds <= (double)option->max)) return false;
    *(int64_t *)option->target = (int64_t)(seconds * 1e9);
    return true;
}

static bool set(const struct option *option, const char *text) {
    switch (option->kind) {
    case OPTION_NUMBER: return set_number(option, text);
    case OPTION_SECONDS: return set_seconds(option, text);
    case OPTION_TEXT: *(const char **)option->target = text; return true;
    case OPTION_FLAG: break;
    }
    return false;
}

static const struct option *find(const struct option *options, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(options[i].name, name) == 0) return &options[i];
    return NULL;
}

static enum options_result wrong(const char *program, const char *word, const char *why) {
    fprintf(stderr, "%s: %s %s (try --help)\n", program, word, why);
    return OPTIONS_WRONG;
}

enum options_result options_parse(const struct option *options, size_t count, const char *usage, int argc,
                                  char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help(options, count, usage);
            return OPTIONS_HELPED;
        }
        const struct option *option = find(options, count, argv[i]);
        if (option == NULL) return wrong(argv[0], argv[i], "is not an option");
        if (option->kind == OPTION_FLAG) {
            *(bool *)option->target = true;
            continue;
        }
        if (++i == argc) return wrong(argv[0], option->name, "needs a value");
        if (set(option, argv[i])) continue;
        char why[96];
        snprintf(why, sizeof why, "must be from %lld to %lld, not '%.20s'", (long long)option->min,
                 (long long)option->max, argv[i]);
        return wrong(argv[0], option->name, why);
    }
    return OPTIONS_GO_ON;
}
