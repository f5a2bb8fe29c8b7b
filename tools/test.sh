#!/bin/bash
# Runs every test with the race detector, and seeds of the simulation: tools/test.sh TIMEOUT. Tests with real servers mostly wait, and
# those in virtual time (of agent all but TestReal…) only take longer beside others: they are given what is left of the processors.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

flags=(-race -shuffle=on -p 1 -parallel 8 -timeout "$1")
# Under the race detector timers of testing/synctest crash Go 1.26 where two of a bubble run on two processors: they share one race
# context. Tests that use it have one processor.
imports='{{range .TestImports}}{{.}} {{end}}{{range .XTestImports}}{{.}} {{end}}'
mapfile -t virtual < <(go list ./agent ./agent/guard ./agent/simulation)
mapfile -t rest < <(go list ./... | grep -vxF "$(printf '%s\n' "${virtual[@]}")")
mapfile -t single < <(go list -f "{{.ImportPath}} $imports" "${rest[@]}" | awk '/ testing\/synctest( |$)/ {print $1}')
mapfile -t others < <(printf '%s\n' "${rest[@]}" | grep -vxF "$(printf '%s\n' "${single[@]}")")
if [ ${#virtual[@]} != 3 ] || [ ${#single[@]} -lt 4 ] || [ ${#others[@]} -lt 4 ]; then
	echo "test: cannot list the packages" >&2
	exit 1
fi
export SLOTSYNC_SEEDS=${SLOTSYNC_SEEDS:-8}
log=$(mktemp)
set -m # in the background is a group of processes of its own, which can be ended with all of them
(
	code=0
	nice -n 19 go test "${flags[@]}" -cpu 1 -skip '^TestReal' "${virtual[@]}" || code=$?
	nice -n 19 tools/simulate.sh 1 500 || code=$?
	exit "$code"
) >"$log" 2>&1 &
beside=$!
set +m
trap 'kill -- -"$beside" 2>/dev/null || true; rm -f "$log"' EXIT
trap 'exit 130' INT TERM # go test has an exit code of its own then, and bash would go on

code=0
go test "${flags[@]}" "${others[@]}" || code=$?
go test "${flags[@]}" -cpu 1 "${single[@]}" || code=$?
go test "${flags[@]}" -cpu 1 -run '^TestReal' ./agent || code=$?
wait "$beside" || code=$?
cat "$log"
exit "$code"
