#!/usr/bin/env bash
# Runs every test in two processes that share them (tests/halves.py): one begins with what drives browsers and whole
# programs, the other with the API and the workers, and they meet among the many small tests of the engine.
# With arguments it is pytest with these arguments, in one process.
set -uo pipefail
cd "$(dirname "$0")/.."

if [ $# -gt 0 ]; then exec .venv/bin/pytest "$@"; fi

export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"  # threads of two processes that share the cores wait for each other
shared=$(mktemp -d)
trap 'rm -rf "$shared"' EXIT
mkdir "$shared/claims"
half() {
    exec .venv/bin/python -m pytest -p tests.halves --claims "$shared/claims" "$@" \
        tests/browser tests/frontend tests/plumbline tests/alignment tests/test_*.py tests/workers tests/backend
}
(half) >"$shared/said" 2>&1 &
first=$!
trap 'kill -INT $first; wait' INT TERM
(half --backwards)
rest=$?
wait $first
status=$?
cat "$shared/said"
[ $rest = 0 ] && [ $status = 0 ]
