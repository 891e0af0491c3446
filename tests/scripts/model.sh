#!/bin/sh
# limit: 1800 s
# without: thread address
# A slice of the model checks, and every planted fault: all of it is `zig build model`.
exec "${EDDY_ROOT:-$(pwd)}/tests/model/run.sh" --slice
