"""The linters, in a temporary environment: `python3 -m tests.lint`. Their versions are pinned in pyproject.toml."""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from typing import List

from azure_provisioning import completion

from . import TOP


def main() -> int:
    """Exit code 0 if no linter reports anything."""
    scratch = tempfile.mkdtemp(prefix="azure-provisioning-lint-")
    try:
        tools = install_tools(scratch)
        shell = ["units/%s/azure-provisioning" % name for name in ("sysvinit", "openrc", "runit")]
        shell += ["units/slackware/rc.azure-provisioning", ".ci/run"]
        shell += ["units/recipes/mkosi/mkosi.finalize", "units/recipes/apk/APKBUILD"]
        shell += ["src/head.sh", "src/essential.sh", "tests/azure/pretended.sh", "tests/as_user.sh"]
        shell.append(os.path.join(scratch, "azure-provisioning.bash"))
        with open(shell[-1], "w", encoding="ascii") as file:
            file.write(completion.completion("bash"))
        checks = [
            [os.path.join(tools, "ruff"), "check", "."],
            [os.path.join(tools, "ruff"), "format", "--check", "."],
            [os.path.join(tools, "mypy"), "--cache-dir", scratch],
            [os.path.join(tools, "shellcheck")] + shell,
            [os.path.join(tools, "actionlint"), "-shellcheck", os.path.join(tools, "shellcheck")] + workflows(),
        ]
        failed = [argv for argv in checks if not run(argv)]
        if not check_units(scratch):
            failed.append(["systemd-analyze"])
    finally:
        shutil.rmtree(scratch)
    print("%d passed, %d failed" % (len(checks) + 1 - len(failed), len(failed)))
    return 1 if failed else 0


def install_tools(scratch: str) -> str:
    """Install the pinned tools into a separate environment; returns the folder of its commands."""
    with open(os.path.join(TOP, "pyproject.toml"), encoding="utf-8") as file:
        pins = re.findall(r'"([^"]+==[^"]+)"', file.read())
    venv.create(scratch, with_pip=True)
    tools = os.path.join(scratch, "bin")
    subprocess.run([os.path.join(tools, "pip"), "install", "--quiet"] + pins, check=True)
    return tools


def workflows() -> List[str]:
    """The workflows by name: actionlint finds them itself only in a clone, not in an unpacked archive."""
    return sorted(glob.glob(os.path.join(TOP, ".github", "workflows", "*.yml")))


def run(argv: List[str]) -> bool:
    """Run one linter, and print its output; True if it passes."""
    print("==", " ".join([os.path.basename(argv[0])] + argv[1:]), flush=True)
    return subprocess.call(argv, cwd=TOP) == 0


def check_units(scratch: str) -> bool:
    """Does systemd accept the unit? The programs that it names are created in a root for this."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        print("== systemd-analyze is missing: the unit is not checked; install the package systemd")
        return False
    root = os.path.join(scratch, "root")
    folder = os.path.join(root, "etc/systemd/system")
    os.makedirs(folder)
    for program in ("usr/bin/python3", "usr/local/sbin/azure-provisioning"):
        os.makedirs(os.path.join(root, os.path.dirname(program)), exist_ok=True)
        shutil.copy("/bin/true", os.path.join(root, program))
    stock = [path for path in glob.glob("/lib/systemd/system/*.target") if not os.path.islink(path)]
    for path in [os.path.join(TOP, "units/systemd/azure-provisioning.service")] + stock:
        shutil.copy(path, folder)
    argv = [analyze, "verify", "--root", root, "--man=no", "azure-provisioning.service"]
    print("== systemd-analyze verify", flush=True)
    child = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    ours = [line for line in child.stdout.splitlines() if "azure-provisioning" in line]
    print("\n".join(ours))
    return child.returncode == 0 and not ours


if __name__ == "__main__":
    sys.exit(main())
