"""Is an SSH server started, and does it have host keys?"""

from typing import Iterator, List

from ...guest import host_keys, sshd_config
from ...init.systems.systemd import find_unit
from ..command import Command
from . import ssh_socket
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
    socket = ssh_socket.find_socket(image)
    obstacles = list(ssh_socket.find_obstacle(image, socket)) if socket and service == socket else []
    if obstacles:
        yield from obstacles
    elif service:
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
        paths = host_keys.configured(system)
        keys = find_keys(image, paths)
        unusual = "" if not paths or any(map(host_keys.OPENSSH_KEY.match, paths)) else paths[0]
        others = host_keys.find_others(system)
        for path in keys if image.options.host_keys == "new" else ():
            if path not in others and not path.startswith(host_keys.OPENSSH + "/ssh_host_"):
                yield warning("host-keys", "HostKey %s is not renewed: every VM of this image has this key" % path)
        tool, name = system.find_program("ssh-keygen"), "ssh-keygen"
    elif system.find_program("dropbear"):
        keys = host_keys.keys_of(system, host_keys.DROPBEAR, "dropbear_*_host_key")
        unusual, tool, name = "", system.find_program("dropbearkey"), "dropbearkey"
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
    else:
        yield of_kept(image, keys, unusual, Command("ssh-keygen", "-A") if name == "ssh-keygen" else Command())


def find_keys(image: Image, paths: "List[str]") -> "List[str]":
    """The keys at sshd's `paths`, or those of the usual folder if none is there and a boot may change that."""
    found = [path for path in paths if image.system.exists(path)]
    if found or (paths and image.options.host_keys == "keep"):
        return found
    return host_keys.keys_of(image.system, host_keys.OPENSSH, "ssh_host_*_key")


def of_kept(image: Image, keys: "List[str]", unusual: str, make: Command) -> Finding:
    """The keys that the image keeps. `unusual`: a path at which no usual start of sshd makes one; `make`: what does."""
    if keys:
        return ok("host-keys", "host_keys = keep: every VM of this image has the same host keys")
    if unusual:
        return warning("host-keys", "host_keys = keep: it cannot be determined whether a boot makes %s" % unusual)
    if makes_keys(image):
        return ok("host-keys", "host_keys = keep, and the start of the SSH server makes those that are missing")
    message = "there are none, and with host_keys = keep nothing makes any"
    return error("host-keys", message, image.inside(make))


def makes_keys(image: Image) -> bool:
    """Does the start of the SSH server make missing host keys?"""
    if image.starts("sshd-keygen*", "sshdgenkeys", "ssh-keygen*") or find_unit(image.system, "sshd-keygen.target"):
        return True
    service = image.starts(*SERVICES)
    text = image.text((image.services or {}).get(service or "", ""))
    if "ssh-keygen" in text or "sshd-keygen" in text:
        return True
    return any("dropbear" in line and "-R" in line.split() for line in text.split("\n"))
