#!/usr/bin/env bash
# Runs every test: what drives whole programs and browsers beside all the rest, in two processes, as both wait a lot.
# With arguments it is pytest with these arguments, in one process.
set -uo pipefail
cd "$(dirname "$0")/.."

PYTEST=.venv/bin/pytest
PROGRAMS=(tests/browser tests/plumbline)

if [ $# -gt 0 ]; then exec $PYTEST "$@"; fi

export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"  # threads of two processes that share the cores wait for each other
said=$(mktemp)
trap 'rm -f "$said"' EXIT
$PYTEST "${PROGRAMS[@]}" >"$said" 2>&1 &
programs=$!
trap 'kill -INT $programs; wait' INT TERM
$PYTEST "${PROGRAMS[@]/#/--ignore=}"
rest=$?
wait $programs
status=$?
cat "$said"
[ $rest = 0 ] && [ $status = 0 ]
