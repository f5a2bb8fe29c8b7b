#!/bin/sh
# After the files are gone. What slotsync has kept for itself goes when dpkg purges it; its user stays, for nobody is to get its
# number. HAProxy goes on, so what it starts with stays: its state files, and a haproxy.cfg that slotsync renders.
set -e
if [ -d /run/systemd/system ]; then systemctl --system daemon-reload || true; fi
case ${1:-} in
purge)
	rm -rf /run/slotsync
	if cd /var/lib/slotsync 2>/dev/null; then
		rm -rf state.json* .state.json* operators.json* .operators.json* lock haproxy
		rmdir servers 2>/dev/null || true
		cd /
		rmdir /var/lib/slotsync 2>/dev/null || echo "HAProxy may start with what is in /var/lib/slotsync: remove that folder when it does not" >&2
	fi
	;;
esac
