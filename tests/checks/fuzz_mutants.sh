#!/bin/sh
# limit: 200 s
# Every fault planted in eddy is found by the fuzzer's recorded programs.
exec "${EDDY_ROOT:-$(pwd)}/tests/fuzz/mutants.sh"
