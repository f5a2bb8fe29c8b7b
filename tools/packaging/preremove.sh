#!/bin/sh
# Before the files go. dpkg says remove or upgrade, rpm how many versions are left.
set -e
case ${1:-remove} in
remove | 0)
	if [ -d /run/systemd/system ]; then systemctl --no-reload disable --now slotsync.socket slotsync.service || true; fi
	;;
esac
