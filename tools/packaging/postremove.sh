#!/bin/sh
# After the files are gone. What slotsync has kept goes when dpkg purges it; its user stays, for nobody is to get its number.
set -e
if [ -d /run/systemd/system ]; then systemctl --system daemon-reload || true; fi
case ${1:-} in
purge) rm -rf /var/lib/slotsync /run/slotsync ;;
esac
