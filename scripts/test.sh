#!/usr/bin/env bash
# Runs every test in two processes of about the same length: what drives whole programs and browsers, with what needs
# little time, beside all the rest.
# With arguments it is pytest with these arguments, in one process.
set -uo pipefail
cd "$(dirname "$0")/.."

PYTEST=.venv/bin/pytest
FIRST=(
    tests/alignment/{configs,export,formats,generation,judges,objectives,statistics,toyworld}
    tests/frontend tests/browser tests/plumbline
)

if [ $# -gt 0 ]; then exec $PYTEST "$@"; fi

export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"  # threads of two processes that share the cores wait for each other
said=$(mktemp)
trap 'rm -f "$said"' EXIT
$PYTEST "${FIRST[@]}" >"$said" 2>&1 &
first=$!
trap 'kill -INT $first; wait' INT TERM
$PYTEST "${FIRST[@]/#/--ignore=}"
rest=$?
wait $first
status=$?
cat "$said"
[ $rest = 0 ] && [ $status = 0 ]
