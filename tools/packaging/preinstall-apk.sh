#!/bin/sh
# Alpine has no sysusers: the user, and HAProxy's group, which its admin socket is open to.
addgroup -S slotsync 2>/dev/null
addgroup -S haproxy 2>/dev/null
adduser -S -D -H -h /var/lib/slotsync -s /sbin/nologin -G slotsync slotsync 2>/dev/null
addgroup slotsync haproxy 2>/dev/null
exit 0
