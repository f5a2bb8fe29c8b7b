#!/bin/bash
# deps.sh [NAME...]: the real HAProxy, Consul and DNS servers that the tests and the demo talk to.
#
#   haproxy-2.6  Debian 12 bookworm     haproxy-3.0  Debian 13 trixie
#   haproxy-3.2  forky or sid           haproxy-3.4  experimental, its libraries of sid
#   consul       1.8.7, Debian 11 bullseye
#   bind9, unbound, dnsmasq, prometheus (for promtool)   Debian 12 bookworm
#
# Without NAME all of them. They are unpacked into .cache/deps (or $SLOTSYNC_DEPS) as NAME/haproxy, consul/consul,
# bind9/named, unbound/unbound, dnsmasq/dnsmasq and prometheus/promtool, each with its own C library, so that they run on any Linux.
# Unpacking touches no system package, starts nothing and adds no user: apt works on private state and asks the mirror
# that this machine is configured with (or $SLOTSYNC_DEBIAN_MIRROR).
# The Go modules that building, linting and the tests need go into Go's cache.
# What building and the tests need besides (a C compiler, git, systemd, a browser, lintian) is installed by apt, as root; else one
# line says what is missing. With NAME only what unpacking needs.
# What takes root and is not part of all of them is got by its name: podman, with runc and catatonit, is installed by apt.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps=${SLOTSYNC_DEPS:-$root/.cache/deps}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

say() { printf 'deps: %s\n' "$*"; }
fail() {
	printf 'deps: error: %s\n' "$*" >&2
	exit 1
}

# retry COMMAND...: three attempts, because mirrors and networks have bad seconds.
retry() {
	local attempt
	for attempt in 1 2 3; do
		if "$@"; then return 0; fi
		if [ "$attempt" -lt 3 ]; then
			say "attempt $attempt failed, trying again: ${*: -1}" >&2
			sleep $((attempt * 2))
		fi
	done
	return 1
}

# introduction NAME: what the unpacked binary says when it is asked for its version.
introduction() {
	case $1 in
	consul) "$deps/consul/consul" version ;;
	bind9) "$deps/bind9/named" -v ;;
	unbound) "$deps/unbound/unbound" -V ;; # -v would start it
	dnsmasq) "$deps/dnsmasq/dnsmasq" --version ;;
	prometheus) "$deps/prometheus/promtool" --version ;;
	podman) podman --version ;;
	*) "$deps/$1/haproxy" -v ;;
	esac
}

# version_of NAME prints what the unpacked binary calls itself; nothing if it does not run.
version_of() { introduction "$1" 2>/dev/null | head -n 1; }

# present NAME: the binary runs and is of the wanted version. A moved folder fails here and is unpacked again.
present() {
	case $1 in
	consul) [[ $(version_of consul) == *v1.8.7* ]] ;;
	bind9) [[ $(version_of bind9) == "BIND 9.18."* ]] ;;
	unbound) [[ $(version_of unbound) == "Version 1.17."* ]] ;;
	dnsmasq) [[ $(version_of dnsmasq) == "Dnsmasq version 2."* ]] ;;
	prometheus) [[ $(version_of prometheus) == "promtool, version 2."* ]] ;;
	*) [[ $(version_of "$1") == *" version ${1#haproxy-}."* ]] ;;
	esac
}

# need_package FILE PACKAGE: the package is missing if the command (or path) FILE is not there.
need_package() { command -v "$1" >/dev/null || [ -e "$1" ] || missing+=("$2"); }

# missing_packages lists what the wanted work needs and this machine lacks, in missing.
missing_packages() {
	missing=()
	if [ "$everything" = yes ]; then # the race detector needs a C compiler, tests need the rest
		need_package gcc gcc
		need_package /usr/include/stdlib.h libc6-dev
		need_package make make
		need_package git git
		need_package systemd-analyze systemd
		need_package chromium chromium
		# to boot a machine for the unit and the packages
		need_package systemd-nspawn systemd-container
		need_package dbus-daemon dbus
		need_package /usr/lib/polkit-1/polkitd polkitd
		need_package adduser adduser
		need_package lintian lintian
		need_package rpm rpm
	fi
	if [[ " ${names[*]} " == *" podman "* ]]; then
		need_package podman podman
		need_package runc runc # crun refuses mixed cgroups
		need_package catatonit catatonit
	fi
	if [ ${#absent[@]} -gt 0 ]; then
		need_package patchelf patchelf
		need_package /etc/ssl/certs/ca-certificates.crt ca-certificates
		need_package "$keyring" debian-archive-keyring
	fi
}

# install_packages installs what is missing, or says so.
install_packages() {
	local missing
	missing_packages
	[ ${#missing[@]} -gt 0 ] || return 0
	[ "$(id -u)" = 0 ] || fail "missing: ${missing[*]}; as root: apt-get install ${missing[*]}"
	say "installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	retry apt-get -qq -o Acquire::Retries=3 update || fail "apt-get update failed"
	retry apt-get -qq -y --no-install-recommends -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 install "${missing[@]}" >/dev/null ||
		fail "apt-get install ${missing[*]} failed"
}

# debian_mirror prints the archive that this machine's apt uses for Debian itself.
debian_mirror() {
	if [ -n "${SLOTSYNC_DEBIAN_MIRROR:-}" ]; then
		printf '%s\n' "$SLOTSYNC_DEBIAN_MIRROR"
		return
	fi
	local codename
	codename=$(. /etc/os-release && [ "${ID:-}" = debian ] && printf '%s' "${VERSION_CODENAME:-sid}")
	apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' |
		awk -v codename="$codename" '$1 == codename && $2 == "main" && $3 !~ /security/ && !found { print $3; found = 1 }'
}

# open_suite SUITE[+SUITE]: private apt state for one suite, or for one and another that completes it; sets apt_state and
# apt_options. Signatures are checked as always; a list past its date is good enough, since mirrors may lag and nothing here
# goes onto the system.
open_suite() {
	local suite
	apt_state=$work/apt-$1
	apt_options=(
		-qq -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30
		-o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o APT::Sandbox::User=root -o APT::Update::Error-Mode=any
		-o Dir::Etc::sourcelist="$apt_state/sources.list" -o Dir::Etc::sourceparts=/dev/null
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
		-o Dir::State="$apt_state" -o Dir::State::Lists="$apt_state/lists" -o Dir::Cache="$apt_state"
		-o Dir::State::status="$apt_state/status"
	)
	[ ! -e "$apt_state/updated" ] || return 0
	mkdir -p "$apt_state"/{lists/partial,archives/partial,debs}
	for suite in ${1//+/ }; do echo "deb [signed-by=$keyring] $mirror $suite main"; done >"$apt_state/sources.list"
	: >"$apt_state/status"
	say "reading the package list of $1"
	retry apt-get "${apt_options[@]}" update || return 1
	touch "$apt_state/updated"
}

# candidate PACKAGE [BRANCH] prints the version that the opened suite has, of that branch if one is named; nothing if it
# has none.
candidate() {
	apt-cache "${apt_options[@]}" show "$1" 2>/dev/null |
		awk -v branch="${2:+$2.}" '$1 == "Version:" && index($2, branch) == 1 && !found { print $2; found = 1 }'
}

# libraries_of PACKAGE[=VERSION]: the shared libraries that it needs, as apt resolves them on an empty machine.
libraries_of() {
	apt-get "${apt_options[@]}" -s --no-install-recommends install "$1" | awk '$1 == "Inst" { print $2 }' |
		grep -E '^(lib|zlib1g|bind9-libs)' | grep -vE '^(libdebconf|libpam|libselinux|libsemanage|libaudit|libperl|libpython.*-)' | sort -u
}

# unpack FOLDER PACKAGE...: downloads from the opened suite and extracts below FOLDER.
unpack() {
	local folder=$1 package
	shift
	rm -rf "$apt_state/debs" "$folder"
	mkdir -p "$apt_state/debs" "$folder"
	(cd "$apt_state/debs" && retry apt-get "${apt_options[@]}" download "$@") || fail "download failed: $*"
	for package in "$apt_state"/debs/*.deb; do dpkg-deb -x "$package" "$folder"; done
}

# own_libraries BINARY FOLDER: makes BINARY use the loader and libraries below FOLDER. Not through `ld.so program`:
# HAProxy's master executes argv[0] again when it reloads.
own_libraries() {
	local loader path
	loader=$(find "$2" -type f -name 'ld-linux*.so*' | head -n 1)
	[ -n "$loader" ] || fail "no loader below $2"
	path=$(find "$2" \( -type f -o -type l \) -name 'lib*.so*' -printf '%h\n' | sort -u | paste -sd: -)
	patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$path" "$1"
}

# get_haproxy NAME SUITE...: from the first suite that has this branch.
get_haproxy() {
	local name=$1 branch=${1#haproxy-} suite version libraries
	shift
	for suite in "$@"; do
		version=
		if open_suite "$suite"; then version=$(candidate haproxy "$branch"); fi
		if [ -n "$version" ]; then
			say "unpacking $name: $version of $suite"
			mapfile -t libraries < <(libraries_of "haproxy=$version")
			unpack "$work/$name" "haproxy=$version" "${libraries[@]}"
			rm -rf "${deps:?}/$name"
			mv "$work/$name" "$deps/$name"
			cp "$deps/$name/usr/sbin/haproxy" "$deps/$name/haproxy"
			own_libraries "$deps/$name/haproxy" "$deps/$name"
			return
		fi
		say "no HAProxy $branch in $suite"
	done
	fail "no HAProxy $branch in: $*"
}

# get_consul: Debian's last Consul is linked statically and needs nothing beside itself.
get_consul() {
	open_suite bullseye || fail "cannot read the package list of bullseye"
	say "unpacking consul: $(candidate consul) of bullseye"
	unpack "$work/consul" consul
	rm -rf "${deps:?}/consul"
	mkdir -p "$deps/consul"
	cp "$work/consul/usr/bin/consul" "$deps/consul/consul"
}

# get_server NAME PACKAGE PROGRAM: the last part of PROGRAM is what it is called in .cache/deps.
get_server() {
	local libraries target=$deps/$1/${3##*/}
	open_suite bookworm || fail "cannot read the package list of bookworm"
	say "unpacking $1: $(candidate "$2") of bookworm"
	mapfile -t libraries < <(libraries_of "$2")
	unpack "$work/$1" "$2" "${libraries[@]}"
	rm -rf "${deps:?}/$1"
	mv "$work/$1" "$deps/$1"
	cp "$deps/$1/$3" "$target"
	own_libraries "$target" "$deps/$1"
}

get() {
	case $1 in
	haproxy-2.6) get_haproxy "$1" bookworm ;;
	haproxy-3.0) get_haproxy "$1" trixie ;;
	haproxy-3.2) get_haproxy "$1" forky sid ;;
	haproxy-3.4) get_haproxy "$1" sid experimental+sid ;;
	consul) get_consul ;;
	bind9) get_server bind9 bind9 usr/sbin/named ;;
	unbound) get_server unbound unbound usr/sbin/unbound ;;
	dnsmasq) get_server dnsmasq dnsmasq-base usr/sbin/dnsmasq ;;
	prometheus)
		get_server prometheus prometheus usr/bin/promtool
		rm -rf "$deps/prometheus/usr/bin" "$deps/prometheus/usr/share" # the server itself, which nothing here runs
		;;
	esac
}

known=(haproxy-2.6 haproxy-3.0 haproxy-3.2 haproxy-3.4 consul bind9 unbound dnsmasq prometheus)
installed=(podman)

names=("$@")
everything=no
if [ $# = 0 ]; then
	everything=yes
	names=("${known[@]}")
fi
for name in "${names[@]}"; do
	[[ " ${known[*]} ${installed[*]} " == *" $name "* ]] || fail "unknown: $name; one of ${known[*]} ${installed[*]}"
done

for tool in apt-get dpkg-deb flock; do
	command -v "$tool" >/dev/null || fail "$tool is missing: this script unpacks Debian packages and runs on Debian"
done
mkdir -p "$deps"
deps=$(cd "$deps" && pwd)
exec 9>"$deps/.lock"
flock -w 900 9 || fail "another run has held $deps/.lock for 15 minutes"

absent=()
for name in "${names[@]}"; do
	[[ " ${installed[*]} " == *" $name "* ]] || present "$name" || absent+=("$name")
done
install_packages
if [ ${#absent[@]} -gt 0 ]; then
	mirror=$(debian_mirror)
	[ -n "$mirror" ] || fail "apt knows no Debian mirror here; set SLOTSYNC_DEBIAN_MIRROR to one"
	work=$(mktemp -d "$deps/.work.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	for name in "${absent[@]}"; do
		get "$name"
		present "$name" || fail "$name was unpacked and does not run: $(introduction "$name" 2>&1 | head -n 1)"
	done
fi
for name in "${names[@]}"; do say "$name: $(version_of "$name")"; done
command -v go >/dev/null || fail "Go is not on the PATH: install the version that go.mod names from https://go.dev/dl/"
if [ "$everything" = yes ]; then # tests run without a network
	for module in "$root/go.mod" "$root"/tools/*/go.mod; do
		retry go -C "$(dirname "$module")" mod download || fail "the modules of $module cannot be downloaded"
	done
fi
