#!/bin/bash
# Runs every test with the race detector, and seeds of the simulation: tools/test.sh TIMEOUT. Tests with real servers mostly wait, and
# those in virtual time only take longer beside others: they are given what is left of the processors.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

flags=(-race -shuffle=on -p 1 -parallel 8 -timeout "$1")
mapfile -t virtual < <(go list ./agent ./agent/guard ./agent/simulation)
mapfile -t real < <(go list ./... | grep -vxF "$(printf '%s\n' "${virtual[@]}")")
[ ${#virtual[@]} = 3 ] && [ ${#real[@]} -gt 3 ] || { echo "test: cannot list the packages" >&2; exit 1; }
export SLOTSYNC_SEEDS=8
log=$(mktemp)
(
	code=0
	nice -n 19 go test "${flags[@]}" "${virtual[@]}" || code=$?
	nice -n 19 tools/simulate.sh 1 500 || code=$?
	exit "$code"
) >"$log" 2>&1 &
trap 'kill %1 2>/dev/null; rm -f "$log"' EXIT

code=0
go test "${flags[@]}" "${real[@]}" || code=$?
wait %1 || code=$?
cat "$log"
exit "$code"
