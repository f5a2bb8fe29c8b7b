#!/bin/sh
# After the files are there, as a first installation and as an upgrade. Nothing is started that was not: first the
# configuration has to say which HAProxy.
set -e
if command -v systemd-sysusers >/dev/null; then systemd-sysusers slotsync.conf; fi
if command -v systemd-tmpfiles >/dev/null; then systemd-tmpfiles --create slotsync.conf; fi
if [ -d /run/systemd/system ]; then
	systemctl --system daemon-reload || true
	# A version that refuses the configuration is no reason to leave the package half installed.
	systemctl try-restart slotsync.service || echo "slotsync does not start: journalctl -u slotsync says why" >&2
fi
