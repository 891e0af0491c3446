/* report.h: what the demo found out, for people or for programs. */
#ifndef SIGNUP_DEMO_REPORT_H
#define SIGNUP_DEMO_REPORT_H

#include "demo/drive.h"

/* On standard output: words, or one line of JSON if the settings say so. */
void report(struct outcome *outcome, bool ok);

#endif
