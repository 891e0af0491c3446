/* rule.h: what a test of one of asyncio's rules is.
 *
 * Each is named by its rule and clause: TG4_the_bodys_failure_comes_last. RULE runs it in a serial domain, where it
 * holds to the letter, and outside domains on any workers; RULE_OF_ORDER in domains only. With the option TEST_REAL never
 * on the simulator. Where a rule is of a later CPython than 3.13 the test says so: it was read, not run. Traces were made
 * by the same programs on CPython 3.13. planted.txt breaks the rules, and each break must turn a test red. */
#ifndef CONTRACT_RULE_H
#define CONTRACT_RULE_H

#include "harness/test.h"

#define RULE(name_, ...) CONTRACT_TEST(contract, name_, __VA_ARGS__)
#define RULE_OF_ORDER(name_, ...) SERIAL_TEST(contract, name_, __VA_ARGS__)

#endif
