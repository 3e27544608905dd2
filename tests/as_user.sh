#!/bin/sh
# Runs the suite as a plain user: from a copy of the checkout that this user may read and not write, by Debian's Python,
# because root's own may lie where nobody else can go. Arguments go to `python3 -m tests`.
set -eu
copy=$(mktemp -d -p /var/tmp)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy"
chmod -R a+rX "$copy"
cd "$copy"
setpriv --reuid=65534 --regid=65534 --clear-groups \
	env -i HOME=/nonexistent PATH=/usr/sbin:/usr/bin:/sbin:/bin ${CI:+"CI=$CI"} python3 -m tests --strict "$@"
