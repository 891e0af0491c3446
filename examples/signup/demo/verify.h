/* verify.h: does the database agree with what clients were answered? */
#ifndef SIGNUP_DEMO_VERIFY_H
#define SIGNUP_DEMO_VERIFY_H

#include "demo/drive.h"

/* Compares both, and computes every hash again, on all cores. The service must have ended. Fills outcome->users and
 * ->right_hashes; differences are faults in its tally. Blocks. @return 0, or why it could not be done. */
int verify(struct outcome *outcome, const char *database);

#endif
