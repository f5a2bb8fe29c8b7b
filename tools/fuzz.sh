#!/bin/bash
# fuzz.sh TIME: runs every fuzz target of the module for TIME (a Go duration) each; stops at the first that fails.
# An input that reaches something new is made smaller for 2s, not for 60s as Go has it, which may be all of TIME.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
time=${1:-10s}

count=0
for package in $(go list ./...); do
	targets=$(go test -list '^Fuzz' "$package")
	for target in $(grep '^Fuzz' <<<"$targets" || true); do
		printf 'fuzz: %s %s for %s\n' "${package#*/*/*/}" "$target" "$time"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 2s "$package"
		count=$((count + 1))
	done
done
[ "$count" -gt 0 ] || { echo 'fuzz: there is no target' >&2; exit 1; }
printf 'fuzz: %d targets, none failed\n' "$count"
