#!/bin/sh
# limit: 600 s
# without: thread address
# A slice of the fuzzer: the recorded programs everywhere; live for ten seconds where there is a CPython that is new enough;
# and a planted fault that must be found. All of it is `zig build fuzz`; all planted faults are in `zig build check`.
set -eu
cd "${EDDY_ROOT:-$(pwd)}"
fuzz="tests/fuzz/fuzz.py --interpreter $EDDY_BUILD_DIR/eddy-fuzz"
$fuzz --recorded
EDDY_PYTHON=/nonexistent $fuzz # as where there is none
$fuzz --programs 1000000 --seconds 10
tests/fuzz/mutants.sh --shrink uncancel_leaves_it_pending
