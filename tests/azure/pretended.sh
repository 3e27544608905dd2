#!/bin/sh
# Stands on PATH as az, ssh and ssh-keyscan. Answers as Microsoft's documentation shows it, for one subscription in which
# one group can be made, and records what it was asked: a line a call, with \037 after each word.
#
# In the folder above: `fail` has the numbers of the calls of az that fail, `hang` the number of one that never ends,
# `say-VERB` what a call prints instead; with `same-host-key` all VMs have the host key of the first.
here=${0%/*}/..
name=${0##*/}
mark=$(printf '\037')
line=$name$mark
for word; do line=$line$word$mark; done
printf '%s\n' "$line" >>"$here/asked"

# The value of an option of this call.
option() {
	wanted=$1
	shift
	while [ $# -gt 1 ]; do
		[ "$1" = "$wanted" ] && printf '%s' "$2" && return
		shift
	done
}

if [ "$name" = ssh-keyscan ]; then
	for address; do :; done
	[ -d "$here/at-$address" ] || exit 1
	printf '%s %s\n' "$address" "$(cat "$here/at-$address/host.pub")"
	exit 0
fi

if [ "$name" = ssh ]; then
	for command; do
		case $command in *@*.*.*.*) target=$command ;; esac
	done
	vm=$here/at-${target#*@}
	hosts=$(printf '%s\n' "$@" | sed -n 's/^-oUserKnownHostsFile=//p')
	grep -qF "$(cut -d ' ' -f 2 "$vm/host.pub")" "$hosts" || exit 255
	key=$(option -i "$@")
	if [ -n "$key" ]; then
		[ "$(ssh-keygen -y -f "$key" | cut -d ' ' -f 1-2)" = "$(cut -d ' ' -f 1-2 "$vm/key.pub")" ] || exit 255
	else
		[ "$("$SSH_ASKPASS")" = "$(cat "$vm/password")" ] || exit 255
	fi
	case $command in
	id*) printf '%s\n%s\n0\n' "${target%@*}" "$(cat "$vm/name")" ;;
	*status*) echo '{"ready": true, "hook": {"enabled": false}}' ;;
	*generalize*) echo generalized ;;
	esac
	exit 0
fi

number=$(grep -c '^az' "$here/asked")
if grep -qx "$number" "$here/hang" 2>/dev/null; then
	: >"$here/hangs"
	exec sleep 600
fi
vm=$here/vm-$(option --name "$@")
id=/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/$(option --resource-group "$@")/providers
case "$1 $2" in
"group create") : >"$here/group" ;; # also if it is to fail: the worst that can be
esac
if grep -qx "$number" "$here/fail" 2>/dev/null; then
	echo "WARNING: something else" >&2
	echo "ERROR: (OperationNotAllowed) call $number is to fail" >&2
	exit 1
fi
if [ -f "$here/say-$1-$2" ]; then
	cat "$here/say-$1-$2"
	exit 0
fi
case "$1 $2 $3" in
"group exists "*) if [ -e "$here/group" ]; then echo true; else echo false; fi ;;
"group create "*) printf '{"name": "%s", "properties": {"provisioningState": "Succeeded"}}\n' "$(option --name "$@")" ;;
"group delete "*) rm "$here/group" ;;
"account show "*) echo '{"name": "Pay-As-You-Go", "state": "Enabled", "user": {"name": "me", "type": "user"}}' ;;
"storage account create") echo '{"provisioningState": "Succeeded"}' ;;
"storage container create") echo '{"created": true}' ;;
"storage blob upload")
	[ -s "$(option --file "$@")" ] || exit 1
	echo '{"etag": "\"0x8D\"", "lastModified": "2026-01-01T00:00:00+00:00"}'
	;;
"storage blob url")
	printf '"https://%s.blob.core.windows.net/%s/%s"\n' "$(option --account-name "$@")" \
		"$(option --container-name "$@")" "$(option --name "$@")"
	;;
"image create "*) printf '{"id": "%s/Microsoft.Compute/images/%s"}\n' "$id" "$(option --name "$@")" ;;
"vm create "*)
	address=203.0.113.$number
	mkdir "$vm"
	ln -s "${vm##*/}" "$here/at-$address"
	basename "$vm" | sed 's/^vm-//' >"$vm/name"
	if [ -e "$here/same-host-key" ] && [ -e "$here/vm-debian-key/host" ]; then
		cp "$here/vm-debian-key/host.pub" "$vm"
	else
		ssh-keygen -q -t ed25519 -N '' -C host -f "$vm/host"
	fi
	case $(option --admin-password "$@") in
	@*)
		file=$(option --admin-password "$@")
		cp "${file#@}" "$vm/password"
		stat -c %a "${file#@}" >"$vm/password.mode"
		;;
	esac
	key=$(option --ssh-key-values "$@")
	[ -z "$key" ] || cp "$key" "$vm/key.pub"
	printf '{"fqdns": "", "id": "%s/Microsoft.Compute/virtualMachines/%s", "location": "westeurope",\n' "$id" "${vm##*/vm-}"
	printf '"macAddress": "00-0D-3A-00-00-01", "powerState": "VM running", "privateIpAddress": "10.0.0.4",\n'
	printf '"publicIpAddress": "%s", "resourceGroup": "%s", "zones": ""}\n' "$address" "$(option --resource-group "$@")"
	;;
"vm get-instance-view "*)
	printf '{"instanceView": {"statuses": [{"code": "ProvisioningState/succeeded", "displayStatus": "Provisioning succeeded"},\n'
	printf '{"code": "PowerState/running", "displayStatus": "VM running"}]}, "provisioningState": "Succeeded"}\n'
	;;
"vm boot-diagnostics get-boot-log")
	printf '[    0.000000] Linux version 6.1\r\nazure-provisioning: host key %s\r\n' "$(ssh-keygen -lf "$vm/host.pub" | cut -d ' ' -f 2)"
	printf 'azure-provisioning: Azure accepted Ready after 4.2 s\r\n'
	;;
"vm deallocate "* | "vm generalize "*) ;;
*)
	echo "ERROR: '$2' is misspelled or not recognized by the system." >&2
	exit 2
	;;
esac
