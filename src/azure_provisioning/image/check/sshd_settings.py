"""The settings of sshd that keep the administrator out, who has a key and a name that is not known yet."""

import re
import stat
from typing import Iterator, List, Set, Tuple

from ... import config
from ...door.text import is_digits
from ...errors import GuestError
from ...guest import nologin, pam_access, sshd_config, tcp_wrappers
from ...guest.account import GROUPS
from ...guest.accounts import Account, all_accounts, all_groups, uid_min
from ...guest.authorized_keys import DEFAULT
from ...guest.key_login import ALGORITHMS, find_laxity, resolve, steps_to, takes
from ...guest.sshd import DROP_IN
from ...guest.sshd_access import is_allowed, is_denied, is_nearby
from ...guest.sshd_config import Line
from ...guest.sshd_match import override, that_count
from ...guest.sshd_options import UNKNOWN, are_known, find_ports
from ...guest.sshd_session import SETTINGS, has_own_addresses
from ..command import Command
from . import dropbear, packet_filter, ssh_socket, sshd_start
from .finding import EVERYBODY, SOME, WITH_KEYS, Finding, error, ok, warning
from .sshd_lines import change, comment_out, place_of
from .subject import Image

ID = "sshd-config"
USUAL = "azureuser"  # the name that the portal and the documents of Azure propose
ANOTHER = "q7-any-other"  # a name that no rule is about
# The kinds of keys that Azure accepts, with the bits of the longest that its tools make.
KINDS, USUAL_BITS = ("ssh-rsa", "ssh-ed25519"), 3072
WHY = {
    "ListenAddress": "it cannot be reached from outside",
    "MaxAuthTries": "nobody can log in",
    "MaxStartups": "nobody can log in",
    "PerSourceMaxStartups": "nobody can log in",
}
DOUBTS = {
    "AddressFamily": "a VM with IPv4 alone cannot be reached",
    "ListenAddress": "a VM without this address cannot be reached",
}
BLOCKS_LIMIT = 50  # Match blocks that are looked at
INSERT = "s/^[[:space:]]*[[:alnum:]]*[[:space:]=]*/&%s /"  # of sed: a word before the others


class Settings:
    """The settings that apply to the administrator, and where they are."""

    def __init__(self, image: Image, lines: "List[Line]") -> None:
        self.image = image
        self.lines = lines
        self.first = sshd_config.first_of((line.key, value_of(line)) for line in lines)

    def value(self, key: str, default: str = "") -> str:
        """The value that counts; of a list, all values."""
        return self.first.get(key, default)

    def all(self, key: str) -> "List[str]":
        """The values of each line."""
        return [value_of(line) for line in self.lines if line.key == key]

    def at(self, key: str) -> "List[Line]":
        """The lines that make the value what it is: those of a list, else those with that value."""
        lists = (*sshd_config.LISTS, "port", "listenaddress")
        same = self.value(key).lower()
        return [line for line in self.lines if line.key == key and (key in lists or value_of(line).lower() == same)]

    def words(self, key: str, message: str) -> str:
        """A message, after the place of the setting."""
        return "%s: %s" % (place_of(self.at(key)[0]), message)

    def error(self, key: str, message: str, scope: str) -> Finding:
        """An error, with the command that makes comments of the lines."""
        return error(ID, self.words(key, message), comment_out(self.image, self.at(key)), scope)

    def warning(self, key: str, message: str) -> Finding:
        """A warning, with the same command."""
        return warning(ID, self.words(key, message), comment_out(self.image, self.at(key)))


def value_of(line: Line) -> str:
    """The words of a line after the keyword."""
    return " ".join(sshd_config.arguments(line.text))


def check_config(image: Image) -> "Iterator[Finding]":
    """Does sshd start, and let the administrator in?"""
    system = image.system
    path = sshd_config.find_config(system)
    sshd = sshd_config.find_sshd(system)
    problems = []
    if nologin.stays_closed(system):
        problems.append(error(ID, "%s lets nobody but root in" % nologin.LASTING, image.remove(nologin.LASTING)))
    if sshd:
        problems += sshd_start.find_problems(image, sshd)
        problems += of_wrappers(image)
    elif system.find_program("dropbear"):
        problems += dropbear.find_problems(image, find_groups(image)[1])
    if path and sshd:
        problems += of_lines(image)
    yield from problems
    if not problems and (path or system.find_program("dropbear")):
        yield ok(ID, "nothing keeps the administrator out")


def of_lines(image: Image) -> "Iterator[Finding]":
    """The settings for everybody, then those of each Match block that may be about the administrator."""
    _, joined = find_groups(image)
    people = [(name, [name, *joined]) for name in (USUAL, ANOTHER)]
    lines, unsure = that_count(sshd_config.walk_lines(image.system), people)
    settings, known = Settings(image, lines), set()
    for look in (*IN_BLOCKS, of_ports, of_passwords, of_pam):
        for finding in look(settings):
            known.add(finding.message)
            yield finding
    for criteria in list(dict.fromkeys(line.match for line in unsure))[:BLOCKS_LIMIT]:
        block = [line for line in unsure if line.match == criteria]
        for look in IN_BLOCKS:
            for finding in look(Settings(image, override(block, lines))):
                if finding.message not in known:
                    message = "%s, for those of Match %s" % (finding.message, criteria)
                    yield warning(ID, message, finding.remedy)


def of_wrappers(image: Image) -> "Iterator[Finding]":
    """hosts.allow and hosts.deny, which an sshd with libwrap reads."""
    rule, sure = tcp_wrappers.find_refusal(image.system)
    if rule and sure:
        yield error(ID, "%s: sshd hangs up on everybody" % rule, image.edit(rule.partition(": ")[0]))
    elif rule and sure is None:
        message = "%s: it cannot be determined whether sshd hangs up on strangers" % rule
        yield warning(ID, message, image.edit(rule.partition(": ")[0]))
    elif rule:
        message = "%s: sshd hangs up on all but those that a rule lets in" % rule
        yield warning(ID, message, image.edit(tcp_wrappers.ALLOW))


def of_keys(settings: Settings) -> "Iterator[Finding]":
    """Settings with which no key of the administrator counts."""
    image = settings.image
    if not are_known(image.system):
        yield warning(ID, UNKNOWN)
    if settings.value("pubkeyauthentication").lower() == "no":
        yield settings.error("pubkeyauthentication", "PubkeyAuthentication no: SSH keys let nobody in", WITH_KEYS)
    files = settings.value("authorizedkeysfile", DEFAULT).split()
    none = all(word.lower() == "none" or is_special(image, word) for word in files)
    others = [settings.value(key, "none") for key in ("authorizedkeyscommand", "trustedusercakeys")]
    other = next((value for value in others if value.lower() != "none"), "")
    if none and other:
        if image.options.ssh_keys:
            message = "AuthorizedKeysFile %s, as %s has the keys: a boot has no file for Azure's keys"
            message %= (" ".join(files), other)
            remedy = image.append(config.PATH, Command("echo", "ssh_keys = no"))
            yield error(ID, settings.words("authorizedkeysfile", message), remedy, WITH_KEYS)
    elif none:
        message = "AuthorizedKeysFile %s: SSH keys let nobody in" % " ".join(files)
        yield settings.error("authorizedkeysfile", message, WITH_KEYS)
    elif re.sub("%[%hu]", "", files[0]).count("%"):
        message = "AuthorizedKeysFile %s: a boot cannot write keys to such a path" % files[0]
        yield settings.warning("authorizedkeysfile", message)
    revoked = settings.value("revokedkeys", "none")
    if revoked.lower() != "none" and not image.system.exists(revoked):
        message = "RevokedKeys %s: it is missing, so all keys are refused" % revoked
        yield settings.error("revokedkeys", message, WITH_KEYS)
    if settings.value("strictmodes", "yes").lower() != "no":
        yield from of_folders(image, files)


def is_special(image: Image, path: str) -> bool:
    """Is it a device or another file that has no keys? An image may lack its devices."""
    found = image.system.stat(path) if path.startswith("/") else None
    return path == "/dev/null" or (found is not None and not stat.S_ISREG(found.st_mode))


def of_folders(image: Image, files: "List[str]") -> "Iterator[Finding]":
    """Folders of keys outside of homes that sshd refuses because of StrictModes."""
    owner = image.system.stat("/")
    account = Account("root", "", owner.st_uid if owner else 0, 0, "", "/root", "")  # an image may belong to a user
    for path in [path.partition("%")[0] for path in files if path.startswith("/")]:
        for step in steps_to(resolve(image.system, path.rpartition("/")[0] or "/")):
            what = image.system.stat(step)
            problem = find_laxity(account, what) if what is not None else ""
            if problem:
                message = "AuthorizedKeysFile %s: StrictModes refuses it, as %s %s" % (path, step, problem)
                place = image.place(step)
                owned = Command("chown", str(account.uid)).on(place).then(Command("chmod", "go-w").on(place))
                yield error(ID, message, owned, WITH_KEYS)


def of_methods(settings: Settings) -> "Iterator[Finding]":
    """Is a key alone enough?"""
    methods = settings.value("authenticationmethods", "any").split()
    if methods and not {"any", "publickey"} & set(methods):
        message = "AuthenticationMethods %s: a key alone lets nobody in" % " ".join(methods)
        yield settings.error("authenticationmethods", message, WITH_KEYS)


def of_kinds(settings: Settings) -> "Iterator[Finding]":
    """The kinds and sizes of keys that sshd accepts, of those that a VM can be created with."""
    keyword = next((key for key in ALGORITHMS if settings.value(key)), "")
    missing = [kind for kind in KINDS if not takes(settings.value(keyword), kind)]
    if missing:
        message = "PubkeyAcceptedAlgorithms without %s: such keys let nobody in" % " and ".join(missing)
        if len(missing) == len(KINDS) and settings.value("trustedusercakeys", "none").lower() == "none":
            yield settings.error(keyword, message, WITH_KEYS)
        else:
            yield settings.warning(keyword, message)
    least = settings.value("requiredrsasize")
    if is_digits(least, 6) and int(least) > USUAL_BITS:
        message = "RequiredRSASize %s: the usual RSA keys, of %d bits, let nobody in" % (least, USUAL_BITS)
        yield settings.warning("requiredrsasize", message)


def of_sessions(settings: Settings) -> "Iterator[Finding]":
    """What keeps everybody out, whatever the key or password."""
    for keyword, judge in SETTINGS.items():
        key = keyword.lower()
        value = settings.value(key)
        verdict = judge(settings.image.system, value, None) if value else True
        if verdict is False:
            message = "%s %s: %s" % (keyword, value, WHY.get(keyword, "nobody gets a session"))
            yield settings.error(key, message, EVERYBODY)
        elif verdict is None:
            message = "%s %s: %s" % (keyword, value, DOUBTS.get(keyword, "the administrator may get no shell"))
            yield settings.warning(key, message)


def of_ports(settings: Settings) -> "Iterator[Finding]":
    """The ports where sshd listens, and whether packets reach them."""
    image = settings.image
    ports, given = settings.all("port"), find_ports(image.system)
    yield from packet_filter.find_problems(image, given or ports)
    socket = ssh_socket.find_socket(image)
    own = has_own_addresses(image.system)
    if socket and not (own and settings.all("port") + settings.all("listenaddress")):
        yield from ssh_socket.find_addresses(image, socket)
    elif given and "22" not in given:
        yield warning(ID, "sshd is started with -p %s: Azure's usual rules let only 22 in" % given[0])
    elif ports and not given and "22" not in ports:
        yield settings.warning("port", "Port %s: Azure's usual rules let only 22 in" % ports[0])


def of_passwords(settings: Settings) -> "Iterator[Finding]":
    """Password logins, which a boot allows in a file of its own if sshd reads it."""
    image = settings.image
    refused = settings.value("passwordauthentication").lower() == "no"
    if refused and image.options.password_login and not sshd_config.includes(image.system, DROP_IN):
        message = "PasswordAuthentication no, and no drop-ins are read: the boot of a VM with a password edits %s"
        yield warning(ID, message % sshd_config.find_config(image.system))


def of_names(settings: Settings) -> "Iterator[Finding]":
    """The lists of users. If all that may log in are system accounts, the administrator cannot be one of them."""
    system = settings.image.system
    denied = settings.value("denyusers").split()
    usual, another = (is_denied(denied, [name], users=True) for name in (USUAL, ANOTHER))
    if usual and another:
        yield settings.error("denyusers", "DenyUsers %s: nobody is let in" % " ".join(denied), SOME)
    elif usual:
        message = "DenyUsers %s: an administrator called %s is not let in" % (" ".join(denied), USUAL)
        yield settings.warning("denyusers", message)
    elif another:
        message = "DenyUsers %s: a VM with another administrator lets nobody in" % " ".join(denied)
        yield settings.warning("denyusers", message)
    allowed = settings.value("allowusers").split()
    verdict = is_allowed(allowed, [ANOTHER], users=True)
    if not allowed or verdict:
        return
    first = uid_min(system)
    systems = {account.name for account in all_accounts(system) if account.uid < first}
    message = "AllowUsers %s: " % " ".join(allowed)
    if verdict is None:
        message += "it cannot be determined whether the administrator connects from there"
        yield settings.warning("allowusers", message)
    elif systems.issuperset(word.partition("@")[0] for word in allowed):
        yield settings.error("allowusers", message + "the administrator is none of them", SOME)
    elif all(is_nearby(word.partition("@")[2] or "*") for word in allowed):
        yield settings.error("allowusers", message + "nobody is let in from outside", SOME)
    else:
        yield settings.warning("allowusers", message + "a VM with another administrator lets nobody in")


def of_groups(settings: Settings) -> "Iterator[Finding]":
    """The lists of groups."""
    groups, joined = find_groups(settings.image)
    allowed, denied = settings.value("allowgroups").split(), settings.value("denygroups").split()
    if allowed and not is_allowed(allowed, joined, users=False):
        message = "AllowGroups %s: the administrator is in none of them" % " ".join(allowed)
        if groups.issuperset(allowed):
            yield error(ID, settings.words("allowgroups", message), add_group(settings, allowed, joined), SOME)
        elif not is_allowed(allowed, [ANOTHER], users=False):  # the administrator's future group may be in it
            message += ", unless it is also the administrator's name"
            yield warning(ID, settings.words("allowgroups", message), add_group(settings, allowed, joined))
    barred = [name for name in joined if is_denied(denied, [name], users=False)]
    if barred:
        message = "DenyGroups %s: the administrator is in %s" % (" ".join(denied), barred[0])
        yield settings.error("denygroups", message, SOME)


# What sshd also honours in a Match block.
IN_BLOCKS = (of_keys, of_kinds, of_methods, of_sessions, of_names, of_groups)


def find_groups(image: Image) -> "Tuple[Set[str], List[str]]":
    """(the groups of the image, those of them that the administrator joins)."""
    groups = {group.name for group in all_groups(image.system)}
    return groups, [name for name in GROUPS if name in groups]


def add_group(settings: Settings, allowed: "List[str]", joined: "List[str]") -> Command:
    """The command that adds a group of the administrator's to AllowGroups; without one it makes comments of it."""
    lines = settings.at("allowgroups")
    if not joined:
        return comment_out(settings.image, lines)
    return change(settings.image, lines[:1], INSERT % joined[0])


def of_pam(settings: Settings) -> "Iterator[Finding]":
    """The modules and the rules of pam_access, as a boot reads them. A rule only about the usual name is a warning."""
    image, system = settings.image, settings.image.system
    if settings.value("usepam").lower() != "yes" or settings.value("pamservicename", "sshd") != "sshd":
        return
    _, joined = find_groups(image)
    try:
        if nologin.is_never_opened(system) and pam_access.asks(system, "pam_nologin.so"):
            message = "%s does not run: %s lets nobody but root in" % (nologin.OPENER, nologin.PASSING)
            yield error(ID, message, image.enable(nologin.OPENER.partition(".")[0]))
        other, sure = pam_access.find_other(system)
        if other and sure and (sshd_config.find_sshd(system) or "").endswith("/sshd"):
            yield error(ID, "%s: PAM lets nobody in" % other, image.edit(other.partition(": ")[0]))
        elif other:
            message = "%s: it cannot be determined whether PAM lets the administrator in" % other
            yield warning(ID, message, image.edit(other.partition(": ")[0]))
        rule, sure = pam_access.find_refusal(system, USUAL, [USUAL, *joined])
        other = pam_access.find_refusal(system, ANOTHER, [ANOTHER, *joined])[0] if rule else ""
    except GuestError:
        return
    if not rule:
        return
    edit = image.edit(rule.partition(": ")[0])
    message = "%s: pam_access does not let the administrator in" % rule
    if other and sure:
        yield error(ID, message, edit, SOME)
    elif other:
        yield warning(ID, message, edit)
    else:
        yield warning(ID, "%s: pam_access does not let an administrator called %s in" % (rule, USUAL), edit)
