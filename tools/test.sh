#!/bin/bash
# Runs every test with the race detector, and seeds of the simulation: tools/test.sh TIMEOUT. Tests with real servers mostly wait, and
# those in virtual time (of agent all but TestReal…) only take longer beside others: they are given what is left of the processors.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

flags=(-race -shuffle=on -p 1 -parallel 8 -timeout "$1")
mapfile -t virtual < <(go list ./agent ./agent/guard ./agent/simulation)
mapfile -t real < <(go list ./... | grep -vxF "$(printf '%s\n' "${virtual[@]}")")
if [ ${#virtual[@]} != 3 ] || [ ${#real[@]} -lt 4 ]; then
	echo "test: cannot list the packages" >&2
	exit 1
fi
export SLOTSYNC_SEEDS=8
log=$(mktemp)
set -m # in the background is a group of processes of its own, which can be ended with all of them
(
	code=0
	nice -n 19 go test "${flags[@]}" -skip '^TestReal' "${virtual[@]}" || code=$?
	nice -n 19 tools/simulate.sh 1 500 || code=$?
	exit "$code"
) >"$log" 2>&1 &
beside=$!
set +m
trap 'kill -- -"$beside" 2>/dev/null; rm -f "$log"' EXIT
trap 'exit 130' INT TERM # go test has an exit code of its own then, and bash would go on

code=0
go test "${flags[@]}" "${real[@]}" || code=$?
go test "${flags[@]}" -run '^TestReal' ./agent || code=$?
wait "$beside" || code=$?
cat "$log"
exit "$code"
