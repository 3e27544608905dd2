"""Can the administrator log in: is an SSH server started, does it have host keys, and does it let a new user in?"""

import re
from typing import Dict, Iterator, List

from ... import config
from ...guest import host_keys, sshd_config
from ...guest.account import GROUPS
from ...guest.accounts import Account, all_accounts, all_groups, uid_min
from ...guest.authorized_keys import DEFAULT
from ...guest.key_login import find_laxity, resolve, steps_to
from ...guest.sshd import DROP_IN
from ...guest.sshd_access import listed
from ...guest.sshd_options import UNKNOWN, are_known
from ...init.systems.systemd import find_unit
from ..command import Command
from . import sshd_start
from .finding import Finding, error, ok, warning
from .interpreter import lack_of_all, who_runs
from .subject import Image

SERVICES = ("ssh", "sshd", "dropbear", "ssh.socket", "sshd.socket", "dropbear.socket", "openssh*", "dropbear@*")


def check_server(image: Image) -> "Iterator[Finding]":
    """There is a server, and the boot starts it."""
    program = sshd_config.find_sshd(image.system) or image.system.find_program("dropbear")
    if program is None:
        yield error("sshd", "no SSH server is in the image: nobody can log in", image.add("ssh"))
        return
    names = ["dropbear"] if program.endswith("dropbear") else ["ssh", "sshd"]
    service = image.starts(*SERVICES)
    if service:
        yield ok("sshd", "%s starts %s" % (service, program))
    elif image.services is None:
        yield warning("sshd", "it cannot be determined whether this boot starts %s" % program)
    elif any(image.starts(name) for name in ("inetd", "xinetd", "openbsd-inetd")) and program.endswith("dropbear"):
        yield warning("sshd", "it cannot be determined whether inetd starts %s" % program)
    else:
        yield error("sshd", "%s is not started at boot: nobody can log in" % program, image.enable(*names))


def check_host_keys(image: Image) -> "Iterator[Finding]":
    """What makes the host keys? We do, before sshd starts, unless the options keep those of the image."""
    system = image.system
    if sshd_config.find_sshd(system):
        keys = [path for path in host_keys.configured(system) if system.exists(path)]
        others = host_keys.find_others(system)
        for path in keys if image.options.host_keys == "new" else ():
            if path not in others and not path.startswith(host_keys.OPENSSH + "/ssh_host_"):
                yield warning("host-keys", "HostKey %s is not renewed: every VM of this image has this key" % path)
        keys = keys or host_keys.keys_of(system, host_keys.OPENSSH, "ssh_host_*_key")
        tool, name = system.find_program("ssh-keygen"), "ssh-keygen"
    elif system.find_program("dropbear"):
        keys = host_keys.keys_of(system, host_keys.DROPBEAR, "dropbear_*_host_key")
        tool, name = system.find_program("dropbearkey"), "dropbearkey"
    else:
        return  # check_server has reported it
    where = who_runs(image)
    if image.options.host_keys == "new":
        if where is None:
            why, remedy = lack_of_all(image)
            yield error("host-keys", "no boot makes new ones: %s" % why, remedy)
        elif tool:
            made = "the first boot replaces those of the image" if keys else "the first boot makes them"
            yield ok("host-keys", "%s%s, by %s" % (made, where, name))
        elif keys:
            message = "%s is missing: every VM of this image has the same host keys" % name
            yield warning("host-keys", message, image.add("ssh"))
        elif name == "ssh-keygen":
            yield error("host-keys", "there are none, and no ssh-keygen to make some", image.add("ssh"))
        else:
            yield warning("host-keys", "there are none: dropbear must be started with -R to make them")
    elif keys:
        yield ok("host-keys", "host_keys = keep: every VM of this image has the same host keys")
    elif makes_keys(image):
        yield ok("host-keys", "host_keys = keep, and the start of the SSH server makes those that are missing")
    else:
        message = "there are none, and with host_keys = keep nothing makes any"
        make = Command("ssh-keygen", "-A") if name == "ssh-keygen" else Command()
        yield error("host-keys", message, image.inside(make))


def makes_keys(image: Image) -> bool:
    """Does the start of the SSH server make missing host keys?"""
    if image.starts("sshd-keygen*", "sshdgenkeys", "ssh-keygen*") or find_unit(image.system, "sshd-keygen.target"):
        return True
    service = image.starts(*SERVICES)
    text = image.text((image.services or {}).get(service or "", ""))
    if "ssh-keygen" in text or "sshd-keygen" in text:
        return True
    return any("dropbear" in line and "-R" in line.split() for line in text.split("\n"))


def check_config(image: Image) -> "Iterator[Finding]":
    """Settings of sshd_config that keep the administrator out, who has a key, and a name that is not known yet."""
    system = image.system
    path = sshd_config.find_config(system)
    problems = []
    if system.exists("/etc/nologin"):
        problems.append(error("sshd-config", "/etc/nologin lets nobody but root in", image.remove("/etc/nologin")))
    sshd = sshd_config.find_sshd(system)
    if sshd:
        problems += sshd_start.find_problems(image, sshd)
    if path and sshd:
        problems += of_settings(image, path)
    for problem in problems:
        yield problem
    if not problems and (path or system.find_program("dropbear")):
        yield ok("sshd-config", "nothing keeps the administrator out")


def of_settings(image: Image, path: str) -> "List[Finding]":
    """The problems in the settings that apply to everybody."""
    system, edit = image.system, image.edit(path)
    pairs = list(sshd_config.walk(system))
    first = sshd_config.first_of(iter(pairs))
    found = [warning("sshd-config", UNKNOWN)] if not are_known(system) else []
    if first.get("pubkeyauthentication", "yes").lower() == "no":
        found.append(error("sshd-config", "PubkeyAuthentication no: SSH keys let nobody in", edit))
    files = first.get("authorizedkeysfile", DEFAULT).split()
    command = first.get("authorizedkeyscommand", "none")
    if all(word.lower() == "none" for word in files) and command.lower() != "none":
        if image.options.ssh_keys:
            message = "AuthorizedKeysFile none, as %s has the keys: a boot has no file for Azure's keys" % command
            remedy = Command("echo", "ssh_keys = no").onto(image.place(config.PATH))
            found.append(error("sshd-config", message, remedy))
    elif all(word.lower() == "none" for word in files):
        found.append(error("sshd-config", "AuthorizedKeysFile none: SSH keys let nobody in", edit))
    elif re.sub("%[%hu]", "", files[0]).count("%"):
        message = "AuthorizedKeysFile %s: a boot cannot write keys to such a path" % files[0]
        found.append(warning("sshd-config", message, edit))
    revoked = first.get("revokedkeys", "none")
    if revoked.lower() != "none" and not system.exists(revoked):
        found.append(error("sshd-config", "RevokedKeys %s: it is missing, so all keys are refused" % revoked, edit))
    if first.get("strictmodes", "yes").lower() != "no":
        found += of_folders(image, files)
    methods = first.get("authenticationmethods", "any").split()
    if not {"any", "publickey"} & set(methods):
        message = "AuthenticationMethods %s: a key alone lets nobody in" % " ".join(methods)
        found.append(error("sshd-config", message, edit))
    hosts = [value for key, value in pairs if key == "listenaddress"]
    if hosts and all(re.match(r"(127\.|\[?::1|localhost)", host) for host in hosts):
        found.append(error("sshd-config", "ListenAddress %s: it cannot be reached from outside" % hosts[0], edit))
    ports = [value for key, value in pairs if key == "port"]
    if ports and "22" not in ports:
        message = "Port %s: Azure's usual rules let only 22 in" % ports[0]
        found.append(warning("sshd-config", message, edit))
    no_passwords = first.get("passwordauthentication", "yes").lower() == "no"
    if no_passwords and image.options.password_login and not sshd_config.includes(system, DROP_IN):
        message = (
            "PasswordAuthentication no, and no drop-ins are read: the boot of a VM with a password edits this file"
        )
        found.append(warning("sshd-config", message, edit))
    return found + of_lists(image, first, edit)


def of_folders(image: Image, files: "List[str]") -> "List[Finding]":
    """Folders of keys outside of homes that sshd refuses because of StrictModes."""
    found = []
    owner = image.system.stat("/")
    account = Account("root", "", owner.st_uid if owner else 0, 0, "", "/root", "")  # an image may belong to a user
    for path in [path.partition("%")[0] for path in files if path.startswith("/")]:
        for step in steps_to(resolve(image.system, path.rpartition("/")[0] or "/")):
            what = image.system.stat(step)
            problem = find_laxity(account, what) if what is not None else ""
            if problem:
                message = "AuthorizedKeysFile %s: StrictModes refuses it, as %s %s" % (path, step, problem)
                found.append(error("sshd-config", message))
    return found


def of_lists(image: Image, lists: "Dict[str, str]", edit: Command) -> "List[Finding]":
    """The lists of users and groups that may log in."""
    found = []
    groups = {group.name for group in all_groups(image.system)}
    joined = [name for name in GROUPS if name in groups]
    allowed, denied = lists.get("allowgroups", "").split(), lists.get("denygroups", "").split()
    if lists.get("allowusers"):
        found += of_allowed_users(image, [word.split("@")[0] for word in lists["allowusers"].split()], edit)
    if any(word.split("@")[0] == "*" for word in lists.get("denyusers", "").split()):
        found.append(error("sshd-config", "DenyUsers *: nobody is let in", edit))
    if allowed and not listed(allowed, joined):
        message = "AllowGroups %s: the administrator is in none of them" % " ".join(allowed)
        if groups.issuperset(allowed):
            found.append(error("sshd-config", message, edit))
        elif "*" not in allowed:  # the administrator's future group may be in it
            found.append(warning("sshd-config", message + ", unless it is also the administrator's name", edit))
    barred = [name for name in joined if listed(denied, [name])]
    if barred:
        message = "DenyGroups %s: the administrator is in %s" % (" ".join(denied), barred[0])
        found.append(error("sshd-config", message, edit))
    return found


def of_allowed_users(image: Image, names: "List[str]", edit: Command) -> "List[Finding]":
    """AllowUsers: if all of them are system accounts, the administrator cannot be one of them."""
    if "*" in names:
        return []
    first = uid_min(image.system)
    systems = {account.name for account in all_accounts(image.system) if account.uid < first}
    message = "AllowUsers %s: " % " ".join(names)
    if systems.issuperset(names):
        return [error("sshd-config", message + "the administrator is none of them", edit)]
    return [warning("sshd-config", message + "a VM with another administrator lets nobody in", edit)]
