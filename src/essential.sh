# shellcheck shell=sh disable=SC2012,SC2086,SC2329 # $wget is words; `persist` calls functions by their names
# -- The essential, for a machine without a Python that can run the rest. ----------------------------------------------
# Identify, wait, name, gates, Ready, once; with what a busybox has: wget, curl or nc, and sed. Options, state and exit
# codes are those of the Python part. No account, no keys, no customData: a program in ready.d can see to them.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin LC_ALL=C
export AZURE_VM_ID AZURE_HOSTNAME AZURE_ADMIN_USER # for the programs in ready.d
unset http_proxy all_proxy HTTP_PROXY ALL_PROXY; umask 022
# What is missing, or was closed by the caller: else the next output, or the next file, would take its place.
[ -e /dev/null ] || mknod -m 666 /dev/null c 1 3
true 2>/dev/null 3<&0 || exec </dev/null; true 2>/dev/null 3>&1 || exec >/dev/null; true 3>&2 || exec 2>/dev/null
agent=azure-provisioning dmi=/sys/class/dmi/id folder=/var/lib/azure-provisioning logging='' reporting='' why=''
options=/etc/$agent.conf state=$folder/state log=/var/log/$agent.log api=2021-08-01 wget=wget first='' stop=0
address='^[0-9]\{1,3\}\(\.[0-9]\{1,3\}\)\{3\}\(:[0-9]\{1,5\}\)\{0,1\}$' # IPv4, and perhaps a port

now() { date -u +%Y-%m-%dT%H:%M:%SZ; }
seconds() { if read -r up _ 2>/dev/null </proc/uptime; then echo "${up%%.*}"; else date +%s; fi; } # nobody sets it
say() { # one line of the story; what others wrote comes here only after a check of its characters
	printf '%s: %s\n' $agent "$*" >&2
	[ -z "$logging" ] || printf '%s %s\n' "$(now)" "$*" >>$log
}
announce() { # a line that the serial console shows too; a terminal that takes none holds up nobody
	say "$@"
	[ -t 2 ] || [ ! -c /dev/console ] || (printf '%s: %s\r\n' $agent "$*" >/dev/console) </dev/null >/dev/null 2>&1 &
}
option() { # KEY: what the options file has for it, the last time
	sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*//p" $options 2>/dev/null | sed -n 's/[[:space:]]*$//; $p'
}
within() { # SECONDS COMMAND...: its exit code; when the time is over it is killed
	span=$1 && shift
	{ "$@" <&3 3<&- & } 3<&0
	job=$!
	# It looks itself whether the job has ended: a signal to a shell that has just been forked can be lost.
	(while [ "$span" -gt 0 ] && kill -0 $job; do sleep 1; span=$((span - 1)); done; [ "$span" -gt 0 ] || kill -9 $job) \
		</dev/null >/dev/null 2>&1 &
	set -- $!
	wait $job; set -- "$1" $?
	kill "$1" 2>/dev/null; return "$2"
}
replace() { # PATH [MODE]: stdin takes its place on disk, whole or not at all; its owner and mode stay, or it is root's
	spare=${1%/*}/.${1##*/}.$agent
	mkdir -p "${1%/*}" && rm -f "$spare" && { [ -n "$2" ] || [ ! -f "$1" ] || cp -p "$1" "$spare"; } && cat >"$spare" &&
		{ [ -z "$2" ] || { chown 0:0 "$spare" "${1%/*}" && chmod "$2" "$spare" && chmod go-w "${1%/*}"; }; } && sync &&
		{ mv -f "$spare" "$1" || cat "$spare" >"$1"; } && sync # the latter where something is mounted on it
	set -- $?; rm -f "$spare"; return "$1"
} 2>/dev/null
guard() ( # PATH: false, with who, if others than root may write to it, to a folder above it or where its links lead
	path=${1:-/} && set -f
	[ "$path" = / ] || guard "${path%/*}" || exit
	if target=$(readlink "$path"); then
		[ "${target#/}" != "$target" ] || target=${path%/*}/$target
		guard "$target"; exit
	fi
	# shellcheck disable=SC2046,SC2012 # the words before the name: mode, number of names, owner, group
	set -- $(ls -ldn "$path" 2>/dev/null)
	case $3:$1:$4:$path in
	0:????????w*) echo "everybody may write to $path" && false ;;
	0:-????w* | 0:d????w*:[1-9]*/ready.d) echo "the group $4 may write to $path" && false ;; # not of /usr/local
	[!0:]*) echo "the user $3 may write to $path" && false ;;
	esac
)

usable_id() { # stdin: the id in lower case, if it is one that tells VMs apart
	tr A-F a-f | grep '^[0-9a-f]\{8\}\(-[0-9a-f]\{4\}\)\{3\}-[0-9a-f]\{12\}$' | grep -v -e '^[0-]*$' -e '^[f-]*$'
}
fact() { [ ! -f $state ] || sed -n "s/^$1=//p" $state | sed -n '$p'; } # KEY: what the state has for it
is_ours() { # [ID]: is it, or that of the state, this VM's? Generation 1 firmware swaps the bytes of three fields
	other=$(echo "$vm_id" | sed 's/^\(..\)\(..\)\(..\)\(..\)-\(..\)\(..\)-\(..\)\(..\)-/\4\3\2\1-\6\5-\8\7-/')
	case $(echo "${1:-$(fact vm_id)}" | tr A-F a-f) in "$vm_id" | "$other") [ -n "$vm_id" ] ;; *) false ;; esac
}
as_azure() { # the VM's id as the portal has it: as IMDS wrote it once, else in the other byte order for generation 1
	if is_ours "$(fact vm_id_azure | grep . || echo -)"; then fact vm_id_azure
	elif [ -d /sys/firmware/efi ]; then echo "$vm_id"; else echo "$other"; fi
}
note() { # KEY=VALUE...: write the facts down. From now on the state is about this VM, and what failed is forgotten
	if is_ours; then
		sed -e '/^error[_.]/d' -e "/^${1%%=*}=/d" $state
	else
		echo "vm_id=$vm_id"
		for key in vm_id user; do
			other=$(fact $key)
			other=${other:-$(fact previous_$key)}
			[ -z "$other" ] || echo "previous_$key=$other"
		done
	fi >"$work/facts"
	if [ -z "$vm_id" ] || ! { cat "$work/facts" && printf '%s\n' "$@"; } | replace $state 644; then
		say 'warning: what is done cannot be remembered'
	fi
}
bounded() { ulimit -f 2048 && exec "$@"; } # COMMAND...: it notes the heads that a peer sends, which may never end
ask() { # ENDPOINT PATH HEADER [DOCUMENT]: one try of 1 MiB: $status, $work/body. True for a whole 2xx
	# Azure takes up to 30 s for an answer, and up to 60 for one to a report; in what is left of the deadline.
	tool=${tools%% *} peer=$1 url=http://$1$2 path=$2 document=$4 port=${1#*:} verb=${4:+POST} limit=${4:+6}5
	[ "$limit" != 5 ] || limit=35; left=$((stop - $(seconds))) who=WireServer cause=''
	[ "$left" -ge "$limit" ] || limit=$((left > 1 ? left : 1)); [ "$path" = "${path#/metadata}" ] || who=IMDS
	[ "$port" != "$peer" ] || port=80
	set -- --header "$3" ${4:+--header "x-ms-agent-name: $agent" --header 'Content-Type: text/xml;charset=utf-8'}
	{
		case $tool in
		curl) set -- "$@" ${document:+--data-binary "$document"} "$url"
			within $limit curl -q -sSi --connect-timeout 5 --noproxy '*' "$@" ;;
		wget) within $limit bounded $wget -O - "$@" ${document:+--post-data "$document"} "$url" ;; # -T crashes some busyboxes
		nc)
			{
				printf '%s %s HTTP/1.0\r\nHost: %s\r\nContent-Length: %d\r\n' "${verb:-GET}" "$path" "$peer" ${#document}
				printf '%.0s%s\r\n' "$@" # of each pair the second
				printf '\r\n%s' "$document"
			} | within $limit nc "${peer%:*}" "$port"
			;;
		esac 2>"$work/said"
		echo $? >"$work/code"
	} | head -c 1048576 >"$work/answer"
	read -r code <"$work/code"
	case $tool$code in # wget shows no head, and succeeds for 2xx alone: but busybox's follows redirects
	wget0) status=$((200 + 102 * ($(grep -c -e '^Connecting' -e '^Redirect' -e ' HTTP/1.. 3' "$work/said") > 1))) ;;
	wget*) status=$(sed -n 's/.*[Re01] \([1-9][0-9][0-9]\)[: ].*/\1/p' "$work/said" | sed q) ;;
	*) status=$(sed -n '1s/^HTTP.1.. \([1-9][0-9][0-9]\).*/\1/p' "$work/answer") ;;
	esac
	if [ "$tool" != wget ]; then tr -d '\r' <"$work/answer" | sed '1,/^$/d'; else cat "$work/answer"; fi >"$work/body"
	case $code:$status in
	0:2??) why="unusable answer from $who" && return ;;
	*:2??) why="half an answer from $who" ;;
	*:???) why="http error $status querying $who" ;;
	*) why="no answer from $who"
		cause=$(tail -n 1 "$work/said" | tr -d '\n' | tr -cs 'A-Za-z0-9 .,:()-' '?' | head -c 120) ;;
	esac
	tools="${tools#* }$tool " # another may fare better
	return 1
}
persist() { # UNTIL AWAITED COMMAND...: again and again until it succeeds; false when the time is over
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
	case $api in 2021-0[3-8]*) extra='&extended=true' ;; *) extra='' ;; esac # with it IMDS answers all or nothing
	if ask "$imds" "/metadata/instance?api-version=$api$extra" 'Metadata: true'; then
		grep -q '"compute" *:' "$work/body" && tail -c 3 "$work/body" | grep -q '}'
		return
	fi
	[ "$status" = 400 ] || return 1 # else the next try is a version that older clouds know: the newest that it names
	named=$(grep -o '"20[12][0-9]-[01][0-9]-[0-3][0-9]"' "$work/body" | tr -d '"' | sort |
		grep -e '^2019-0[6-9]' -e '^2019-1' -e '^2020' -e '^2021-0[1-7]' | sed -n '$p')
	case $api in 2021-08-01) api=${named:-2021-05-01} ;; 2021-05-01) api=2019-06-01 ;;
	2019-06-01) api=2021-08-01 ;; *) api=2021-05-01 ;; esac; return 1
}
string() { # KEY: the first string of that name in the answer. What users wrote cannot hold its quotes unescaped
	grep -o "\"$1\" *: *\"[^\"]*\"" "$work/body" | sed -e 's/"$//' -e 's/.*"//' -e q
}
valid_name() { # stdin: the host name that it comes nearest to; empty if nothing of it is left
	name=$(tr '\r\n' '  ' | sed -e 's/^ *//' -e 's/ *$//' -e 's/\\u[0-9A-Fa-f]\{4\}/_/g' -e 's/\\./_/g' \
		-e 's/-*[^A-Za-z0-9.-][^A-Za-z0-9.]*/-/g' -e 's/[.-]*\.[.-]*/./g' -e 's/^[.-]*//' \
		-e 's/\([^.]\{63\}\)[^.]*/\1/g' -e 's/-*\././g' -e 's/[.-]*$//')
	while [ ${#name} -gt 64 ]; do name=${name%.*}; done
	echo "$name"
}
set_name() { # NAME: for the next boot, then in the kernel
	case $(readlink /etc/hostname) in /nix/* | /gnu/* | /run/*) return 1 ;; esac
	echo "$1" | replace /etc/hostname || return
	[ ! -e /etc/HOSTNAME ] && [ ! -e /etc/slackware-version ] || echo "$1" | replace /etc/HOSTNAME || return
	say "hostname: $1"
	# A chroot on another machine must not rename that machine; one with a name space of its own may.
	# shellcheck disable=SC3013 # every shell here has -ef
	[ / -ef /proc/1/root ] || case $(readlink /proc/self/ns/uts) in '' | *4026531838*) return 0 ;; esac
	hostname "$1" 2>/dev/null || echo "$1" >/proc/sys/kernel/hostname
}
pass_gates() { # each program in ready.d, at most 5 minutes; one that others may change is no condition that is met
	AZURE_VM_ID=$(as_azure) AZURE_HOSTNAME=$(cat /etc/hostname) AZURE_ADMIN_USER=''
	for gate in "/etc/$agent/ready.d"/*[!~]; do
		[ -f "$gate" ] && [ -x "$gate" ] || continue
		why=$(guard "$gate") || fail 'ready gate failed' "gate=${gate##*/}" "problem=not run: $why"
		within 300 "$gate" </dev/null >/dev/null 2>&1 || fail 'ready gate failed' "gate=${gate##*/}" "code=$?"
		say "${gate##*/}: passed"
	done
}
element() { # NAME CHARACTERS [WHERE]: the first such element of the goal state
	sed -n "$3s/^\([A-Za-z]*:\)\{0,1\}$1> *\([$2]\{1,255\}\) *$/\2/p" "$work/lines" | sed q
}
report() { # [PROBLEM]: one try to report Ready, or NotReady with a problem, quoting the goal state of this moment
	ask "$wireserver" '/machine?comp=goalstate' 'x-ms-version: 2012-11-30' || return
	tr '\r\n\t<' '   \n' <"$work/body" >"$work/lines"
	incarnation=$(element Incarnation 0-9) container=$(element ContainerId A-Za-z0-9._-)
	instance=$(element InstanceId A-Za-z0-9._- '/^[A-Za-z:]*RoleInstance>/,$')
	[ -n "$incarnation" ] && [ -n "$container" ] && [ -n "$instance" ] &&
		grep -q '^/[A-Za-z:]*GoalState>' "$work/lines" && ! grep -q '^!DOCTYPE' "$work/lines" || return
	say "ContainerId: $container"; say "InstanceId: $instance"
	health="<State>${1:+Not}Ready</State>"
	health=$health${1:+"<Details><SubStatus>ProvisioningFailed</SubStatus><Description>$1</Description></Details>"}
	role="<Role><InstanceId>$instance</InstanceId><Health>$health</Health></Role>"
	container="<ContainerId>$container</ContainerId><RoleInstanceList>$role</RoleInstanceList>"
	ask "$wireserver" '/machine?comp=health' 'x-ms-version: 2012-11-30' \
		"<Health><GoalStateIncarnation>$incarnation</GoalStateIncarnation><Container>$container</Container></Health>"
	case $status in 2??) say "Response: $status" ;; *) return 1 ;; esac
}
advise() { # REASON DETAILS: what to do, in the words of the README
	case $1:$2 in
	'no usable'*:?*) advise "${2#problem=}" ;;
	'no answer'* | 'half an'*) echo "Take the firewall of the image, or a route of your own for 169.254.169.254 or" \
		"168.63.129.16, out of the way" ;;
	'http error 40'[13]*) echo "Create the VM without the Metadata Security Protocol (--enable-proxy-agent false), or" \
		"put the proxy agent (GuestProxyAgent) into the image" ;;
	'http error 4'[01][04]*) echo "See that the options imds and wireserver name this cloud's addresses; else redeploy" \
		"the VM (az vm redeploy), which gives it another host" ;;
	http*) echo "Restart the VM later. If it stays so, redeploy it (az vm redeploy), which gives it another host" ;;
	unusable*) echo "Take the proxy or captive portal that is in between out of the way" ;;
	'failure to'*) echo "Make it writable before this runs, or give the image a larger disk" ;;
	ready*problem=*) echo "chown root and chmod go-w; azure-provisioning check prints the commands" ;;
	ready*) echo "Mend what it asks for: run it by hand to see that" ;;
	*curl*) echo "Put one of them into the image, or Python 3.6 or newer" ;;
	*options*) echo "Install the distro's full python3, or take the option out" ;;
	python*) echo "Repair or reinstall python3" ;;
	*) echo "See the log ($log)" ;;
	esac
}
fail() { # REASON [KEY=VALUE [KEY=VALUE]]: tell state, Azure and console why this boot failed. The hook stays
	line="result=error|reason=$1|agent=$agent|vm_id=$(as_azure | grep . || echo unknown)"
	line="$line|timestamp=$(now)${2:+|$2}${3:+|$3}"
	set -- "$1" "$2" "$3" "error_at=$(now)" "error_boot=$(cat /proc/sys/kernel/random/boot_id)"
	note "error_reason=$1" "$4" "$5" ${2:+"error.$2"} ${3:+"error.$3"}
	[ -n "$reporting" ] || persist "$ends" 'the WireServer' report "$line" || say "warning: it could not be reported: $why"
	announce "FAILED: $1${2:+ ($2${3:+, $3})}. $(advise "$1" "$2$3"). The next boot tries again"
	exit 1
}
disable() { # the hook, by what `install` wrote down, in the way of each init system
	why=$(guard $folder/install) || { say "warning: the hook stays: $why" && return; }
	[ "$(option every_boot)" = yes ] || sed -n 's/^link=\//\//p' $folder/install 2>/dev/null | while read -r link; do
		case ${link##*/} in
		"rc.$agent") [ -x "$link" ] && chmod a-x "$link" ;; # Slackware's own way
		*$agent*) # runit watches its links, so there it is a file
			if [ ! -f "$link/run" ]; then ls "$link" && rm "$link"
			else [ ! -e "$link/down" ] && replace "$link/down" 644 </dev/null; fi ;;
		*) grep "^# <<< $agent <<<" "$link" && sed "/^# >>> $agent >>>/,/^# <<< $agent <<</d" "$link" | replace "$link" ;;
		esac >/dev/null 2>&1 && say "the hook is off ($link)"
	done; sync
}
release() { [ -z "$NOTIFY_SOCKET" ] || systemd-notify --ready; unset NOTIFY_SOCKET; } # a boot that waits for our word
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
if is_ours && [ -n "$(fact ready_at)" ]; then disable && release && exit 0; fi
release
if [ $# = 2 ]; then
	$(command -v setsid || command -v nohup) /bin/sh "$0" "$mode" run </dev/null >/dev/null 2>&1 &
	exit 0
fi
work=$(mktemp -d /run/$agent.XXXXXX 2>/dev/null || mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT; trap 'say "interrupted; the next boot goes on from here"; exit 130' HUP INT TERM
[ ! -f $log ] || [ "$(wc -c <$log)" -lt 262144 ] || rm -f $log
logging=$(case $(ls -ldn $log | tr -s ' ') in ('' | -?????????' 1 0 '* | -??????????' 1 0 '*) # no link, pipe, other's
	umask 077 && : >>$log && echo yes ;; esac 2>/dev/null)
[ -z "$logging" ] || printf '%s ---- without Python, VM %s ----\n' "$(now)" "${vm_id:-unknown}" >>$log # between boots
[ ! -e $state ] || { [ -f $state ] && ! grep -q -v '^[A-Za-z0-9_.-]*=' $state; } || mv $state $state.corrupt
deadline=$(option deadline | grep '^[1-9][0-9]\{1,4\}$') || deadline=900; ends=$((started + deadline))
case $(wget --version 2>&1) in *'GNU Wget'*) first=wget &&
	wget='wget --no-config -nv -t 1 --max-redirect=0 --connect-timeout=5 --content-on-error' ;;
*'server response'*) wget='wget -S' ;; esac # busybox's, which is never quiet of where it goes
tools=$(for tool in curl $first nc wget; do ! command -v $tool >/dev/null || printf '%s ' $tool; done)
[ -n "$tools" ] || { reporting=no && fail 'there is no curl, wget or nc'; }
imds=$(option imds | grep "$address") || imds=169.254.169.254
wireserver=$(option wireserver | grep "$address") || wireserver=168.63.129.16
case $mode$(sed -n 's/^lacks=//p' $folder/install 2>/dev/null) in *pythonnothing) mode='=modules are gone' ;; esac
case $mode in *=*) fail 'python is broken' "problem=${mode#*=}" ;; esac
announce 'going on without Python: no account and no keys will be made'
for key in account password ssh_keys sudo password_login host_keys custom_data user_data; do
	case $key=$(option $key) in
	*=yes | *=new | *=run | *_data=keep) fail 'the options ask for what takes Python' "option=$key" ;;
	esac
done
if ! is_ours || [ -z "$(fact configured_at)" ]; then
	persist $((ends - (deadline < 240 ? deadline / 4 : 60))) IMDS fetch_instance ||
		fail 'no usable answer from IMDS' "problem=$why${cause:+: $cause}"
	case $(string ppsType) in
	'' | None | Unknown) ;;
	*) announce 'this VM is pre-provisioned: nothing is applied to it' && exit 1 ;;
	esac
	known=$(string vmId | usable_id) && vm_id=${vm_id:-$known} written=''
	! is_ours "${known:-$vm_id}" || { written=$known known=''; }
	[ -z "$known" ] || announce "warning: IMDS has the VM id $known, the firmware $vm_id"
	name=$(string computerName | valid_name) before=$(is_ours || fact vm_id)$(fact previous_vm_id)
	if [ -z "$name$(string adminUsername)" ] && [ -n "$before" ]; then
		say 'Azure has no profile for this VM, and its disk was set up before: it is left as it is'
	elif [ "$(option hostname)" != no ]; then
		query="/metadata/instance/compute/name?api-version=$api&format=text"
		[ -n "$name" ] || ! ask "$imds" "$query" 'Metadata: true' || name=$(valid_name <"$work/body")
		[ -z "$name" ] || set_name "$name" || fail 'failure to write file' path=/etc/hostname
	fi
	note "configured_at=$(now)" ${known:+"vm_id_imds=$known"} ${written:+"vm_id_azure=$written"}
fi
pass_gates
reporting=yes; persist $ends 'the WireServer' report || fail "$why" ${cause:+"problem=$cause"}
note "ready_at=$(now)"
disable
announce "Azure accepted Ready after $(($(seconds) - started)) s"
exit 0
