#!/bin/bash
# build.sh BINARY VERSION FOLDER: a .deb, .rpm and .apk of BINARY in FOLDER, the same bytes from the same BINARY and
# $SOURCE_DATE_EPOCH. For another architecture than this machine's, $GOARCH says which.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
binary=$(realpath "$1")
version=$2
mkdir -p "$3"
folder=$(realpath "$3")
: "${SOURCE_DATE_EPOCH:?when the sources were changed last}"
export SOURCE_DATE_EPOCH

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
cd "$root"

# package_version: packages are ordered by it, so v1.2.0-3-gabcdef is later than v1.2.0.
package_version() {
	local day
	day=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d)
	if [[ $version =~ ^v?([0-9]+\.[0-9]+\.[0-9]+)$ ]]; then
		printf '%s' "${BASH_REMATCH[1]}"
	elif [[ $version =~ ^v?([0-9]+\.[0-9]+\.[0-9]+)-([0-9]+-g.*)$ ]]; then
		printf '%s+%s' "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]//-/.}"
	else
		printf '0.0.0+%s.%s' "$day" "${version//[^A-Za-z0-9.]/.}"
	fi
}

# gather puts what nfpm.yaml names into the stage.
gather() {
	local runs=$binary shell
	if [ "$(go env GOARCH)" != "$(go env GOHOSTARCH)" ]; then
		runs=$stage/here
		GOARCH=$(go env GOHOSTARCH) go build -o "$runs" ./cmd/slotsync
	fi
	cp "$binary" "$stage/slotsync"
	cp examples/systemd/slotsync.{service,socket,sysusers,tmpfiles,rules} tools/packaging/{slotsync.yaml,nfpm.yaml,lintian-overrides,*.sh} "$stage"
	cp -r examples "$stage/examples"
	find "$stage/examples" -name '*.go' -delete
	mkdir "$stage/man" "$stage/completion"
	"$runs" man "$stage/man"
	gzip -n9 "$stage"/man/*
	for shell in bash zsh fish; do "$runs" completion "$shell" >"$stage/completion/$shell"; done
	printf 'Files: *\nCopyright: 2026 the slotsync authors\nLicense: Apache-2.0\n On Debian systems the text of this license is in\n /usr/share/common-licenses/Apache-2.0.\n' |
		cat <(printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nSource: https://github.com/slotsync/slotsync\n\n') - >"$stage/copyright"
	printf 'slotsync (%s) unstable; urgency=medium\n\n  * Release %s.\n\n -- slotsync maintainers <maintainers@slotsync.invalid>  %s\n' \
		"$PACKAGE_VERSION" "$version" "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -n9 >"$stage/changelog.gz"
	chmod -R u=rwX,go=rX "$stage"
	find "$stage" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
}

ARCH=$(go env GOARCH)
PACKAGE_VERSION=$(package_version)
export ARCH PACKAGE_VERSION
gather
nfpm=$(GOARCH=$(go env GOHOSTARCH) go tool -n -modfile=tools/release/go.mod nfpm)
cd "$stage"
for kind in deb rpm apk; do "$nfpm" package --config nfpm.yaml --packager "$kind" --target "$folder/" >/dev/null; done
