#!/bin/bash
# build-nomad.sh: Nomad 1.10.5 as .cache/deps/nomad/nomad (or below $SLOTSYNC_DEPS), from its Go module: Debian has none.
# It takes 5 to 10 minutes on two cores and is for `make test-nomad` alone. The checksum database does not know all of its
# modules everywhere, hence GONOSUMDB for their names.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${SLOTSYNC_DEPS:-$root/.cache/deps}/nomad
version=v1.10.5
api=v0.0.0-20261016150620-df630b26e78a # its own requirement is older than its code

if [[ $("$folder/nomad" version 2>/dev/null) != "Nomad $version"* ]]; then
	mkdir -p "$folder"
	work=$(mktemp -d "$folder/.work.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	cd "$work"
	export GONOSUMDB='github.com/hashicorp/*' GOFLAGS=-mod=mod
	printf 'module nomad\ngo 1.26\n' >go.mod
	echo "nomad: building $version, which takes minutes"
	go get -tool "github.com/hashicorp/nomad@$version" 2>get.log || { cat get.log >&2; exit 1; }
	go get "github.com/hashicorp/nomad/api@$api" 2>get.log || { cat get.log >&2; exit 1; }
	# The version is said by a file that only releases have.
	go build -trimpath -ldflags "-s -w" -o nomad github.com/hashicorp/nomad
	mv nomad "$folder/nomad"
fi
"$folder/nomad" version | head -n 1
