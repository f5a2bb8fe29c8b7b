#!/bin/sh
# After the files are there, as a first installation and as an upgrade. Nothing is started that was not: first the
# configuration has to say which HAProxy.
set -e
if command -v systemd-sysusers >/dev/null; then systemd-sysusers slotsync.conf; fi
if command -v systemd-tmpfiles >/dev/null; then systemd-tmpfiles --create slotsync.conf; fi
[ -d /run/systemd/system ] || exit 0
systemctl --system daemon-reload || true
systemctl --quiet is-active slotsync.service || exit 0
# One that works is not stopped for one that would not start, nor is the package left half installed. What the unit has from
# drop-ins, it has: the file and the environment are those of the process that runs.
pid=$(systemctl show -p MainPID --value slotsync.service)
config=$(tr '\0' '\n' <"/proc/$pid/cmdline" | sed -n '/^--config$/{n;p;q}; s/^--config=//p') || config=
if xargs -0 -a "/proc/$pid/environ" runuser -u slotsync -- env -i sh -c 'exec slotsync check --config "$1"' sh "${config:-/etc/slotsync/slotsync.yaml}" >/dev/null; then
	systemctl try-restart slotsync.service || echo "slotsync: IT DOES NOT RUN: journalctl -u slotsync says why" >&2
else
	echo "slotsync: THE VERSION FROM BEFORE GOES ON: this one refuses the configuration. Mend that, then: systemctl restart slotsync" >&2
fi
