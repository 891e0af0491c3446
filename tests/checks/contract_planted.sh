#!/bin/sh
# limit: 1200 s
# A sample of the planted faults that the contract's tests must find; all of them: tests/contract/planted.sh.
exec "$EDDY_ROOT/tests/contract/planted.sh" --sample
