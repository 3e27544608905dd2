"""Why a boot fails, and what to do: the table for FAILED lines, `status`, `help reasons` and man page.

A reason is the stable part of an error, which the portal shows; `*` in it stands for any text.
"""

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Tuple

    from .errors import ProvisionError


class Row(namedtuple("Row", "reasons details means remedy detail")):
    """One row of the table."""

    __slots__ = ()

    reasons: "Tuple[str, ...]"
    details: str  # those worth a mention
    means: str
    remedy: str  # one sentence or more, without the last full stop
    detail: str  # the row is for errors with this detail; empty: for all


def row(reasons: str, means: str, remedy: str, details: str = "", detail: str = "") -> Row:
    """A row; ` / ` separates its `reasons`."""
    return Row(tuple(reasons.split(" / ")), details, means, remedy, detail)


WITHOUT_PYTHON = "no usable answer from IMDS"  # the shell implementation's reason, with another reason in `problem`
LOG = "/var/log/azure-provisioning.log"

# The first row that matches counts.
ROWS = (
    row(
        "no answer from Azure",
        "no lease, or no route to 168.63.129.16: `error=` is the last error, `network=` the machine's network",
        "Make sure that the image has a DHCP client and starts it: `azure-provisioning check`",
        "`error=`, `network=`",
    ),
    row(
        "connection timeout querying * / connection error querying * / read timeout querying * / "
        "read error querying * / no answer from * / half an answer from *",
        "the address does not answer, or not completely (the last two come from the shell implementation)",
        "Remove the firewall rule or route of the image that blocks 169.254.169.254 or 168.63.129.16",
        "`endpoint=`, `error=`",
    ),
    row(
        "http error 401 querying * / http error 403 querying *",
        "it refuses the request: the VM enforces the Metadata Security Protocol. The proxy agent that signs requests "
        "is missing, not waagent; `ProvisionGuestProxyAgent=true` means that the DVD announces it",
        "Create the VM without the Metadata Security Protocol (`--enable-proxy-agent false`), or put the proxy agent "
        "(GuestProxyAgent) into the image",
        "`ProvisionGuestProxyAgent=`",
    ),
    row(
        "http error 400 querying * / http error 404 querying * / http error 410 querying *",
        "it does not know the request: another cloud, or a VM that Azure has not finished setting up",
        "Make sure that the options `imds` and `wireserver` name this cloud's addresses; else redeploy the VM "
        "(`az vm redeploy`), which moves it to another host",
    ),
    row(
        "http error * querying *",
        "it cannot answer the request now",
        "Restart the VM later, or redeploy it (`az vm redeploy`), which moves it to another host",
    ),
    row(
        "error parsing IMDS metadata / unusable answer from * / unusable goal state",
        "something else answers there: `answer=` shows it",
        "Remove the proxy or captive portal in between",
        "`problem=`, `answer=`",
    ),
    row(
        "error parsing ovf-env.xml / unexpected metadata parsing ovf-env.xml: *",
        "the DVD is damaged",
        "Create the VM again",
    ),
    row(
        "failure to read customData while hasCustomData=true",
        "no DVD, a kernel that cannot read it, or customData that is not base64: the log says which",
        "Make sure that the image's kernel has `udf` and `iso9660` (`azure-provisioning check`), and create the VM "
        "again; or set `custom_data = no`",
    ),
    row(
        "failure to lock file / file is locked",
        "another program holds the file at `path=`",
        "Find the program of the image that runs at the same time",
        "`path=`",
    ),
    row(
        "failure to *",
        "a read-only, full or damaged file system: `path=` and `error=` say where",
        "Make it writable before this runs, or give the image a larger disk",
        "`path=`, `error=`",
    ),
    row(
        "the hostname belongs to the distro's configuration",
        "`/etc/hostname` is a link into a store",
        "Set `hostname = no`, and the name in the distro's own configuration",
    ),
    row(
        "the running hostname cannot be set",
        "the kernel refused the name",
        "Run it as root, and not in a container",
        "`error=`",
    ),
    row(
        "unsupported admin username",
        "`root`, a system account, or a name this system cannot have",
        "Choose another with `--admin-username`",
        "`name=`",
    ),
    row(
        "the accounts are locked",
        "another program holds `/etc/.pwd.lock` or left a lock behind",
        "Remove the stale lock from the image",
        "`path=`",
    ),
    row(
        "the account cannot be made / the account does not exist after it was created / the account is still locked / "
        "no uid is free / no accounts file / no shell / the account's group is missing, and its name is taken / "
        "there is no such account",
        "no tool could make the account, and the files could not be edited: the details have the errors",
        "Repair `/etc/passwd`, `group`, `shadow` or `login.defs` of the image, or the tool in the details; or add the "
        "account to the image and set `account = no`",
        "`tried=`",
    ),
    row(
        "the home folder is missing / not a usable home folder / the home folder is another account's / "
        "the skeleton is too large",
        "the administrator's home cannot be made",
        "Remove what is at `path=` from the image, or make room for it",
        "`path=`",
    ),
    row(
        "unsupported password length",
        "more than 72 characters: the password is too long, or came encrypted, and nothing here can decrypt it",
        "Give the VM an SSH key instead of the password (`--authentication-type ssh`), or set `password = no`",
        "`length=`",
    ),
    row(
        "unsupported password characters",
        "a control character is in it",
        "Choose a password without one",
    ),
    row(
        "the password cannot be set",
        "neither `chpasswd` nor an edit of `/etc/shadow` worked",
        "See the reason in the log; give the VM an SSH key instead",
    ),
    row(
        "nobody can log in",
        "every way to log in over SSH is shut, as the details say; checked with `sshd -T`, `shadow` and the files",
        "Change the configuration of the image that `key=` or `password=` names, so that it lets the administrator in; "
        "or set `login = warn`",
        "`key=`, `password=`",
        "key",
    ),
    row(
        "no usable ssh key", "none of the keys is an OpenSSH public key", "Pass the `.pub` file's content", "`problem=`"
    ),
    row(
        "sshd reads no key file / sshd's key file has no usable path",
        "`AuthorizedKeysFile` of the image's sshd names no usable file",
        "Remove the line from `sshd_config`; or set `ssh_keys = no` if a command (`AuthorizedKeysCommand`) has "
        "the keys",
        "`authorizedkeysfile=`",
    ),
    row(
        "a symlink is in the way / the ssh keys cannot be added / too many levels of symbolic links / "
        "not a regular file / not a folder / "
        "something is mounted here / file too large / not a path",
        "the file at `path=`, or a folder above it, is not what it should be",
        "Remove it from the image",
        "`path=`",
    ),
    row(
        "customData failed / userData failed",
        "the program failed, and is not run again",
        "Its output is in the log: correct it, and create the VM again; `azure-provisioning run --force` runs it again",
        "`code=`",
    ),
    row(
        "* is to be run, but cannot be unpacked",
        "it is gzip, and damaged or too large, or this Python has no zlib",
        "Pass it without gzip",
        "`problem=`",
    ),
    row(
        "* is to be run, but does not begin with #!",
        "no interpreter is named; `it_is=` says what it is instead, if known",
        "Begin it with `#!/bin/sh` or the like, or set the option to `keep`",
        "`it_is=`",
    ),
    row(
        "ready gate failed",
        "others than root may write to the program, to a folder above it or to the target of a link",
        "`chown root` and `chmod go-w`; `azure-provisioning check` prints the commands",
        "`gate=`, `problem=not run: ...`",
        "problem",
    ),
    row(
        "ready gate failed / too many ready gates",
        "a program in `ready.d` failed, or took too long. Its last line is on the console and in the log, and in no "
        "file that everybody may read",
        "Run it by hand to see what it needs, and correct that",
        "`gate=`, `code=`, `error=`",
    ),
    row(
        "command failed / command took too long / command cannot be started / nothing in an image is executed",
        "a tool of the distro: its last line is in the details",
        "Run it by hand in the image, and correct what it reports",
        "`command=`, `output=`",
    ),
    row(
        WITHOUT_PYTHON,
        "without Python: IMDS did not answer, or not usefully; `problem=` says which",
        "Do what this table has for the reason in `problem=`",
        "`problem=`",
    ),
    row(
        "nobody can log in",
        "without Python: the account is locked or has expired, its keys are not where sshd looks for them, or the VM "
        "has only a password",
        "Repair the account in the image, or give the VM an SSH key",
        "`problem=`",
    ),
    row(
        "there is no curl, wget or nc",
        "without Python: no HTTP client is installed",
        "Put one of them into the image, or Python 3.6 or newer",
    ),
    row(
        "the options need Python",
        "the image has none, or one that lacks modules",
        "Install the distro's full `python3`, or remove the option",
        "`option=`",
    ),
    row(
        "python is broken",
        "a module of its library is gone, or cannot be loaded: a disk error?",
        "Repair or reinstall `python3`",
        "`problem=`",
    ),
    row(
        "this VM is pre-provisioned *",
        "Azure keeps it in a pool, and will make another VM of it",
        "Wait until Azure hands it over",
    ),
    row(
        "too much work",
        "a folder or file of the image, at `path=`, is too large",
        "Remove it from the image",
        "`path=`",
    ),
    row(
        "unhandled exception",
        "a bug of ours",
        "Report it, with the log (`%s`)" % LOG,
    ),
)
ANY = row("*", "a tool or a file of the image is not as it should be", "See the log (`%s`)" % LOG)


def find_row(reason: str, details: "Dict[str, str]") -> Row:
    """The row for an error; ANY if none matches."""
    if reason == WITHOUT_PYTHON and details.get("problem"):
        inner = find_row(details["problem"].partition(": ")[0], {})
        if inner is not ANY:
            return inner
    for each in ROWS:
        if (not each.detail or each.detail in details) and any(fits(reason, known) for known in each.reasons):
            return each
    return ANY


def fits(reason: str, known: str) -> bool:
    """Does the reason match a known one? `*` stands for at least one character."""
    parts = known.split("*")
    if len(parts) == 1:
        return reason == known
    if not reason.startswith(parts[0]):
        return False
    at = len(parts[0])
    for part in parts[1:-1]:
        at = reason.find(part, at + 1)
        if at < 0:
            return False
        at += len(part)
    return reason.endswith(parts[-1]) and len(reason) - len(parts[-1]) > at


def find_remedy(reason: str, details: "Dict[str, str]") -> str:
    """The remedy for an error, in plain text."""
    return find_row(reason, details).remedy.replace("`", "")


def with_remedy(error: "ProvisionError") -> str:
    """The error as a line for the console: what failed, why, and what to do."""
    return "%s. %s" % (error, find_remedy(error.reason, error.details))
