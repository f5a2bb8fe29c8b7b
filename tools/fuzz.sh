#!/bin/bash
# fuzz.sh TIME: runs every fuzz target of the module for TIME (a Go duration) each; stops at the first that fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
time=${1:-10s}

count=0
for package in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		printf 'fuzz: %s %s for %s\n' "${package#*/*/*/}" "$target" "$time"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
		count=$((count + 1))
	done
done
printf 'fuzz: %d targets, none failed\n' "$count"
