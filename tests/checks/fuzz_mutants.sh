#!/bin/sh
# limit: 1200 s
# Every fault planted in eddy is found by the fuzzer's recorded programs.
exec "${EDDY_ROOT:-$(pwd)}/tests/fuzz/mutants.sh"
