"""The options that sshd starts with at boot: found for each init system, and also passed to our query."""

import os
from typing import Dict, List, Optional, Tuple

from azure_provisioning.console import Console
from azure_provisioning.door.marks import BEGIN, END
from azure_provisioning.guest.accounts import find_account
from azure_provisioning.guest.authorized_keys import key_file
from azure_provisioning.guest.login import find_ways
from azure_provisioning.guest.sshd import DROP_IN, set_password_login
from azure_provisioning.guest.sshd_config import ask_sshd, find_config, settings, walk
from azure_provisioning.guest.sshd_options import UNKNOWN, WITH_VALUE, are_known, choose, find_options
from azure_provisioning.image.check.check import check
from azure_provisioning.image.generalize.generalize import generalize
from azure_provisioning.image.rehearse.fake_azure import KEY
from azure_provisioning.init.arguments import TAKES_VALUE, expand, split
from azure_provisioning.story.boot import introduce
from tests.images import IMAGES
from tests.tools import ToolSystem, ToolTest, run_process

UNIT = "/usr/lib/systemd/system/ssh.service"
EXEC = "[Service]\nEnvironmentFile=-/etc/default/ssh\nExecStartPre=/usr/sbin/sshd -t -f /x\nExecStart=%s\n"
DEBIAN = EXEC % "/usr/sbin/sshd -D $SSHD_OPTS"
DROP = "/etc/systemd/system/ssh.service.d/"
SCRIPT = """#!/bin/sh
### BEGIN INIT INFO
# Provides: ssh sshd
### END INIT INFO
# /usr/sbin/sshd -f /of/a/comment
test -x /usr/sbin/sshd || exit 0
if test -f /etc/default/ssh; then
    . /etc/default/ssh
fi
	/usr/sbin/sshd $SSHD_OPTS -t || exit 1
	start-stop-daemon --start --quiet --pidfile /run/sshd.pid --exec /usr/sbin/sshd -- $SSHD_OPTS
	log_daemon_msg "Starting OpenBSD Secure Shell server" "sshd" || true
"""
GENTOO = """#!/sbin/openrc-run
: ${SSHD_CONFDIR:=${RC_PREFIX%/}/etc/ssh}
: ${SSHD_CONFIG:=${SSHD_CONFDIR}/sshd_config}
: ${SSHD_BINARY:=${RC_PREFIX%/}/usr/sbin/sshd}
checkconfig() {
	[ "${SSHD_CONFIG}" != "${RC_PREFIX%/}/etc/ssh/sshd_config" ] && SSHD_OPTS="${SSHD_OPTS} -f ${SSHD_CONFIG}"
	"${SSHD_BINARY}" -t ${SSHD_OPTS} || return 1
}
start() {
	start-stop-daemon --start --exec "${SSHD_BINARY}" --pidfile "${SSHD_PIDFILE}" -- ${SSHD_OPTS}
}
"""
ALPINE = """#!/sbin/openrc-run
: ${cfgfile:=${SSHD_CONFIG:-"${SSHD_CONFDIR:-"/etc/ssh"}/sshd_config"}}
pidfile="${SSHD_PIDFILE:-"/run/$RC_SVCNAME.pid"}"
command="${SSHD_BINARY:-"/usr/sbin/sshd"}"
command_args="${command_args:-${SSHD_OPTS:-}}"
checkconfig() {
	[ "$pidfile" != "/run/sshd.pid" ] && command_args="$command_args -o PidFile=$pidfile"
	[ "$cfgfile" != "/etc/ssh/sshd_config" ] && command_args="$command_args -f $cfgfile"
	"$command" -t $command_args || return 1
}
"""
BUILDROOT = """#!/bin/sh
DAEMON="sshd"
SSHD_ARGS=""
[ -r "/etc/default/$DAEMON" ] && . "/etc/default/$DAEMON"
start-stop-daemon --start --exec "/usr/sbin/$DAEMON" -- $SSHD_ARGS
"""
VOID = "#!/bin/sh\n[ -r conf ] && . ./conf\nexec /usr/bin/sshd -D $OPTS 2>&1\n"
FILE = ["-f", "/etc/ssh/other"]
NO_PASSWORDS = ["-o", "PasswordAuthentication=no"]

ROWS: "List[Tuple[str, Dict[str, str], Optional[List[str]]]]" = [
    ("systemd", {UNIT: DEBIAN}, []),
    ("systemd", {UNIT: DEBIAN, "/etc/default/ssh": "# x\nSSHD_OPTS=\n"}, []),
    ("systemd", {UNIT: DEBIAN, "/etc/default/ssh": 'SSHD_OPTS="-4 -f /etc/ssh/other"\n'}, FILE),
    ("systemd", {UNIT: DEBIAN, "/etc/default/ssh": "SSHD_OPTS=-o PasswordAuthentication=no # x\n"}, NO_PASSWORDS),
    ("systemd", {UNIT: EXEC % "-/usr/sbin/sshd -D -f/etc/ssh/other"}, FILE),
    ("systemd", {UNIT: EXEC % '/usr/sbin/sshd -D \\\n  -f "/etc/ssh/other"'}, FILE),
    (
        "systemd",
        {UNIT: EXEC % "/usr/sbin/sshd -Df ${CONF}", DROP + "a.conf": "[Service]\nEnvironment='CONF=/etc/ssh/other'\n"},
        FILE,
    ),
    ("systemd", {UNIT: EXEC % "/usr/sbin/sshd -f relative"}, None),
    ("systemd", {UNIT: EXEC % "/usr/local/bin/wrapper"}, None),
    (
        "systemd",
        {UNIT: DEBIAN, DROP + "a.conf": "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D -f /etc/ssh/other\n"},
        FILE,
    ),
    (
        "systemd",
        {
            UNIT: DEBIAN,
            DROP + "a.conf": "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -f /x\n",
            DROP + "b.conf": "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -f /etc/ssh/other\n",
        },
        FILE,
    ),
    ("systemd", {UNIT: DEBIAN, DROP + "a.conf": "[Service]\nEnvironment=SSHD_OPTS='-f /etc/ssh/other'\n"}, FILE),
    ("systemd", {UNIT: DEBIAN, DROP + "a.conf": '[Service]\nEnvironment="SSHD_OPTS=-f /etc/ssh/other"\n'}, FILE),
    (
        "systemd",
        {
            UNIT: EXEC % "/usr/sbin/sshd -D $OPTIONS $CRYPTO_POLICY",
            DROP + "a.conf": "[Service]\nEnvironmentFile=-/etc/crypto-policies/x.config\n",
            "/etc/crypto-policies/x.config": "CRYPTO_POLICY='-oCiphers=a,b -oMACs=c'\n",
        },
        ["-o", "Ciphers=a,b", "-o", "MACs=c"],
    ),
    ("debian without insserv", {"/etc/init.d/ssh": SCRIPT}, []),
    (
        "debian without insserv",
        {"/etc/init.d/ssh": SCRIPT, "/etc/default/ssh": "SSHD_OPTS='-f /etc/ssh/other'\n"},
        FILE,
    ),
    ("debian without insserv", {"/etc/init.d/ssh": SCRIPT, "/etc/default/ssh": 'SSHD_OPTS="-f $(cat /x)"\n'}, None),
    (
        "debian without insserv",
        {"/etc/init.d/ssh": SCRIPT.replace("-- $SSHD_OPTS", "-- -f /etc/ssh/other $SSHD_OPTS")},
        FILE,
    ),
    ("openrc on busybox", {"/etc/init.d/sshd": GENTOO}, []),
    ("openrc on busybox", {"/etc/init.d/sshd": GENTOO, "/etc/conf.d/sshd": 'SSHD_CONFIG="/etc/ssh/other"\n'}, FILE),
    (
        "openrc on busybox",
        {"/etc/init.d/sshd": GENTOO, "/etc/conf.d/sshd": "SSHD_CONFDIR=/etc/other\n"},
        ["-f", "/etc/other/sshd_config"],
    ),
    ("openrc on busybox", {"/etc/init.d/sshd": GENTOO, "/etc/conf.d/sshd": "SSHD_CONFIG=${RC_PREFIX}/etc/x\n"}, None),
    (
        "openrc on busybox",
        {"/etc/init.d/sshd": GENTOO, "/etc/conf.d/sshd": "SSHD_OPTS='-o PasswordAuthentication=no'\n"},
        NO_PASSWORDS,
    ),
    ("openrc on busybox", {"/etc/init.d/sshd": ALPINE}, []),
    ("openrc on busybox", {"/etc/init.d/sshd": ALPINE, "/etc/conf.d/sshd": "cfgfile=/etc/ssh/other\n"}, FILE),
    ("openrc on busybox", {"/etc/init.d/sshd": ALPINE, "/etc/conf.d/sshd": "SSHD_CONFIG=/etc/ssh/other\n"}, FILE),
    ("openrc on busybox", {"/etc/init.d/sshd": ALPINE, "/etc/conf.d/sshd": "command_args='-f /etc/ssh/other'"}, FILE),
    ("buildroot", {"/etc/init.d/S50sshd": BUILDROOT}, []),
    ("buildroot", {"/etc/init.d/S50sshd": BUILDROOT, "/etc/default/sshd": "SSHD_ARGS='-f /etc/ssh/other'\n"}, FILE),
    ("runit of void", {"/etc/sv/sshd/run": VOID}, []),
    ("runit of void", {"/etc/sv/sshd/run": VOID, "/etc/sv/sshd/conf": "OPTS='-f /etc/ssh/other'\n"}, FILE),
    ("runit of void", {"/etc/sv/sshd/run": "#!/bin/sh\nexec /usr/bin/sshd -D -f $CONF\n"}, None),
]

SOCKET = {
    UNIT: EXEC % "/usr/sbin/sshd -D",
    "/usr/lib/systemd/system/ssh@.service": "[Service]\nExecStart=-/usr/sbin/sshd -i -f /etc/ssh/other\n",
    "/etc/systemd/system/sockets.target.wants/ssh.socket": "-> /usr/lib/systemd/system/ssh.socket",
}


class ArgumentsTest(ToolTest):
    def found(self, image: str, files: "Dict[str, str]") -> "Optional[List[str]]":
        """The options found in this image."""
        self.setUp()
        self.fill(dict(IMAGES[image], **files))
        for path, text in files.items():
            if text.startswith("#!"):
                os.chmod(self.root + path, 0o755)
        introduce(self.system)
        return find_options(self.system)

    def test_options_of_each_init_system(self) -> None:
        for image, files, expected in ROWS:
            with self.subTest(image=image, files=files):
                self.assertEqual(self.found(image, files), expected)

    def test_socket(self) -> None:
        """It starts a service, or an instance of a template for each connection."""
        image = {path: text for path, text in IMAGES["systemd"].items() if not path.endswith(".wants/ssh.service")}
        for accept, expected in (("no", []), ("yes", FILE)):
            self.setUp()
            socket = "[Socket]\nListenStream=22\nAccept=%s\n" % accept
            self.fill(dict(image, **SOCKET, **{"/usr/lib/systemd/system/ssh.socket": socket}))
            introduce(self.system)
            self.assertEqual(find_options(self.system), expected)

    def test_socket_with_a_drop_in(self) -> None:
        """The last value counts, in a drop-in too."""
        image = {path: text for path, text in IMAGES["systemd"].items() if not path.endswith(".wants/ssh.service")}
        for value, expected in (("no", []), ("Yes", FILE)):
            self.setUp()
            socket = "/usr/lib/systemd/system/ssh.socket"
            other = {"no": "yes", "Yes": "no"}[value]
            parts = {socket: "[Socket]\nListenStream=22\nAccept=%s\n" % other}
            parts["/etc/systemd/system/ssh.socket.d/x.conf"] = "[Socket]\nAccept=%s\n" % value
            self.fill(dict(image, **SOCKET, **parts))
            introduce(self.system)
            self.assertEqual(find_options(self.system), expected, value)

    def test_options_that_take_a_value(self) -> None:
        """The wings share nothing: the letters stand in both."""
        letters = {letter for letter in map(chr, range(33, 127)) if TAKES_VALUE.match("-" + letter)}
        self.assertEqual(letters, set(WITH_VALUE))

    def test_no_image_has_any(self) -> None:
        """The distros' own services pass no options. If the options are unknown, nothing is reported."""
        for image in IMAGES:
            self.assertEqual(self.found(image, {}), [], image)

    def test_start_line_of_each_distro(self) -> None:
        line = "/usr/sbin/sshd -D -f /etc/ssh/other\n"
        for image, files in (
            (
                "finit of debian",
                {"/etc/finit.d/ssh.conf": "service env:-/etc/default/ssh %s" % line.replace("\n", " -- x\n")},
            ),
            (
                "dinit of chimera",
                {"/usr/lib/dinit.d/boot.d/sshd": "-> ../sshd", "/usr/lib/dinit.d/sshd": "command = " + line},
            ),
            ("slackware", {"/etc/rc.d/rc.sshd": "#!/bin/sh\n  " + line}),
            ("buildroot", {"/etc/init.d/S50sshd": "#!/bin/sh\n\t" + line}),
            ("upstart of ubuntu", {"/etc/init/ssh.conf": "exec " + line}),
        ):
            with self.subTest(image):
                self.assertEqual(self.found(image, files), FILE)

    def test_words(self) -> None:
        self.assertEqual(split("a 'b c' \"d \\\" e\" f\\ g h'i'"), ["a", "b c", 'd " e', "f g", "hi"])
        self.assertIsNone(split("a 'b"))
        self.assertEqual(expand(["$A", "${A}x", "$B", "$C"], {"A": "1 2", "B": ""}), ["1", "2", "1 2x"])
        for words, expected in (
            (["-D", "-e", "x", "-f", "/y"], []),
            (["-f", "/a", "-f", "/b", "-oX=1", "-o", "Y 2"], ["-f", "/b", "-o", "X=1", "-o", "Y 2"]),
            (["-46Df/a", "--", "-f", "/b"], ["-f", "/a"]),
            (["-p", "-f", "-h", "/k"], ["-o", "HostKey=/k"]),
            (["-f"], None),
        ):
            self.assertEqual(choose(words), expected, words)


class AskedTest(ToolTest):
    """The query to sshd, and the reads and writes of its files, match the sshd that will run."""

    def setUp(self) -> None:
        super().setUp()
        self.fill(dict(IMAGES["systemd"], **{UNIT: EXEC % "/usr/sbin/sshd -D -f /etc/other/config -o Banner=none"}))
        self.fill({"/etc/ssh/sshd_config": "AuthorizedKeysFile /etc/default/%u\nPasswordAuthentication yes\n"})
        self.fill({"/etc/other/config": "AuthorizedKeysFile /etc/keys/%u\nHostKey /etc/other/key\n"})
        self.fill({"/etc/passwd": "ann:x:1000:1000::/home/ann:/bin/sh\n", "/bin/sh": ""})
        introduce(self.system)

    def test_sshd(self) -> None:
        self.tools.add("sshd", folder="/usr/sbin")
        ask_sshd(self.system, ["-T"])
        self.assertEqual(self.tools.ran_words(), ["sshd -f /etc/other/config -o Banner=none -T"])

    def test_files(self) -> None:
        self.assertEqual(find_config(self.system), "/etc/other/config")
        pairs = [("banner", "none"), ("authorizedkeysfile", "/etc/keys/%u"), ("hostkey", "/etc/other/key")]
        self.assertEqual(list(walk(self.system)), pairs)
        account = find_account(self.system, "ann")
        assert account is not None
        self.assertEqual(key_file(account, settings(self.system, "ann")), "/etc/keys/ann")

    def test_password_login(self) -> None:
        self.assertEqual(set_password_login(self.system, allowed=False), "password login: no")
        self.assertIn("PasswordAuthentication no\n", self.text("/etc/other/config") or "")
        self.assertIn("PasswordAuthentication yes\n", self.text("/etc/ssh/sshd_config") or "")
        self.assertIsNone(self.text(DROP_IN))

    def test_unknown(self) -> None:
        """A lock-out is not proven if the query may lack options."""
        os.chmod(self.root + "/bin/sh", 0o755)
        self.tools.add("sshd", lambda argv, stdin: (0, "denyusers ann\n"), folder="/usr/sbin")
        for start, expected in (("/usr/sbin/sshd -D", False), ("/usr/local/bin/wrapper", None)):
            self.fill({UNIT: EXEC % start})
            introduce(self.system)
            ways, silent = find_ways(self.system, "ann", [KEY])
            self.assertEqual([(way.works, silent) for way in ways], [(expected, "")] * 2)

    def test_options_of_the_running_sshd(self) -> None:
        """Options of the running sshd are a hint if no boot gives any. Other users and other programs give none."""

        class Live(ToolSystem):
            live = True

        self.system = Live(self.root)
        self.fill({"/usr/sbin/sshd": "", "/usr/sbin/other": "", UNIT: DEBIAN})
        for name in ("sshd", "other"):
            os.chmod(self.root + "/usr/sbin/" + name, 0o755)
        title = "sshd: /usr/sbin/sshd -D -f /x [listener] 0 of 10-100 startups"
        rows: "List[Tuple[List[str], Dict[str, object], bool]]" = [
            (["/usr/sbin/sshd", "-D"], {}, True),
            (["/usr/sbin/sshd", "-D", "-f", "/x"], {}, False),
            ([title], {}, False),
            ([title.replace("-f /x ", "")], {}, True),
            (["sshd: ann [priv]"], {}, True),
            ([title], {"uid": 1000}, True),
            ([title], {"program": "other"}, True),
        ]
        for argv, more, known in rows:
            with self.subTest(argv, **more):
                run_process(self, 77, str(more.get("program", "sshd")), *argv, uid=1000 if "uid" in more else 0)
                introduce(self.system)
                self.assertEqual(are_known(self.system), known)
        run_process(self, 77, "sshd", title)
        self.fill({UNIT: EXEC % "/usr/sbin/sshd -D -f /etc/other/config"})
        introduce(self.system)
        self.assertTrue(are_known(self.system))  # the options of the next boot count

    def test_check(self) -> None:
        self.tools.add("sshd", lambda argv, stdin: (1, ""), folder="/usr/sbin")
        self.fill({UNIT: EXEC % "/usr/local/bin/wrapper"})
        findings = [finding for finding in check(self.system) if finding.id == "sshd-config"]
        self.assertIn(UNKNOWN, [finding.message for finding in findings if finding.level == "warning"])
        self.fill({UNIT: DEBIAN, "/etc/default/ssh": "SSHD_OPTS='-o DenyUsers=*'\n"})
        findings = [finding for finding in check(self.system) if finding.id == "sshd-config"]
        self.assertIn(
            "an option of sshd's start: DenyUsers *: nobody is let in", [finding.message for finding in findings]
        )

    def test_generalize(self) -> None:
        """The host key and our lines go by the configuration that is really read."""
        self.fill({"/etc/other/config": BEGIN + "PasswordAuthentication no\n" + END + "\nHostKey /etc/other/key\n"})
        self.fill({"/etc/other/key": "-----BEGIN OPENSSH PRIVATE KEY-----\n"})
        generalize(self.system, Console(self.stream), lambda: None)
        self.assertEqual(self.text("/etc/other/config"), "HostKey /etc/other/key\n")
        self.assertIsNone(self.text("/etc/other/key"))
