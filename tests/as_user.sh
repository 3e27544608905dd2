#!/bin/sh
# Runs the suite as a plain user: from a copy of the checkout that this user may read and not write, by Debian's Python or
# by $PYTHON, an absolute path. Arguments go to `python3 -m tests`.
set -eu
case ${PYTHON:-}:${MOUNTS:-} in
/*:) exec env MOUNTS=own unshare --mount sh "$0" "$@" ;; # see below
esac
copy=$(mktemp -d -p /var/tmp)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy"
chmod -R a+rX "$copy"
cd "$copy"
case ${PYTHON:=python3} in
/*) # root's home, which only root may enter, has nothing but this Python in this mount namespace
	prefix=$("$PYTHON" -I -c 'import sys; print(sys.base_prefix)')
	case $prefix in
	"$HOME"/*)
		mount --bind "$prefix" /mnt
		mount -t tmpfs -o mode=755 none "$HOME"
		mkdir -p "$prefix"
		mount --move /mnt "$prefix" ;;
	esac ;;
esac
setpriv --reuid=65534 --regid=65534 --clear-groups \
	env -i HOME=/nonexistent PATH=/usr/sbin:/usr/bin:/sbin:/bin ${CI:+"CI=$CI"} "$PYTHON" -m tests --strict "$@"
