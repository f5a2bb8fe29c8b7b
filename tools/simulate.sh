#!/bin/bash
# Runs seeds of the simulation in both modes beside each other: tools/simulate.sh FIRST COUNT [cover]. With "cover" it says which
# share of the agent they have reached, and of which functions they have reached least.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

first=$1 count=$2
out=.cache/simulate
mkdir -p "$out"
rm -f "$out"/running.*
cover=()
if [ "${3:-}" = cover ]; then cover=(-coverpkg=./agent,./agent/guard,./agent/override,./agent/placement,./agent/reconciler,./agent/reloadpolicy,./agent/sources,./agent/store); fi
go test -c "${cover[@]}" -o "$out/simulation.test" ./agent/simulation

# One processor for each: goroutines that wait for one another all the time are three times as fast on one.
export SLOTSYNC_PROCS=1 SLOTSYNC_SEED=$first SLOTSYNC_SEEDS=$count SLOTSYNC_RUNNING=$PWD/$out/running
pids=()
for mode in safety liveness; do
	(
		args=(-test.v -test.timeout 12h -test.run "^TestSimulation\$/^$mode\$")
		if [ ${#cover[@]} -gt 0 ]; then args+=(-test.coverprofile "$PWD/$out/$mode.cover"); fi
		"$out/simulation.test" "${args[@]}" >"$out/$mode.log"
	) &
	pids+=($!)
done
code=0
for pid in "${pids[@]}"; do wait "$pid" || code=$?; done
for mode in safety liveness; do
	echo "simulation, $mode:"
	grep -v '^=== ' "$out/$mode.log" || true
done
if [ "$code" != 0 ]; then
	echo "the simulation failed (exit $code); the seeds that ran last: $(tail -n +1 "$out"/running.* 2>/dev/null | tr -s "\n" " ")"
	exit 1
fi
if [ ${#cover[@]} -gt 0 ]; then
	{ cat "$out/safety.cover"; tail -n +2 "$out/liveness.cover"; } >"$out/both.cover"
	awk -f tools/reached.awk <(go tool cover -func "$out/both.cover") "$out/both.cover"
fi
