# shellcheck shell=sh disable=SC2012,SC2046,SC2086,SC2329 # words are wanted; `persist` calls functions by their names
# -- The shell implementation, for a machine without a Python that can run the rest. -----------------------------------
# Identify, host keys, wait, name, account, SSH keys, right to become root, gates, Ready, once; with busybox's tools:
# wget, curl or nc, and sed. Options, state and exit codes are those of the Python part. No password and no customData.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin LC_ALL=C
export AZURE_VM_ID AZURE_HOSTNAME AZURE_ADMIN_USER # for the programs in ready.d
unset http_proxy all_proxy HTTP_PROXY ALL_PROXY && umask 022
# Create /dev/null if it is missing, and open descriptors that the caller closed: a later file would get their numbers.
[ -e /dev/null ] || mknod -m 666 /dev/null c 1 3
true 2>/dev/null 3<&0 || exec </dev/null
true 2>/dev/null 3>&1 || exec >/dev/null
true 3>&2 || exec 2>/dev/null
agent=azure-provisioning dmi=/sys/class/dmi/id folder=/var/lib/azure-provisioning
options=/etc/$agent.conf state=$folder/state log=/var/log/$agent.log api=2021-08-01 wget=wget
lock=/run/$agent.essential turn=$$:$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
logging='' reporting='' why='' refusal='' first='' user='' stop=0
address='^[0-9]\{1,3\}\(\.[0-9]\{1,3\}\)\{3\}\(:[0-9]\{1,5\}\)\{0,1\}$' # IPv4, with an optional port

now() { date -u +%Y-%m-%dT%H:%M:%SZ; }
has() { command -v "$1" >/dev/null; } # COMMAND
seconds() { if read -r up _ 2>/dev/null </proc/uptime; then echo "${up%%.*}"; else date +%s; fi; } # not settable
say() { # one line of the story; text from others must have been checked for its characters
	printf '%s: %s\n' $agent "$*" >&2
	[ -z "$logging" ] || printf '%s %s\n' "$(now)" "$*" >>$log
}
plain() { printf '%s' "$1" | tr -c " !#-%'-;=?-~" '?'; } # TEXT: without line ends and XML's special characters
announce() { # a line that the serial console shows too, without waiting for its terminal
	say "$@"
	[ -t 2 ] || [ ! -c /dev/console ] || (printf '%s: %s\r\n' $agent "$*" >/dev/console) </dev/null >/dev/null 2>&1 &
}
option() { # KEY: its last value in the options file
	sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*//p" $options 2>/dev/null | sed -n 's/[[:space:]]*$//; $p'
}
wants() { [ "$(option "$1")" != no ]; } # KEY: an option that is on by default
within() { # SECONDS COMMAND...: its exit code; it is killed after that time
	span=$1 && shift
	{ "$@" <&3 3<&- & } 3<&0
	job=$!
	# The watcher checks by itself whether the job has ended: a signal to a shell just after its fork can be lost.
	{ (
		while [ "$span" -gt 0 ] && kill -0 $job; do sleep 1 && span=$((span - 1)); done
		[ "$span" -gt 0 ] || kill -9 $job
	) & } </dev/null >/dev/null 2>&1
	set -- $!
	wait $job
	set -- "$1" $?
	kill "$1" 2>/dev/null
	return "$2"
}
replace() { # PATH [MODE]: write stdin to it, whole or not at all; keeps owner and mode, or with MODE belongs to root
	[ ! -L "$1" ] || set -- "$(readlink -f "$1")" "$2"
	spare=${1%/*}/.${1##*/}.$agent
	mkdir -p "${1%/*}" && rm -f "$spare" && { [ -n "$2" ] || [ ! -f "$1" ] || cp -p "$1" "$spare"; } && cat >"$spare" &&
		{ [ -z "$2" ] || { chown 0:0 "$spare" "${1%/*}" && chmod "$2" "$spare" && chmod go-w "${1%/*}"; }; } && sync &&
		{ mv -f "$spare" "$1" || cat "$spare" >"$1"; } && sync # the latter if something is mounted on it
	set -- $? "$1"
	rm -f "$spare"
	! has restorecon || restorecon "$2"
	return "$1"
} 2>/dev/null
put() { printf '%s\n' "$1"; } # LINE: as it is; the `echo` of some shells interprets backslashes
store() { # FILE COMMAND...: its output, all of it: busybox's tools do not report that the disk is full
	stored=$1 && shift
	"$@" >"$stored" && [ "$("$@" | wc -c)" -eq "$(wc -c <"$stored")" ]
}
edit() { # FILE SCRIPT...: replace it by the output of sed
	[ -e "$1" ] || return 0
	file=$1 && shift
	store "$work/edited" sed "$@" "$file" && { cmp -s "$work/edited" "$file" || replace "$file" <"$work/edited"; }
}
whole_lines() { cat "$1" && { [ -z "$(tail -c 1 "$1" | tr '\000' x)" ] || echo; }; } # FILE: the last one ends, too
with_line() { { [ ! -s "$1" ] || whole_lines "$1"; } && put "$2"; } # FILE LINE: its content, and the line
append() { store "$work/edited" with_line "$1" "$2" && replace "$1" <"$work/edited"; } # FILE LINE
owner() { ls -ldn "$1" | sed 's/^[^ ]* *[0-9]* *\([0-9]*\) .*/\1/'; } # PATH: the uid of its owner
guard() ( # PATH: false, and says who, if others than root may write to it, a folder above it or a link's target
	path=${1:-/}
	set -f
	[ "$path" = / ] || guard "${path%/*}" || exit
	if target=$(readlink "$path"); then
		[ "${target#/}" != "$target" ] || target=${path%/*}/$target
		guard "$target"
		exit
	fi
	set -- $(ls -ldn "$path" 2>/dev/null) # mode, number of names, owner, group
	case $3:$1:$4:$path in
	0:????????w*) echo "everybody may write to $path" && false ;;
	0:-????w* | 0:d????w*:[1-9]*/ready.d) echo "the group $4 may write to $path" && false ;; # but accepted for /usr/local
	[!0:]*) echo "the user $3 may write to $path" && false ;;
	esac
)

usable_id() { # stdin: the id in lower case, if it is unique to a VM
	tr A-F a-f | grep '^[0-9a-f]\{8\}\(-[0-9a-f]\{4\}\)\{3\}-[0-9a-f]\{12\}$' | grep -v -e '^[0-]*$' -e '^[f-]*$'
}
fact() { [ ! -f $state ] || sed -n "s/^$1=//p" $state | sed -n '$p'; } # KEY: its value in the state
is_ours() { # [ID]: is it, or the state's, this VM's? Generation 1 firmware swaps the bytes of three fields
	other=$(echo "$vm_id" | sed 's/^\(..\)\(..\)\(..\)\(..\)-\(..\)\(..\)-\(..\)\(..\)-/\4\3\2\1-\6\5-\8\7-/')
	case $(echo "${1:-$(fact vm_id)}" | tr A-F a-f) in "$vm_id" | "$other") [ -n "$vm_id" ] ;; *) false ;; esac
}
as_azure() { # the VM's id as in the portal: as IMDS wrote it before, else in the other byte order for generation 1
	if is_ours "$(fact vm_id_azure | grep . || echo -)"; then fact vm_id_azure
	elif [ -d /sys/firmware/efi ]; then echo "$vm_id"; else echo "$other"; fi
}
note() { # KEY=VALUE...: record the facts. From now on the state is about this VM, and an earlier failure is dropped
	if is_ours; then sed -e '/^error[_.]/d' -e "/^${1%%=*}=/d" $state
	else
		echo "vm_id=$vm_id"
		for key in vm_id user; do
			other=$(fact $key) && other=${other:-$(fact previous_$key)}
			[ -z "$other" ] || echo "previous_$key=$other"
		done
	fi >"$work/facts"
	printf '%s\n' "$@" >>"$work/facts"
	{ [ -n "$vm_id" ] && replace $state 644 <"$work/facts"; } || say 'warning: the state cannot be saved'
}

bounded() { ulimit -f 2048 && exec "$@"; } # COMMAND...: limits what it writes, which a peer could send without end
ask() { # ENDPOINT PATH HEADER [DOCUMENT]: one try, 2 MiB at most: $status, $work/body. True for a complete 2xx
	# Azure takes up to 30 s for an answer, and up to 60 s to answer a report. The deadline limits both.
	tool=${tools%% *} peer=$1 url=http://$1$2 path=$2 document=$4 port=${1#*:} verb=${4:+POST} limit=${4:+6}5
	[ "$limit" != 5 ] || limit=35
	left=$((stop - $(seconds))) who=WireServer cause=''
	[ "$left" -ge "$limit" ] || limit=$((left > 1 ? left : 1))
	[ "$path" = "${path#/metadata}" ] || who=IMDS
	[ "$port" != "$peer" ] || port=80
	set -- --header "$3" ${4:+--header "x-ms-agent-name: $agent" --header 'Content-Type: text/xml;charset=utf-8'}
	{ {
		case $tool in
		curl) set -- "$@" ${document:+--data-binary "$document"} "$url"
			within $limit curl -q -sSi --connect-timeout 5 --noproxy '*' "$@" ;;
		wget) within $limit bounded $wget -O - "$@" ${document:+--post-data "$document"} "$url" ;; # -T crashes some busyboxes
		nc)
			printf '%s %s HTTP/1.0\r\nHost: %s\r\n' "${verb:-GET}" "$path" "$peer" >"$work/asked"
			printf 'Content-Length: %d\r\n' ${#document} >>"$work/asked"
			printf '%.0s%s\r\n' "$@" >>"$work/asked" # the second of each pair
			printf '\r\n%s' "$document" >>"$work/asked"
			within $limit nc "${peer%:*}" "$port" <"$work/asked" ;;
		esac 2>"$work/said"
		echo $? >"$work/code"
	} | bounded cat >"$work/answer"; } 2>/dev/null # not every busybox has `head -c`
	read -r code <"$work/code"
	case $tool$code in # wget prints no headers, and succeeds only for 2xx: but busybox's follows redirects
	wget0) status=$((200 + 102 * ($(grep -c -e '^Connecting' -e '^Redirect' -e ' HTTP/1.. 3' "$work/said") > 1))) ;;
	wget*) status=$(sed -n 's/.*[Re01] \([1-9][0-9][0-9]\)[: ].*/\1/p' "$work/said" | sed q) ;;
	*) status=$(sed -n '1s/^HTTP.1.. \([1-9][0-9][0-9]\).*/\1/p' "$work/answer") ;;
	esac
	if [ "$tool" = nc ]; then # which does not look whether the body is whole
		length=$(sed -n '/^.\{0,1\}$/q; s/^[Cc]ontent-[Ll]ength: *\([0-9]\{1,9\}\).*/\1/p' "$work/answer")
		[ $(($(wc -c <"$work/answer") - $(sed '/^.\{0,1\}$/q' "$work/answer" | wc -c))) -ge "${length:-0}" ] || code=half
	fi
	if [ "$tool" != wget ]; then tr -d '\r' <"$work/answer" | sed '1,/^$/d'; else cat "$work/answer"; fi >"$work/body"
	case $code:$status in
	0:2??) why="unusable answer from $who" && return ;;
	*:2??) why="half an answer from $who" ;;
	*:???) why="http error $status querying $who" ;;
	*) why="no answer from $who"
		cause=$(tail -n 1 "$work/said" | tr -d '\n' | tr -cs 'A-Za-z0-9 .,:()-' '?' | cut -c1-120) ;;
	esac
	tools="${tools#* }$tool " # another tool may work better
	return 1
}
persist() { # UNTIL AWAITED COMMAND...: repeat it until it succeeds; false when the time is up
	stop=$1 awaited=$2 told='' noticed=$(seconds) && shift 2
	until "$@"; do
		[ "$(seconds)" -lt $((stop - 1)) ] || return 1
		if [ $(($(seconds) - noticed)) -ge 30 ]; then
			noticed=$(seconds) && announce "waiting for $awaited: $why"
		elif [ "$why" != "$told" ]; then
			told=$why && say "waiting for $awaited: $why"
		fi
		sleep 1
	done
}
fetch_instance() {
	case $api in 2021-0[3-8]*) extra='&extended=true' ;; *) extra='' ;; esac # with it IMDS answers with all data or fails
	if ask "$imds" "/metadata/instance?api-version=$api$extra" 'Metadata: true'; then
		grep -q '"compute" *:' "$work/body" && tail -c 3 "$work/body" | grep -q '}' && mv "$work/body" "$work/instance"
		return
	fi
	[ "$status" = 400 ] || return 1 # else try a version of older clouds next: the newest that the answer names
	named=$(grep -o '"20[12][0-9]-[01][0-9]-[0-3][0-9]"' "$work/body" | tr -d '"' | sort |
		grep -e '^2019-0[6-9]' -e '^2019-1' -e '^2020' -e '^2021-0[1-7]' | sed -n '$p')
	case $api in
	2021-08-01) api=${named:-2021-05-01} ;;
	2021-05-01) api=2019-06-01 ;;
	2019-06-01) api=2021-08-01 ;;
	*) api=2021-05-01 ;;
	esac
	return 1
}
tells() { grep -q "\"$1\" *: *$2" "$work/instance"; } # KEY PATTERN: quotes in users' texts are escaped
ask_value() { ask "$imds" "$1" 'Metadata: true' && ! sed q "$work/body" | grep -q '^[[:space:]]*<'; } # PATH: not HTML
fetch_value() { # PATH: that value of the instance, which is known to exist: at most 16 KiB, in $work/value
	set -- "/metadata/instance/compute/$1?api-version=$api&format=text"
	persist $fetch_ends IMDS ask_value "$1" ||
		fail 'no usable answer from IMDS' "problem=$why${cause:+: $cause}"
	dd bs=16384 count=1 <"$work/body" >"$work/value" 2>/dev/null
}
element() { # NAME CHARACTERS [WHERE]: the first such element of the goal state
	sed -n "$3s/^\([A-Za-z]*:\)\{0,1\}$1> *\([$2]\{1,255\}\) *$/\2/p" "$work/lines" | sed q
}
report() { # [PROBLEM]: one try to report Ready, or NotReady with a problem, quoting the current goal state
	ask "$wireserver" '/machine?comp=goalstate' 'x-ms-version: 2012-11-30' || return
	tr '\r\n\t<' '   \n' <"$work/body" >"$work/lines"
	incarnation=$(element Incarnation 0-9) container=$(element ContainerId A-Za-z0-9._-)
	instance=$(element InstanceId A-Za-z0-9._- '/^[A-Za-z:]*RoleInstance>/,$')
	[ -n "$incarnation" ] && [ -n "$container" ] && [ -n "$instance" ] &&
		grep -q '^/[A-Za-z:]*GoalState>' "$work/lines" && ! grep -q '^!DOCTYPE' "$work/lines" || return
	say "ContainerId: $container"
	say "InstanceId: $instance"
	health="<State>${1:+Not}Ready</State>"
	health=$health${1:+"<Details><SubStatus>ProvisioningFailed</SubStatus><Description>$1</Description></Details>"}
	role="<Role><InstanceId>$instance</InstanceId><Health>$health</Health></Role>"
	container="<ContainerId>$container</ContainerId><RoleInstanceList>$role</RoleInstanceList>"
	ask "$wireserver" '/machine?comp=health' 'x-ms-version: 2012-11-30' \
		"<Health><GoalStateIncarnation>$incarnation</GoalStateIncarnation><Container>$container</Container></Health>"
	case $status in 2??) say "Response: $status" ;; *) return 1 ;; esac
}
advise() { # REASON DETAILS: what to do, in the words of reasons.py
	case $1:$2 in
	'no usable ssh'*) echo "Pass the .pub file's content" ;;
	'no usable'*:?*) advise "${2#problem=}" ;;
	'no answer'* | 'half an'*) echo "Remove the firewall rule or route of the image that blocks" \
		"169.254.169.254 or 168.63.129.16" ;;
	'http error 40'[13]*) echo "Create the VM without the Metadata Security Protocol (--enable-proxy-agent false), or" \
		"put the proxy agent (GuestProxyAgent) into the image" ;;
	'http error 4'[01][04]*) echo "Make sure that the options imds and wireserver name this cloud's addresses; else" \
		"redeploy the VM (az vm redeploy), which moves it to another host" ;;
	http*) echo "Restart the VM later, or redeploy it (az vm redeploy), which moves it to another host" ;;
	unusable*) echo "Remove the proxy or captive portal in between" ;;
	*customData*) echo "Make sure that the image's kernel has udf and iso9660 (azure-provisioning check), and create" \
		"the VM again; or set custom_data = no" ;;
	'failure to'*) echo "Make it writable before this runs, or give the image a larger disk" ;;
	ready*problem=*) echo "chown root and chmod go-w; azure-provisioning check prints the commands" ;;
	ready*) echo "Run it by hand to see what it needs, and correct that" ;;
	*username*) echo "Choose another with --admin-username" ;;
	'the account'*) echo "Repair /etc/passwd, group, shadow or login.defs of the image, or the tool in the details; or" \
		"add the account to the image and set account = no" ;;
	'the ssh keys'*) echo "Remove it from the image" ;;
	nobody*) echo "Repair the account in the image, or give the VM an SSH key" ;;
	*curl*) echo "Put one of them into the image, or Python 3.6 or newer" ;;
	*options*) echo "Install the distro's full python3, or remove the option" ;;
	python*) echo "Repair or reinstall python3" ;;
	*) echo "See the log ($log)" ;;
	esac
}
fail() { # REASON [KEY=VALUE [KEY=VALUE]]: report a failure to state, Azure and console. The hook stays
	set -- "$1" "$(plain "$2")" "$(plain "$3")"
	line="result=error|reason=$1|agent=$agent|vm_id=$(as_azure | grep . || echo unknown)"
	line="$line|timestamp=$(now)${2:+|$2}${3:+|$3}"
	set -- "$1" "$2" "$3" "error_at=$(now)" "error_boot=${turn#*:}"
	note "error_reason=$1" "$4" "$5" ${2:+"error.$2"} ${3:+"error.$3"}
	[ -n "$reporting" ] || persist "$ends" 'the WireServer' report "$line" || say "warning: it could not be reported: $why"
	announce "FAILED: $1${2:+ ($2${3:+, $3})}. $(advise "$1" "$2$3"). The next boot tries again"
	exit 1
}
thrice() { "$@" || { sleep 2 && "$@"; } || { sleep 2 && "$@"; }; } # COMMAND...: a failure may have a passing reason

valid_name() { # stdin: the valid host name nearest to it; empty if nothing is left of it
	name=$(tr '\r\n' '  ' | sed -e 's/^ *//' -e 's/ *$//' -e 's/-*[^A-Za-z0-9.-][^A-Za-z0-9.]*/-/g' \
		-e 's/[.-]*\.[.-]*/./g' -e 's/^[.-]*//' -e 's/\([^.]\{63\}\)[^.]*/\1/g' -e 's/-*\././g' -e 's/[.-]*$//')
	while [ ${#name} -gt 64 ]; do name=${name%.*}; done
	echo "$name"
}
set_name() { # NAME: for the next boot, then in the kernel
	case $(readlink /etc/hostname) in /nix/* | /gnu/* | /run/*) return 1 ;; esac
	echo "$1" | replace /etc/hostname || return
	[ ! -e /etc/HOSTNAME ] && [ ! -e /etc/slackware-version ] || echo "$1" | replace /etc/HOSTNAME || return
	say "hostname: $1"
	# A chroot on another machine must not rename that machine; one with its own namespace may be renamed.
	# shellcheck disable=SC3013 # every shell here has -ef
	[ / -ef /proc/1/root ] || case $(readlink /proc/self/ns/uts) in '' | *4026531838*) return 0 ;; esac
	hostname "$1" 2>/dev/null || echo "$1" >/proc/sys/kernel/hostname
}
sshd=$(command -v sshd || command -v sshd.pam || command -v sshd.krb5) # the others are Alpine's
started_with() { # NAME: the value of this variable in the files that distros start sshd with, if it needs no shell
	sed -n "s/^$1=//p" /etc/default/ssh /etc/default/sshd /etc/sysconfig/sshd /etc/conf.d/sshd 2>/dev/null |
		sed 's/ #.*//; /[$`]/d' | tr -d "\"'"
}
ask_sshd() { # OPTION...: what it prints; its start, which comes later, makes the folder that it requires
	for path in $(started_with SSHD_CONFIG) $(started_with cfgfile); do set -- -f "$path" "$@"; done
	set -- $(started_with SSHD_OPTS) $(started_with OPTIONS) $(started_with command_args) "$@"
	"$sshd" "$@" 2>"$work/said" && return
	path=$(sed -n 's/.*[Mm]issing privilege separation directory: \(\/run\/[A-Za-z0-9_-]*\).*/\1/p' "$work/said")
	[ -n "$path" ] && mkdir -p "$path" && "$sshd" "$@" 2>"$work/said"
}
lower_names() { # stdin: settings as sshd prints them, since OpenSSH 10.6 with names in mixed case
	sed 'h; s/ .*//; y/ABCDEFGHIJKLMNOPQRSTUVWXYZ/abcdefghijklmnopqrstuvwxyz/; G; s/\n[^ ]*//'
}
served_keys() { # the paths of sshd's host keys, if it reports them; it needs a key to report anything
	rm -f "$work/key" && ssh-keygen -q -t ed25519 -N '' -f "$work/key" && ask_sshd -T -h "$work/key" | lower_names |
		sed -n '/^hostkeyagent \//q; s/^hostkey \//\//p' | grep -v -x "$work/key"
}
make_host_keys() { # new ones, in place of the image's; a running sshd reads them again
	if [ -n "$sshd" ]; then
		has ssh-keygen || return
		served=$(served_keys)
		rm -f /etc/ssh/ssh_host_*key*
		[ -n "$served" ] || ssh-keygen -A
		for key in $served; do
			case $key in /nix/* | /gnu/* | /run/* | /var/run/* | /dev/* | /proc/* | /sys/*) continue ;; esac # not ours
			[ ! -e "$key" ] || grep -q '^-----BEGIN .*PRIVATE KEY-----' "$key" || continue
			case ${key##*/} in *rsa*) kind=rsa ;; *ecdsa*) kind=ecdsa ;; *) kind=ed25519 ;; esac
			rm -f "$key" "$key.pub" && ssh-keygen -q -t $kind -N '' -f "$key"
		done
		[ -n "$(ls ${served:-/etc/ssh/ssh_host_*_key})" ] || return
		# SIGHUP ends an sshd that systemd's socket has started, whose next connection reads the files anyway.
		read -r pid </run/sshd.pid && grep -q '^sshd' "/proc/$pid/comm" &&
			! systemctl -q is-active ssh.socket sshd.socket && kill -HUP "$pid"
	fi
	has dropbear || return 0
	mkdir -p /etc/dropbear && rm -f /etc/dropbear/dropbear_*_host_key*
	has dropbearkey || return
	for kind in ed25519 ecdsa rsa; do dropbearkey -t $kind -f "/etc/dropbear/dropbear_${kind}_host_key"; done
	for path in /etc/init.d/*dropbear /etc/rc.d/rc.dropbear; do # one that runs has the old keys until its restart
		if pidof dropbear && [ -x "$path" ] && guard "$path"; then
			RC_NODEPS=yes "$path" stop
			sleep 1 && RC_NODEPS=yes "$path" start
		fi
	done
	ls /etc/dropbear/dropbear_*_host_key
} </dev/null >/dev/null 2>&1
find_account() { # $uid, $gid, $home and $shell of $user, from passwd; false if it has no such line
	while IFS=: read -r login _ uid gid _ home shell || [ -n "$login" ]; do
		[ "$login" != "$user" ] || { [ "$home" = / ] || home=${home%/} && return 0; }
	done </etc/passwd
	false
}
choose_shell() { # an installed one that /etc/shells lists, else /bin/sh, which counts as listed without that file
	for path in /bin/bash /usr/bin/bash /bin/ash /bin/sh; do [ ! -x $path ] || echo $path; done >"$work/shells"
	{ grep -x -F -f /etc/shells "$work/shells" || grep -x /bin/sh "$work/shells"; } 2>/dev/null | sed q
}
is_shell() { case $1 in '' | */nologin | */false | */sync | */true) false ;; *) [ -x "$1" ] ;; esac; } # PATH
create_account() { # with the shadow suite, busybox, or the lines that these would write; the one in passwd is last
	[ -s /etc/passwd ] || return
	gid=$(own_group)
	case $(readlink -f "$(command -v useradd || command -v adduser)") in # Debian's adduser asks questions
	*/busybox*) adduser -D -H -h "/home/$user" -s "$(choose_shell)" ${gid:+-G "$user"} "$user" ;;
	*/useradd) useradd -M -s "$(choose_shell)" ${gid:+-g "$gid"} "$user" ;;
	esac </dev/null >/dev/null 2>&1
	! find_account || return 0
	gid=$(own_group) uid=$(uid_min)
	while grep -q "^[^:]*:[^:]*:$uid:" /etc/passwd /etc/group 2>/dev/null; do uid=$((uid + 1)); done
	edit /etc/shadow "/^$pattern:/d" || return # of a former account
	[ -n "$gid" ] || append /etc/group "$user:x:$uid:" || return
	append /etc/passwd "$user:x:$uid:${gid:-$uid}::/home/$user:$(choose_shell)"
}
own_group() { sed -n "s/^$pattern:[^:]*:\([0-9]*\).*/\1/p" /etc/group | sed q; } 2>/dev/null # its gid, if it exists
uid_min() { # the first uid for people's accounts
	tr '\t' ' ' </etc/login.defs | sed -n 's/^ *UID_MIN *\([1-9][0-9]\{0,8\}\) *$/\1/p' | grep -m 1 . || echo 1000
} 2>/dev/null
make_account() { # one that accepts a key login; an existing one is completed, not replaced
	why='no tool makes it, and the accounts cannot be written'
	find_account || { create_account && find_account; } || return
	[ "$uid" -ge "$(uid_min)" ] && [ "$uid" != 65534 ] ||
		fail 'unsupported admin username' "name=$user" 'problem=a system account has this name'
	why='the accounts cannot be written'
	for name in wheel sudo adm systemd-journal; do
		set -- "/^$name:.*:.*:/{/[:,]$pattern\$/!{/[:,]$pattern,/!{s/[^:]\$/&,/;s/\$/$user/;};};}"
		edit /etc/group "$1" && edit /etc/gshadow "$1" || return
	done
	# A locked field makes sshd without PAM refuse keys too. An account without a password must not age or expire.
	set -- -e "s/^\($pattern\):![^:]*:/\1:*:/"
	[ ! -e /etc/shadow ] || grep -q "^$pattern:" /etc/shadow || append /etc/shadow "$user:*:::::::" || return
	edit /etc/shadow "$@" -e "s/^\($pattern:\([^:]*:\)\{6\}\)[^:]*/\1/" \
		-e "s/^\($pattern:\*:\)0*\([0-9]*\):[^:]*:[^:]*:[^:]*:[^:]*:/\1\2:::::/" || return
	[ -e /etc/shadow ] || edit /etc/passwd "$@" -e "s/^\($pattern\):x:/\1:*:/" || return
	is_shell "$shell" || edit /etc/passwd "s|^\($pattern:.*:\)[^:]*\$|\1$(choose_shell)|" || return
	# dropbear takes only a shell that is listed.
	[ -n "$sshd" ] || [ ! -e /etc/shells ] || { find_account && grep -q -x -F "$shell" /etc/shells; } ||
		append /etc/shells "$shell" || return
	make_home
}
make_home() { # from the skeleton, whole or not at all; files in an existing one are not changed
	why="not a usable home folder: $home"
	case $home in /*[!/]) mkdir -p "${home%/*}/" && why=$(guard "${home%/*}") ;; *) false ;; esac || return
	why="the home folder cannot be made: $home"
	if [ ! -e "$home" ] || { [ "$(owner "$home")" = 0 ] && rmdir "$home" 2>/dev/null; }; then
		set -- "${home%/*}/.${home##*/}.$agent"
		rm -rf "$1" && mkdir -m 700 "$1" && { [ ! -d /etc/skel ] || cp -a /etc/skel/. "$1"; } &&
			chown -hR "$uid:$gid" "$1" && chmod 700 "$1" && mv "$1" "$home" || return
	fi
	place=$(cd -P "$home" && pwd -P) && why=$(guard "${place%/*}") || return
	why="the home folder is another account's: $home" other=$(owner "$place")
	[ "$other" = 0 ] || [ "$other" = "$uid" ] ||
		{ ! grep -q "^[^:]*:[^:]*:$other:" /etc/passwd && chown "$uid:$gid" "$place"; } || return
	chmod go-w "$place" # sshd refuses keys in a home that others may write to
}
is_whole() { # KIND BLOB: does this base64 have the fields of such a key, each after its length, and nothing else?
	case $1 in ssh-ed25519) left=2 ;; sk-ecdsa*) left=4 ;; *) left=3 ;; esac
	case $2 in *[!A-Za-z0-9+/=]* | *=[!=]* | *===) return 1 ;; esac
	case $1:${#2} in
	*5519:68 | *256:140 | *384:184 | *521:232 | *rsa:* | sk-*) [ $((${#2} % 4)) = 0 ] || return ;;
	*) return 1 ;;
	esac
	has base64 && has od || return 0 # not every busybox has them; without, an RSA key must not be wrapped
	[ "$(echo "$2" | base64 -d 2>/dev/null | tail -c +5 | sed q | cut -c1-${#1})" = "$1" ] || return
	set -- $(echo "$2" | base64 -d | od -An -v -tu1)
	while [ $# -gt 4 ] && [ "$1$2" = 00 ] && [ $# -ge $((4 + $3 * 256 + $4)) ]; do
		shift $((4 + $3 * 256 + $4))
		left=$((left - 1))
	done
	[ $#:$left = 0:0 ]
}
read_keys() { # stdin: a text with keys, which may be wrapped; stdout: each complete key on a line with its comment
	set -f && kind='' whole='' # no globbing of the words that follow; a dot ends each line
	for word in $(tr '\r\t' '\n ' | tr -d '\000-\010\013-\037\177' | sed 's/$/ ./'); do
		case $kind:$whole:$word in
		-:*) [ "$word" != . ] || kind='' ;;
		*:yes:.) put "$kind $blob$comment" && kind='' whole='' ;;
		*:yes:*) comment="$comment $word" ;;
		*::ssh-ed25519 | *::ssh-rsa | *::ecdsa-sha2-nistp256 | *::ecdsa-sha2-nistp384 | *::ecdsa-sha2-nistp521 | \
			*::sk-ssh-ed25519@openssh.com | *::sk-ecdsa-sha2-nistp256@openssh.com) kind=$word blob='' comment='' ;;
		*:.) ;;
		::*) kind=- ;; # options, or an unknown kind: the line is ignored
		*) blob=$blob$word && ! is_whole "$kind" "$blob" || whole=yes ;;
		esac
	done
	set +f
}
ask_about_user() { # how sshd treats $user, into $work/sshd; false if it says why it does not start
	: >"$work/answer"
	[ -z "$sshd" ] || ask_sshd -T -C "user=$user,host=h,addr=203.0.113.9,laddr=10.0.0.4,lport=22" >"$work/answer" ||
		[ ! -s "$work/said" ] || grep -i -q 'no host *key' "$work/said" # its own start may make them
	set -- $?
	lower_names <"$work/answer" >"$work/sshd"
	return "$1"
}
user_path() { echo "$1" | sed "s|%h|$home|g; s|%u|$user|g; s|%U|$uid|g"; } # PATH: as sshd reads it in its configuration
key_file() { # the file in which this sshd looks for the keys of $user, or the default if sshd does not say
	set -- $(sed -n 's/^authorizedkeysfile //p' "$work/sshd") .ssh/authorized_keys
	case $1 in none) return 1 ;; /* | %h*) ;; *) set -- "%h/$1" ;; esac
	user_path "$1" | sed -e :a -e 's|//|/|; s|/\./|/|; s|/[^/]*[^/.]/\.\./|/|; ta'
}
is_among() ( # NAMES PATTERNS: does one match, as sshd compares them?
	set -f
	for word in $1; do
		# shellcheck disable=SC2254 # they are patterns
		for like in $2; do case $word in $like) exit 0 ;; esac; done
	done
	false
)
find_bar() { # what keeps $user out, by what sshd and dropbear say; nothing if only a login could tell
	set -f
	for list in users:"$user" groups:"$(id -Gn "$user")"; do # a pattern with a host may match
		set -- "${list%%:*}" "$(sed -n "s/^deny${list%%:*} //p" "$work/sshd" | sed 's/@\*$//' | grep -v @)" \
			"$(sed -n "s/^allow${list%%:*} \([^@]*\).*/\1/p" "$work/sshd")"
		! is_among "${list#*:}" "$2" || echo "deny$1" $2
		[ -z "$3" ] || is_among "${list#*:}" "$3" || echo "allow$1" $3
	done
	while read -r key value; do
		case $key:$value in
		pubkeyauthentication:no | max*s:0 | forcecommand:*/nologin | forcecommand:*/false) ;;
		authenticationmethods:*) case " $value " in *' any '* | *' publickey '*) continue ;; esac ;;
		chrootdirectory:/*) [ ! -x "$(user_path "$value")$shell" ] || continue ;;
		revokedkeys:/*) [ ! -e "$value" ] || continue ;;
		pubkeyaccepted*:*)
			value=$(echo "$value" | sed 's/rsa-sha2-[0-9]*/ssh-rsa/g' | tr , '\n')
			! cut -d ' ' -f 1 "$work/keys" | grep -q -x -F -e "$value" || continue
			value="without $(sed 's/ .*//; q' "$work/keys")" ;;
		*) continue ;;
		esac
		echo "$key $value"
	done <"$work/sshd"
	[ -z "$sshd" ] && has dropbear || return 0
	set -- $(sed -n 's/^DROPBEAR_[A-Z_]*=//p' /etc/default/dropbear /etc/conf.d/dropbear | tr -d "\"'") \
		$(for pid in $(pidof dropbear); do tr '\000' ' ' <"/proc/$pid/cmdline"; done)
	while [ $# -gt 0 ]; do
		case $1 in
		-G) is_among "$(id -Gn "$user")" "$2" || echo "dropbear $1 $2" ;;
		-t) echo "dropbear $1" ;;
		-c) case $2 in */nologin | */false) echo "dropbear $1 $2" ;; esac ;;
		esac
		shift
	done
} 2>/dev/null
is_strict() { # FILE: sshd takes one outside the home only if no group and nobody else may write above it
	! grep -q '^strictmodes no' "$work/sshd" || return 0
	set -- "$(readlink -f "$1")"
	while [ -n "$1" ]; do
		case $(ls -ld "$1") in ?????w* | ????????w*) return 1 ;; esac
		set -- "${1%/*}"
	done
}
merge_keys() { # FILE: print its content, and the keys of $work/keys that it lacks; before it those that it restricts
	for with in yes no; do
		[ $with = yes ] || [ ! -s "$1" ] || whole_lines "$1" || return
		while read -r kind blob comment; do
			! grep -q "^[[:space:]]*${kind}[[:space:]]*$blob" "$1" || continue
			if grep -q "${kind}[[:space:]]*$blob" "$1"; then [ $with = yes ]; else [ $with = no ]; fi &&
				put "$kind $blob${comment:+ $comment}"
		done <"$work/keys"
	done
	true
} 2>/dev/null
put_keys() { # into the file that sshd reads; its content stays
	why='there is no such account'
	find_account && file=$(key_file) || return
	why="no place for keys: $file" place=$(cd -P "$home" && pwd -P) rest=${file#"$home"/}
	if [ "$rest" = "$file" ]; then # outside the home
		mkdir -p "${file%/*}" && guard "${file%/*}" && store "$work/new" merge_keys "$file" &&
			replace "$file" 644 <"$work/new"
		return
	fi >/dev/null
	why=$(guard "${home%/*}") && cd -P "$place" || return
	while [ "$rest" != "${rest#*/}" ]; do
		place=$place/${rest%%/*}
		mkdir -m 700 "./${rest%%/*}" 2>/dev/null
		cd -P "./${rest%%/*}" && [ "$(pwd -P)" = "$place" ] || return
		case $(owner .) in 0 | "$uid") chown "$uid:$gid" . && chmod 700 . || return ;; *) return 1 ;; esac
		rest=${rest#*/}
	done
	# While the folder is root's, nobody can put a link there. A run that is killed now leaves that to the next one.
	rights=$(ls -ld . | sed 's/^d\(...\)\(...\)\(...\).*/u=\1,g=\2,o=\3/; s/[-sStT]//g')
	chown 0:0 . && chmod 700 . && replace_keys
	set -- $?
	chown "$uid:$gid" . && chmod "$rights" . && sync
	! has restorecon || restorecon -R "${place%/*}"
	return "$1"
}
replace_keys() { # in the folder in which this runs, which only root can use: the file $rest, if no link leads elsewhere
	new=.$rest.$agent
	rm -rf "./$new" || return
	[ -e "./$rest" ] || [ -L "./$rest" ] || : >"./$rest" || return
	set -- $(ls -ldn "./$rest") # mode, number of names, owner
	case $1:$2:$3 in -*:1:0 | -*:1:"$uid") ;; *) return 1 ;; esac
	store "./$new" merge_keys "./$rest" && chown "$uid:$gid" "./$new" && chmod 600 "./$new" && sync &&
		mv -f "./$new" "./$rest"
}
reads() { # PATH: can $user read it? Also true if that cannot be tried
	within 30 su -s /bin/sh -c true "$user" || return 0
	# shellcheck disable=SC2016 # for the shell that su starts
	within 30 su -s /bin/sh -c 'test -r "$0"' "$user" "$1"
} </dev/null >/dev/null 2>&1
check_login() { # by the files as they are now: is $user not locked or expired, with every key where sshd looks?
	why='the account is locked, or has no shell or home'
	find_account && [ -d "$home" ] && is_shell "$shell" || return
	set -- "$(cat /etc/shadow /etc/passwd 2>/dev/null | sed -n "s/^$pattern://p" | sed q)"
	case $1 in '!'*) return 1 ;; esac
	why='the account has expired' day=$(echo "$1" | cut -d: -f7 | grep '^[0-9]\{1,9\}$')
	[ -z "$day" ] || [ "$day" -gt $(($(date +%s) / 86400)) ] || return
	why='/etc/nologin lets nobody but root in' # systemd removes it later, after the one in /run
	[ ! -f /etc/nologin ] || [ -L /etc/nologin ] || { [ -d /run/systemd/system ] && [ -f /run/nologin ]; } || return
	why=$refusal && [ -z "$refusal" ] || return
	file=$(key_file)
	if [ -s "$work/keys" ]; then
		why='the keys are not where sshd looks for them'
		merge_keys "$file" >"$work/new" && cmp -s "$file" "$work/new" || return
		why=$(find_bar | sed q) && [ -z "$why" ] || return
		why="others may write to $file or above it"
		[ "$file" != "${file#"$home"/}" ] || is_strict "$file" || return
		why="$user cannot read $file"
		reads "$file"
	elif wants password && wants ssh_keys; then
		why='there is neither a key nor a password'
		case ${1%%:*} in [$./A-Za-z0-9]?????????*) ;; *) grep -q '^[^#]' "$file" ;; esac 2>/dev/null
	fi
}
is_sudo() { # PATH: false if it leads to another program: doas, as Alpine's doas-sudo-shim does, or run0
	case $(readlink -f "$1") in */sudo | */sudo[.-]*) ;; *) return 1 ;; esac
	! sed q "$1" | grep -q '^#!' || ! grep -q -w -e '^[^#]*doas' -e '^[^#]*run0' "$1"
} 2>/dev/null
sudo=$(command -v sudo || command -v sudo-rs)
becomes_root() { # COMMAND: does $user, with sudo or doas? Also true if that cannot be tried
	within 30 su -s /bin/sh -c true "$user" || return 0
	within 30 su -s /bin/sh -c "$1 -n true" "$user"
} </dev/null >/dev/null 2>&1
is_granted() { # by the last rule that sudo lists for all commands, or by trying it if sudo lists none
	within 30 "$sudo" -n -l -U "$user" </dev/null >"$work/rights" 2>/dev/null
	if grep -q -e 'following commands on ' -e 'is not allowed to ' "$work/rights"; then
		case $(grep -e '^ *(ALL[ :)].*ALL$' -e '^ *(root[ :)].*ALL$' "$work/rights" | sed -n '$p') in
		'' | *!ALL | *' PASSWD: ALL') false ;;
		*' NOPASSWD: '*) [ -u "$sudo" ] || becomes_root "$sudo" ;; # root can list rules without that bit
		*) grep -q '^ .*!authenticate' "$work/rights" ;;
		esac
	else becomes_root "$sudo"; fi
}
grant_sudo() {
	case $user in *[!A-Z0-9_]*) set -- "$user" ;; *) set -- "\"$user\"" ;; esac # capitals alone are an alias
	why='sudo does not take the rule' rule=/etc/sudoers.d/zz-$agent
	put "$1 ALL=(ALL) NOPASSWD:ALL" >"$work/rule"
	! has visudo || visudo -cf "$work/rule" >/dev/null 2>&1 || return
	[ -e /etc/sudoers ] || [ ! -e /usr/etc/sudoers ] || replace /etc/sudoers 440 </usr/etc/sudoers || return
	grep -q '^[[:space:]]*[#@]includedir[[:space:]]*/etc/sudoers.d' /etc/sudoers ||
		append /etc/sudoers '#includedir /etc/sudoers.d'
	replace $rule 440 <"$work/rule" && rm -f /etc/sudoers.d/90-$agent || return # of older releases
	why='sudo does not go by the rule, perhaps as another one comes later' && is_granted
}
doas_rules() { # those that are there, then ours: the last matching one counts
	[ ! -e $rule ] || grep -v -x "permit nopass $pattern" $rule || [ $? = 1 ] || return
	put "permit nopass $user"
}
grant_doas() {
	why='doas does not take the rule'
	case $user in permit | deny | as | cmd | args | nopass | persist | nolog | keepenv | setenv) return 1 ;; esac
	rule=/etc/doas.conf # Alpine's doas reads only a folder, if it exists
	[ ! -d /etc/doas.d ] || ! grep -q /etc/doas.d "$(command -v doas)" || rule=/etc/doas.d/zz-$agent.conf
	store "$work/rule" doas_rules && doas -C "$work/rule" >/dev/null 2>&1 && replace $rule 600 <"$work/rule" || return
	why='doas does not go by the rule' && becomes_root doas
}
grant() { # the right to become root without a password, by each tool that is there; true if one grants it
	why='neither sudo nor doas is installed' granted=false
	case $(readlink -f "$(command -v doas)") in */doas | */opendoas) ! grant_doas || granted=true ;; esac
	! is_sudo "$sudo" || ! grant_sudo || granted=true
	$granted
}
fetch_keys() { # the administrator's, at most 64, into $work/keys
	number=0 count=$(grep -o '"keyData" *: *"[^"]' "$work/instance" | grep -c .)
	while [ $number -lt "$count" ] && [ $number -lt 64 ]; do
		[ $((number % 4)) != 1 ] || sleep 1 # IMDS answers 5 requests a second
		fetch_value publicKeys/$number/keyData
		read_keys <"$work/value" | while read -r kind blob comment; do # each once
			grep -q "^$kind $blob" "$work/keys" || put "$kind $blob${comment:+ $comment}" >>"$work/keys"
		done
		number=$((number + 1))
	done
	[ -s "$work/keys" ] || [ "$count" = 0 ] || fail 'no usable ssh key' "given=$count"
	[ "$count" != 0 ] || ! tells disablePasswordAuthentication '"\{0,1\}[Ff]alse' || ! wants password ||
		fail 'nobody can log in' 'problem=a password takes Python, and there is no key'
}
apply() { # Azure's settings for this VM; everything is fetched before anything is written
	! tells hasCustomData '"\{0,1\}true' || ! wants custom_data ||
		fail 'failure to read customData while hasCustomData=true' 'problem=it takes Python'
	pattern=$(printf '%s\n' "$user" | sed 's/\./\\./g') # for sed and grep
	printf '%s\n' "${user:-none}" | grep '^[A-Za-z0-9_][A-Za-z0-9_.-]\{0,63\}$' | grep '[^0-9]' | grep -q -v -x root ||
		fail 'unsupported admin username' "name=$(echo "$user" | tr -cd 'A-Za-z0-9_.-' | cut -c1-64)"
	[ -z "$user" ] || ! wants ssh_keys || fetch_keys
	if wants hostname; then
		[ -n "$name" ] || { fetch_value name && name=$(valid_name <"$work/value"); }
		[ -z "$name" ] || set_name "$name" || fail 'failure to write file' path=/etc/hostname
	fi
	[ -n "$user" ] || return 0
	! wants account || thrice make_account || fail 'the account cannot be made' "name=$user" "problem=$why"
	ask_about_user || refusal="sshd does not start: $(plain "$(sed -n '$p' "$work/said" | cut -c1-120)")"
	[ ! -s "$work/keys" ] || thrice put_keys || fail 'the ssh keys cannot be added' "path=$file" "problem=$why"
	if wants account && ! check_login; then
		[ "$(option login)" = warn ] || fail 'nobody can log in' "name=$user" "problem=$why"
		announce "warning: nobody can log in: $why"
	fi
	say "account: $user, SSH keys: $(grep -c . "$work/keys")"
	! wants sudo || grant || announce "warning: $user cannot become root: $why"
}
pass_gates() { # each program in ready.d, at most 5 minutes; one that others may change has failed
	AZURE_VM_ID=$(as_azure) AZURE_HOSTNAME=$(cat /etc/hostname) AZURE_ADMIN_USER=$(fact user)
	for gate in "/etc/$agent/ready.d"/*[!~]; do
		name=$(plain "${gate##*/}")
		if [ -d "$gate" ] || { [ ! -e "$gate" ] && [ ! -L "$gate" ]; }; then continue
		elif [ ! -f "$gate" ] || [ ! -x "$gate" ]; then
			announce "warning: the ready gate $name cannot be executed, and is passed over: chmod +x"
			continue
		fi
		why=$(guard "$gate") || fail 'ready gate failed' "gate=$name" "problem=not run: $why"
		within 300 "$gate" </dev/null >/dev/null 2>&1 || fail 'ready gate failed' "gate=$name" "code=$?"
		say "$name: passed"
	done
}
disable() { # the hook, from the record of `install`, as each init system does it
	why=$(guard $folder/install) || { say "warning: the hook stays: $why" && return; }
	[ "$(option every_boot)" = yes ] || sed -n 's/^link=\//\//p' $folder/install 2>/dev/null | while read -r link; do
		case ${link##*/} in
		"rc.$agent") [ -x "$link" ] && chmod a-x "$link" ;; # as Slackware does it
		*$agent*) # runit watches its links, so it gets a file
			if [ ! -f "$link/run" ]; then ls "$link" && rm "$link"
			else [ ! -e "$link/down" ] && replace "$link/down" 644 </dev/null; fi ;;
		*) grep "^# <<< $agent <<<" "$link" && edit "$link" "/^# >>> $agent >>>/,/^# <<< $agent <<</d" ;;
		esac >/dev/null 2>&1 && say "the hook is off ($link)"
	done
	sync
}
tell_host_keys() { # for checking a first login
	for key in $(served_keys || ls /etc/ssh/ssh_host_*_key); do
		[ ! -e "$key.pub" ] || ssh-keygen -l -f "$key.pub" | sed 's/^[0-9]* *//'
	done
	for key in /etc/dropbear/dropbear_*_host_key; do
		[ ! -e "$key" ] || dropbearkey -y -f "$key" | sed -n 's/^Fingerprint: //p'
	done
} 2>/dev/null
take_turn() { # UNTIL: wait until no other run is at work; false if one still is
	until [ "$(readlink "$lock")" = "$turn" ] || ln -s "$turn" "$lock" 2>/dev/null; do
		[ -L "$lock" ] || return 0 # there is no /run
		other=$(readlink "$lock")
		if [ "${other#*:}" != "${turn#*:}" ] || ! kill -0 "${other%%:*}" 2>/dev/null; then rm -f "$lock"
		elif [ "$(seconds)" -lt "$1" ]; then sleep 1
		else return 1; fi
	done
}
leave_turn() { [ "$(readlink "$lock")" != "$turn" ] || rm -f "$lock"; }
prepare() { # what sshd must find when it starts: for a new VM, new host keys
	[ "${mode#*=}" = "$mode" ] && [ -n "$vm_id" ] && ! { is_ours && [ -n "$(fact prepared_at)" ]; } || return 0
	if [ "$(option host_keys)" = keep ] || thrice make_host_keys; then note "prepared_at=$(now)"
	else say 'warning: host keys cannot be made'; fi
}
release() { # a boot that waits for us
	[ -z "$NOTIFY_SOCKET" ] || systemd-notify --ready
	unset NOTIFY_SOCKET
}
case $#:$1:$2 in
1:run: | 2:run:--detach) ;;
*) say "only 'run [--detach]' works without a Python >= 3.6: install the distro's full python3 package" && exit 1 ;;
esac
started=$(seconds) vm_id=$(usable_id 2>/dev/null <$dmi/product_uuid)
if [ -e $dmi/chassis_asset_tag ]; then
	[ "$(cat $dmi/chassis_asset_tag)" = 7783-7084-3265-9085-8269-3286-77 ]
else
	[ "$(option platform)" = azure ] || [ -d /sys/bus/vmbus/devices ]
fi || { say 'not on Azure, nothing to do' && release && exit 0; }
case $(id -u) in [1-9]*) say 'only root can set this VM up' && exit 1 ;; esac
work=$(mktemp -d /run/$agent.XXXXXX || mktemp -d || { mkdir -m 700 /run/$agent.$$ && echo /run/$agent.$$; }) 2>/dev/null
[ -d "$work" ] || { say 'there is no place for temporary files: neither /run nor /tmp' && exit 1; }
# shellcheck disable=SC3028 # without it there is no such child
# A child of bash has these traps until it resets them, and `within` may signal it before that.
is_first() { [ "${BASHPID:-$$}" = $$ ]; }
trap 'set -- $?; ! is_first || { rm -rf "$work"; leave_turn; }; exit $1' EXIT # mksh would give the code of rm
: >"$work/keys"
if is_ours && [ -n "$(fact ready_at)" ]; then disable && release && exit 0; fi
trap '! is_first || { say "interrupted; the next boot continues"; exit 130; }' HUP INT TERM
[ ! -f $log ] || [ "$(wc -c <$log)" -lt 262144 ] || rm -f $log
logging=$(case $(ls -ldn $log | tr -s ' ') in ('' | -?????????' 1 0 '* | -??????????' 1 0 '*) # no link, pipe, other's
	umask 077 && : >>$log && echo yes ;; esac 2>/dev/null)
[ -z "$logging" ] || printf '%s ---- without Python, VM %s ----\n' "$(now)" "${vm_id:-unknown}" >>$log # between boots
[ ! -e $state ] || { [ -f $state ] && ! grep -q -v '^[A-Za-z0-9_.-]*=' $state; } || mv $state $state.corrupt
case $mode$(sed -n 's/^lacks=//p' $folder/install 2>/dev/null) in
*pythonnothing) mode='--broken-python=modules are gone' ;;
esac
! take_turn "$started" || prepare
release
if [ $# = 2 ]; then
	# shellcheck disable=SC2016 # left before this one ends: an init system may kill what is then in the session
	$(command -v setsid || command -v nohup) /bin/sh -c '/bin/sh "$0" "$1" run &' "$0" "$mode" </dev/null >/dev/null 2>&1
	exit 0
fi
take_turn $((started + 900)) || { say 'another run is still at work: leaving it to that' && exit 0; }
prepare
if is_ours && [ -n "$(fact ready_at)" ]; then disable && exit 0; fi
deadline=$(option deadline | grep '^[1-9][0-9]\{1,4\}$') || deadline=900
ends=$((started + deadline)) fetch_ends=$((started + deadline - (deadline < 240 ? deadline / 4 : 60)))
case $(wget --version 2>&1) in *'GNU Wget'*) first=wget &&
	wget='wget --no-config -nv -t 1 --max-redirect=0 --connect-timeout=5 --content-on-error' ;;
*'server response'*) wget='wget -S' ;; esac # busybox's always prints where it connects
tools=$(for tool in curl $first nc wget; do ! has $tool || printf '%s ' $tool; done)
[ -n "$tools" ] || { reporting=no && fail 'there is no curl, wget or nc'; }
imds=$(option imds | grep "$address") || imds=169.254.169.254
wireserver=$(option wireserver | grep "$address") || wireserver=168.63.129.16
case $mode in *=*) fail 'python is broken' "problem=${mode#*=}" ;; esac
announce 'going on without Python: no password will be set, and no customData kept'
for key in password password_login custom_data user_data; do
	case $key=$(option $key) in
	*=yes | *=run | *_data=keep) fail 'the options need Python' "option=$key" ;;
	esac
done
if ! is_ours || [ -z "$(fact configured_at)" ]; then
	persist $fetch_ends IMDS fetch_instance || fail 'no usable answer from IMDS' "problem=$why${cause:+: $cause}"
	if tells ppsType '"[^"]' && ! tells ppsType '"None"' && ! tells ppsType '"Unknown"'; then
		announce 'this VM is pre-provisioned: nothing is applied to it' && exit 1
	fi
	! tells vmId '"[^"]' || fetch_value vmId
	known=$(cat "$work/value" 2>/dev/null | usable_id) && vm_id=${vm_id:-$known} written=''
	! is_ours "${known:-$vm_id}" || { written=$known && known=''; }
	[ -z "$known" ] || announce "warning: IMDS has the VM id $known, the firmware $vm_id"
	name='' before=$(is_ours || fact vm_id)$(fact previous_vm_id)
	if tells computerName '"[^"]'; then fetch_value osProfile/computerName && name=$(valid_name <"$work/value"); fi
	if tells adminUsername '"[^"]'; then fetch_value osProfile/adminUsername && user=$(tr -d '\r\n' <"$work/value"); fi
	if [ -n "$name$user" ] || [ -z "$before" ]; then apply
	else say 'Azure has no profile for this VM, and its disk was set up before: it is left as it is'; fi
	note "configured_at=$(now)" ${known:+"vm_id_imds=$known"} ${written:+"vm_id_azure=$written"} ${user:+"user=$user"}
fi
pass_gates
reporting=yes
persist $ends 'the WireServer' report || fail "$why" ${cause:+"problem=$cause"}
note "ready_at=$(now)"
disable
tell_host_keys | while read -r line; do announce "host key $line"; done
announce "Azure accepted Ready after $(($(seconds) - started)) s"
exit 0
