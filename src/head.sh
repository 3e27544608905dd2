#!/bin/sh
# azure-provisioning: a zip of Python modules after a shell script. Python reads the zip. A shell runs these lines. They
# look for a Python by its name and start it with this file; without one the shell implementation below runs. A Python
# that is too old or lacks modules returns with `--without-python`, a broken one with `--broken-python=ERROR`.
is_new_enough() { # PYTHON: is it installed, and does its name, with links resolved, not belong to a version before 3.6?
	command -v "$1" >/dev/null || return
	case $(readlink -f "$(command -v "$1")") in *3.[0-5] | *3.[0-5]m | *python3[0-5]) false ;; esac
}
mode=--without-python
# shellcheck disable=SC2034 # used by the script that follows
case $1 in
--without-python | --broken-python=*) mode=$1 && shift ;;
*)
	minor=40 found=
	for python in python3 /usr/libexec/platform-python newer /run/current-system/sw/bin/python3 \
		/run/current-system/profile/bin/python3 /nix/var/nix/profiles/default/bin/python3; do
		while [ $python = newer ] && [ $minor -gt 6 ] && ! is_new_enough python3.$minor; do minor=$((minor - 1)); done
		[ $python != newer ] || python=python3.$minor
		if is_new_enough $python; then
			found=$python
			break
		fi
	done
	[ -z "$found" ] || exec "$found" -I -S "$0" "$@" ;;
esac
