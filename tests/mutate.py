"""`python3 -m tests.mutate [WORD ...]`: does each promise have a test that fails when the promise is broken?

MUTATIONS is a list of small faults: a file, its old text, the new text, and the tests that detect the fault. Each is
made in a temporary copy of the checkout, two at a time, and the tests run there. The command fails if no test detects a
mutation, if the old text does not occur exactly once, or if the tests fail without the mutation. With words, only
mutations with one of them in their names are tried.

Every new promise adds a line, with a short old text that is likely to survive changes of the code around it. If the
mutation survives, the promise has no test yet: write the test, not another line.
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from typing import Dict, List, NamedTuple, Tuple

from . import TOP

WORKERS = 2
TEST_SECONDS = 300
CLOSING = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)
NOT_COPIED = shutil.ignore_patterns(".git", "dist", "__pycache__", "*.pyc", ".mypy_cache", ".ruff_cache")


class Mutation(NamedTuple):
    """`path` is below src/azure_provisioning; with a leading slash it is below the checkout."""

    name: str
    path: str
    old: str
    new: str
    tests: str  # words: module.Class.test without the `tests.test_`


SHELL = "/src/essential.sh"
UNLINK = "return [link for link in links(system) if system.unlink(link)]"
KEPT = "return links(system)"
IN = "init/systems/"
DURABLE = "durable.PythonTest"

MUTATIONS: Tuple[Mutation, ...] = (
    # -- once, and not before Azure has accepted Ready
    Mutation("once: systemd", IN + "systemd.py", UNLINK, KEPT, "init_systemd.SystemdTest.test_disable"),
    Mutation("once: sysvinit", IN + "sysvinit.py", UNLINK, KEPT, "init_sysvinit.LinksTest.test_disable"),
    Mutation("once: buildroot", IN + "buildroot.py", UNLINK, KEPT, "init_buildroot.BuildrootTest.test_disable"),
    Mutation("once: openrc", IN + "openrc.py", UNLINK, KEPT, "init_openrc.OpenrcTest.test_disable_in_any_runlevel"),
    Mutation("once: s6", IN + "s6.py", UNLINK, KEPT, DURABLE),
    Mutation("once: dinit", IN + "dinit.py", UNLINK, KEPT, "init_dinit.DinitTest.test_disable"),
    Mutation("once: finit", IN + "finit.py", UNLINK, KEPT, DURABLE),
    Mutation(
        "once: runit",
        IN + "runit.py",
        'if system.write(folder + "/down", "", owner=ROOT)',
        "",
        "init_runit.RunitTest.test_disable",
    ),
    Mutation(
        "once: busybox",
        IN + "busybox.py",
        "return [INITTAB] if block.take_block(system, INITTAB) else []",
        "return [INITTAB]",
        "init_busybox.InittabTest.test_disabled_and_enabled_again",
    ),
    Mutation(
        "once: slackware", IN + "slackware.py", "mode=0o644", "mode=0o755", "init_rc_local.SlackwareTest.test_disable"
    ),
    Mutation(
        "once: rc.local",
        IN + "rc_local.py",
        "return [path for path in links(system) if block.take_block(system, path)]",
        KEPT,
        "init_rc_local.RcLocalTest",
    ),
    Mutation(
        "once: the hook goes after Ready",
        "story/provision.py",
        "        pass_gates(boot)\n",
        "        disable(boot)\n        pass_gates(boot)\n",
        "crash.CrashTest.test_power_cut_at_every_point " + DURABLE,
    ),
    Mutation(
        "once: Ready is remembered",
        "story/provision.py",
        "remember(boot, READY)",
        "pass",
        "provision.FirstBootTest.test_second_boot_asks_nothing " + DURABLE,
    ),
    Mutation(
        "once: every_boot keeps the hook",
        "story/provision.py",
        "if boot.options.every_boot or boot.keeps_hook:",
        "if boot.keeps_hook:",
        "once.OnceTest.test_every_boot_keeps_the_hook provision.WhichMachineTest.test_every_boot",
    ),
    Mutation(
        "once: one run at a time",
        "story/provision.py",
        "elif not wait_for_turn(boot):",
        "elif False and not wait_for_turn(boot):",
        "provision.ProcessTest.test_two_at_once",
    ),
    # -- durable
    Mutation(
        "durable: a file before its rename",
        "door/files.py",
        "os.fchmod(file.fileno(), kept if mode is None else mode)\n                os.fsync(file.fileno())",
        "os.fchmod(file.fileno(), kept if mode is None else mode)",
        DURABLE,
    ),
    Mutation(
        "durable: the name after a rename",
        "door/files.py",
        "self.touched.append(path)\n                    place.sync()",
        "self.touched.append(path)",
        DURABLE,
    ),
    Mutation(
        "durable: a name that is removed",
        "door/files.py",
        "os.unlink(place.name, dir_fd=place.folder)\n                place.sync()",
        "os.unlink(place.name, dir_fd=place.folder)",
        DURABLE,
    ),
    Mutation(
        "durable: a file of a user",
        "door/files.py",
        "    file.write(content)\n    file.flush()\n    os.fsync(file.fileno())",
        "    file.write(content)\n    file.flush()",
        DURABLE,
    ),
    Mutation(
        "durable: a name in a user's folder",
        "door/folder.py",
        "dst_dir_fd=self.descriptor)\n            os.fsync(self.descriptor)",
        "dst_dir_fd=self.descriptor)",
        DURABLE,
    ),
    Mutation(
        "durable: host keys before they are remembered",
        "story/steps.py",
        "    boot.system.sync()\n    return done",
        "    return done",
        "host_keys.HostKeysTest.test_synced_before_it_is_recorded",
    ),
    Mutation(
        "durable, shell: a file before its rename",
        SHELL,
        'chmod go-w "${1%/*}"; }; } && sync &&',
        'chmod go-w "${1%/*}"; }; } &&',
        "durable.ShellTest",
    ),
    Mutation(
        "durable, shell: the name after a rename", SHELL, '>"$1"; } && sync #', '>"$1"; } #', "durable.ShellTest"
    ),
    # -- which machine
    Mutation(
        "identity: not on Azure", "azure/identity.py", "return tag == AZURE_ASSET_TAG, vm_id", "return True, vm_id",
        "identity.IdentityTest provision.WhichMachineTest.test_not_azure",
    ),
    Mutation(
        "identity: the other byte order", "story/state.py", "return one == other or swap(one) == other",
        "return one == other",
        "state.SameVmTest provision.WhichMachineTest.test_same_vm_by_another_spelling",
    ),
    Mutation(
        "identity: an id that tells no VMs apart", "azure/identity.py",
        'return None if digits in ({"0"}, {"f"}) else vm_id',
        "return vm_id", "identity.IdentityTest provision.WhichMachineTest.test_invalid_ids",
    ),
    Mutation(
        "identity: a damaged state is set aside", "story/boot.py", "boot.state.set_aside(system)", "pass",
        "provision.WhichMachineTest.test_unusable_state",
    ),
    Mutation(
        "identity: a pre-provisioned VM is left", "story/provision.py",
        "        if pool:\n", "        if False:\n",
        "provision.WhichMachineTest.test_pre_provisioned",
    ),
    Mutation(
        "identity: a specialised disk is left", "story/provision.py",
        'if not instance.has_profile and dvd is None and boot.state.is_of_former_vm:', "if False:",
        "provision.WhichMachineTest.test_specialised_disk",
    ),
    Mutation(
        "identity: another agent goes first", "story/provision.py", "    if others:\n", "    if False:\n",
        "provision.WhichMachineTest.test_other_agent_is_running",
    ),
    # -- what is reported to Azure
    Mutation(
        "report: only 2xx is acceptance", "azure/goal_state.py", "    return accept(reply, peer)\n",
        "    return reply\n",
        "goal_state.ReportTest.test_every_status_but_2xx_is_tried_again",
    ),
    Mutation(
        "report: a redirect is no answer", "azure/transport.py", "if 200 <= reply.status < 300:\n        return reply",
        "if 200 <= reply.status < 400:\n        return reply",
        "goal_state.ReportTest.test_every_status_but_2xx_is_tried_again transport.ExchangeTest",
    ),
    Mutation(
        "report: the incarnation is echoed", "azure/goal_state.py", "escape(goal_state.incarnation),", '"1",',
        "goal_state.DocumentTest goal_state.ReportTest",
    ),
    Mutation(
        "report: a failure is NotReady", "story/provision.py", "        report(boot, Outcome(line), boot.ends)\n",
        "            pass\n",
        "provision.FailureTest.test_failed_step_is_reported",
    ),
    Mutation(
        "report: the description is cut", "azure/goal_state.py", "problem[:LIMIT]", "problem",
        "goal_state.DocumentTest",
    ),
    Mutation(
        "report: a failed gate is no Ready", "guest/gates.py", "    if code != 0:\n", "    if False:\n",
        "cli.SealedRunTest.test_gates",
    ),
    # -- what comes from outside is input
    Mutation(
        "input: no document type", "azure/markup.py", "    parser.StartDoctypeDeclHandler = doctype\n", "",
        "goal_state.ParseTest.test_refused media.DocumentTest.test_refused",
    ),
    Mutation(
        "input: a large body", "azure/transport.py", "BODY_LIMIT = 1 << 20", "BODY_LIMIT = 1 << 40",
        "transport.ExchangeTest.test_floods_are_cut_off transport.ExchangeTest.test_refused_answers",
    ),
    Mutation(
        "input: a large head", "azure/transport.py", "HEAD_LIMIT = 64 << 10", "HEAD_LIMIT = 1 << 40",
        "transport.ExchangeTest.test_floods_are_cut_off transport.ExchangeTest.test_refused_answers",
    ),
    Mutation(
        "input: a slow peer", "azure/transport.py",
        "            self.connection.settimeout(min(left, STILL_SECONDS))\n", "",
        "transport.ExchangeTest.test_late_byte_does_not_extend_the_limit",
    ),
    Mutation(
        "input: one try has an end", "azure/goal_state.py",
        "left = min(REPORT_SECONDS, max(0.5, ends - system.monotonic()))",
        "left = max(0.5, ends - system.monotonic())", "goal_state.ReportTest.test_dripping_report_is_bounded",
    ),
    Mutation(
        "input: a Retry-After of years", "azure/transport.py", "return min(float(value), LONGEST_RETRY_AFTER)",
        "return float(value)", "transport.PersistTest",
    ),
    Mutation(
        "input: time for the report is kept", "story/boot.py",
        "self.ends - min(REPORT_RESERVE, self.options.deadline / 4)",
        "self.ends", "provision.FaultTest.test_unreachable",
    ),
    Mutation(
        "input: a number of a million digits", "azure/json_document.py", "else float(word)", "else int(word)",
        "imds.ParseTest",
    ),
    Mutation(
        "input: a file that is too large", "door/tree.py", "        if len(data) > limit:\n", "        if False:\n",
        "system.InsideTest.test_reads_are_bounded",
    ),
    Mutation(
        "input: nothing of an image is executed", "door/programs.py", '        return self.root == "/"\n\n    def run(',
        "        return True\n\n    def run(", "system.InsideTest.test_nothing_is_executed",
    ),
    Mutation(
        "input: a name for sudo", "guest/privilege.py", "    if not SAFE.match(name):\n", "    if False:\n",
        "privilege.PrivilegeTest.test_refused",
    ),
    Mutation(
        "input: an account of the system", "guest/account.py", "if account.uid < first or", "if False or",
        "account.ExistingTest.test_refused",
    ),
    Mutation(
        "input: damaged modules", "compiled/use.py", "if data[:SUM] == checksum(data[SUM:]):", "if True:",
        "compiled.CompiledTest.test_damaged_byte_code_is_ignored",
    ),
    # -- who can log in, and who can read what
    Mutation(
        "access: the right to become root", "story/steps.py",
        '    Step("apply", "sudo", grant_privilege, fatal=False, tries=1),\n', "",
        "rehearse.ImageRehearsalTest.test_rights provision.FirstBootTest.test_first_boot",
    ),
    Mutation(
        "access: visudo reads the rule first", "guest/privilege.py", "        check_sudoers(system, rule)\n",
        "        pass\n",
        "privilege.PrivilegeTest",
    ),
    Mutation(
        "access: lock-outs are reported", "story/verify.py", 'and boot.options.login == "require":',
        "and False:",
        "verify.VerifyTest.test_certain_lock_out_fails verify.VerifyTest.test_promised_password",
    ),
    Mutation(
        "access: sshd is asked about somebody from outside", "guest/sshd_config.py", 'OUTSIDE = "203.0.113.9"',
        'OUTSIDE = "127.0.0.1"',
        "authorized_keys.AuthorizeTest.test_key_file_from_sshd_t",
    ),
    Mutation(
        "access: an expired account", "guest/ageing.py", '            fields[EXPIRES] = ""\n', "            pass\n",
        "verify.AgeingTest",
    ),
    Mutation(
        "access: the password is in no argv", "guest/password.py", "system.run([tool], check=False,",
        "system.run([tool, text.decode()], check=False,", "secrets.SecretsTest password.PasswordTest",
    ),
    Mutation(
        "access: the password shows in no text", "records.py", 'return "Secret(...)"', "return self._text",
        "records.SecretTest",
    ),
    Mutation(
        "access: the key file is the user's alone", "guest/authorized_keys.py",
        "merge(top, parts[0], 0o600, owner, keys)",
        "merge(top, parts[0], 0o666, owner, keys)", "authorized_keys.AuthorizeTest.test_new_file",
    ),
    Mutation(
        "access: the key file's owner", "door/folder.py", "moved = os.geteuid() == 0 and not owns(found, owner)",
        "moved = False", "authorized_keys.AuthorizeTest.test_new_file folder.FolderTest",
    ),
    Mutation(
        "access: StrictModes of a home", "guest/authorized_keys.py", "            protect(top)\n", "",
        "authorized_keys.AuthorizeTest",
    ),
    Mutation(
        "access: no link of a user is followed", "door/tree.py", "if wary and (", "if False and (",
        "folder.FolderTest authorized_keys.AuthorizeTest.test_links_in_the_home_are_not_followed",
    ),
    Mutation(
        "access: no link is taken for the log", "console.py", "os.O_APPEND | os.O_NOFOLLOW |", "os.O_APPEND |",
        "console.ConsoleTest.test_log_in_hostile_places",
    ),
    Mutation(
        "access: customData is root's", "guest/custom_data.py", "mode=0o600", "mode=0o644",
        "secrets.SecretsTest.test_no_secret_leaks",
    ),
    Mutation(
        "access: the image's host keys go first", "guest/host_keys.py",
        "removed = remove_keys(system, OPENSSH, OPENSSH_KEYS)", "removed = 0",
        "host_keys.HostKeysTest.test_openssh host_keys.HostKeysTest.test_no_tool",
    ),
    Mutation(
        "access: dropbear's host keys go first", "guest/host_keys.py",
        "removed = remove_keys(system, DROPBEAR, DROPBEAR_KEYS)", "removed = 0", "host_keys.HostKeysTest.test_dropbear",
    ),
    Mutation(
        "access: password login goes off after a key", "story/steps.py",
        "(not profile.password_login and not profile.ssh_keys)", "False",
        "provision.WhichMachineTest.test_password_login_is_kept_without_a_key",
    ),
    # -- the file and what it leaves
    Mutation(
        "file: Python is isolated", "/src/head.sh", 'exec "$found" -I -S "$0"', 'exec "$found" "$0"',
        "essential.HeadTest.test_interpreter_is_chosen",
    ),
    Mutation(
        "file: the unit's Python is isolated", "/units/systemd/azure-provisioning.service", "python3 -I -S ",
        "python3 ",
        "units.EveryUnitTest units.SystemdUnitTest",
    ),
    Mutation(
        "file: install is whole or not at all", "image/install/install.py", "            system.roll_back()\n",
        "            system.commit()\n", "install.FailureTest",
    ),
    Mutation(
        "file: uninstall takes the state", "image/install/install.py", "        if not system.is_dir(path):  #",
        "        if False:  #",
        "install.InstallTest.test_uninstall_removes_the_state_and_keeps_the_options",
    ),
    # -- the shell implementation
    Mutation(
        "shell: not on Azure", SHELL, '	[ "$(cat $dmi/chassis_asset_tag)" = 7783-7084-3265-9085-8269-3286-77 ]\n',
        "	true\n",
        "essential.OnceTest.test_not_on_azure",
    ),
    Mutation(
        "shell: the other byte order", SHELL, '"$vm_id" | "$other")', '"$vm_id")',
        "essential.FirstBootTest.test_ready_of_python_counts_in_the_shell_and_vice_versa",
    ),
    Mutation("shell: a damaged state is set aside", SHELL, "|| mv $state $state.corrupt", "|| true",
             "essential.OnceTest.test_damaged_state_is_set_aside"),
    Mutation("shell: once", SHELL, 'ls "$link" && rm "$link"', 'ls "$link"', "essential.OnceTest"),
    Mutation("shell: every_boot keeps the hook", SHELL, '[ "$(option every_boot)" = yes ] || ', "",
             "essential.OnceTest.test_every_boot"),
    Mutation("shell: only 2xx is acceptance", SHELL, 'say "Response: $status" ;; *) return 1 ;; esac',
             'say "Response: $status" ;; *) return 0 ;; esac', "essential_trouble.TroubleTest.test_report"),
    Mutation("shell: the incarnation is echoed", SHELL, "<GoalStateIncarnation>$incarnation<",
        "<GoalStateIncarnation>1<",
             "essential.FirstBootTest.test_every_client"),
    Mutation("shell: a failure is NotReady", SHELL, "|| persist \"$ends\" 'the WireServer' report \"$line\" ||",
        "|| true ||",
             "essential.OptionsTest.test_gates"),
    Mutation("shell: a failed gate is no Ready", SHELL, "2>&1 || fail 'ready gate", "2>&1 || say 'ready gate",
             "essential.OptionsTest.test_gates"),
    Mutation("shell: no document type", SHELL, " && ! grep -q '^!DOCTYPE' \"$work/lines\"", "",
             "essential_trouble.TroubleTest.test_goal_state"),
    Mutation("shell: no proxy", SHELL, "unset http_proxy all_proxy HTTP_PROXY ALL_PROXY && ", "",
             "essential.FirstBootTest.test_every_client"),
    Mutation("shell: no redirect", SHELL, " --max-redirect=0", "",
             "essential_trouble.TroubleTest.test_redirect_is_not_followed"),
    Mutation("shell: a large answer", SHELL, "| bounded cat >", "| cat >",
             "essential_hostile.RedirectTest.test_endless_body"),
    Mutation("shell: the log is root's", SHELL, "umask 077 && ", "", "essential.FirstBootTest.test_every_shell"),
    Mutation("shell: folders are for all to read", SHELL, "umask 022\n", "umask 077\n",
             "essential_account.AccountTest.test_names_of_options_in_mixed_case"),
    Mutation("shell: the state is for all to read", SHELL, 'replace $state 644 <', 'replace $state 600 <',
             "essential.FirstBootTest.test_every_shell"),
    Mutation("shell: sshd's options in mixed case", SHELL, "h; s/ .*//; y/ABC", "h; s/ .*//; y/AAA",
             "essential_account.AccountTest.test_names_of_options_in_mixed_case"),
    Mutation("shell: a label of 63 letters", SHELL, "-e 's/\\([^.]\\{63\\}\\)[^.]*/\\1/g' ", "",
             "essential.NameTest.test_names_are_the_same_as_in_python"),
    Mutation("shell: a pre-provisioned VM is left", SHELL, "	if tells ppsType ", "	if false && tells ppsType ",
             "essential.NameTest.test_pre_provisioned"),
    Mutation("shell: no link of the user's", SHELL, '&& [ "$(pwd -P)" = "$place" ]', "",
             "essential_account.AccountTest.test_links_in_the_home_are_not_followed"),
    Mutation("shell: a key is whole", SHELL, "[ $#:$left = 0:0 ]", "true",
             "essential_account.AccountTest.test_invalid_keys_fail"),
    Mutation("shell: a locked account", SHELL, 'edit /etc/shadow "$@" -e', "edit /etc/shadow -e",
             "essential_account.AccountTest.test_existing_account_is_completed"),
    Mutation("shell: no key twice", SHELL, '"$work/keys" || put "$kind', '"$work/keys"; put "$kind',
             "essential_account.AccountTest.test_keys"),
    Mutation("shell: a full disk is seen", SHELL, ' && [ "$("$@" | wc -c)" -eq "$(wc -c <"$stored")" ]', "",
             "essential_account.AccountTest.test_full_run"),
    Mutation("shell: two wait for each other", SHELL, "take_turn $((started + 900)) || {", "true || {",
             "essential_account.AccountTest.test_two_at_once"),
    Mutation("shell: keys are moved in a folder of root", SHELL, "chown 0:0 . && chmod 700 . && replace_keys",
             "replace_keys",
             "essential_account.AccountTest.test_keys_are_moved_in_a_folder_of_root"),
    Mutation("shell: backslashes stay", SHELL, "put() { printf '%s\\n' \"$1\"; }", 'put() { echo "$1"; }',
             "essential_account.AccountTest.test_backslashes_in_comments"),
    Mutation("shell: a key or a password", SHELL, "	elif wants password && wants ssh_keys; then", "	elif false; then",
             "essential_account.AccountTest.test_neither_key_nor_password"),
    Mutation("file: each module is compiled once", "/src/azure_provisioning/__main__.py",
             "[OnceCompiled if hook is zipimporter else hook for", "[hook for",
             "zipapp.StartTest.test_each_module_is_compiled_once"),
    Mutation("story: all is loaded before the report", "/src/azure_provisioning/story/provision.py",
             "        load_rest(boot)\n        report_ready", "        report_ready",
             "cli.SealedRunTest.test_nothing_is_loaded_after_the_report"),
    Mutation("shell: sshd admits the account", SHELL, 'why=$(find_bar | sed q) && [ -z "$why" ] || return', "",
             "agreement.AgreementTest.test_lock_outs_without_python"),
    Mutation("shell: half a value", SHELL, "|| code=half", "|| true",
             "essential_trouble.TroubleTest.test_partial_value"),
    Mutation("shell: the way to the home", SHELL, 'why=$(guard "${home%/*}") && cd -P "$place"', 'cd -P "$place"',
             "essential_account.ClosedTest.test_home_below_a_folder_of_others"),
    Mutation("shell: what takes Python is promised", SHELL, "! wants custom_data ||", "true ||",
             "essential_account.AccountTest"),
)  # fmt: skip


class Copies:
    """Temporary copies of the checkout, one for each thread."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.mine = threading.local()

    def top(self) -> str:
        """The copy of this thread."""
        if not hasattr(self.mine, "top"):
            self.mine.top = tempfile.mkdtemp(dir=self.folder)
            shutil.copytree(TOP, self.mine.top + "/checkout", symlinks=True, ignore=NOT_COPIED)
        return str(self.mine.top) + "/checkout"

    def run(self, test: str) -> Tuple[str, str]:
        """("passed", "failed" or "skipped", the output) of a test in the copy of this thread."""
        try:
            done = subprocess.run(
                [sys.executable, "-B", "-m", "tests", "-x", "tests.test_" + test],
                cwd=self.top(),
                env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"),  # two versions of a file may have the same second
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=TEST_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return "failed", "took more than %d s" % TEST_SECONDS
        printed = done.stdout.decode("utf-8", "backslashreplace")
        closing = CLOSING.search(printed)
        if done.returncode or closing is None:
            return "failed", printed
        return "skipped" if closing.group(1) == "0" else "passed", printed

    def try_one(self, mutation: Mutation) -> Tuple[str, str]:
        """("passed" if a test detects it, "failed" or "skipped", the reason)."""
        place = place_of(self.top(), mutation)
        with open(place, encoding="utf-8") as file:
            before = file.read()
        found = before.count(mutation.old)
        if found != 1:
            return "failed", "its old text is there %d times" % found
        after = before.replace(mutation.old, mutation.new)
        problem = parse(place, after)
        if problem:
            return "failed", problem
        ends = []
        try:
            write(place, after)
            for test in mutation.tests.split():
                end, _ = self.run(test)
                if end == "failed":
                    return "passed", "noticed by " + test
                ends.append(end)
        finally:
            write(place, before)
        if "passed" not in ends:
            return "skipped", "its tests are skipped here"
        return "failed", "SURVIVES " + mutation.tests


def main() -> int:
    """Exit code 0 if every mutation was detected; prints a row for each, and the last line counts them."""
    started, words = time.monotonic(), sys.argv[1:]
    chosen = [one for one in MUTATIONS if not words or any(word in one.name for word in words)]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    folder = tempfile.mkdtemp(prefix="azure-provisioning-mutate-")
    try:
        copies = Copies(folder)
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            tests = sorted({test for one in chosen for test in one.tests.split()})
            healthy = True
            for test, (end, printed) in zip(tests, pool.map(copies.run, tests)):
                if end == "failed":
                    print("%s\n%s fails without a mutation" % (printed, test), flush=True)
                    counts["failed"] += 1
                    healthy = False
            jobs: "Dict[concurrent.futures.Future[Tuple[str, str]], Mutation]" = {}
            for one in chosen if healthy else ():
                jobs[pool.submit(copies.try_one, one)] = one
            for job in concurrent.futures.as_completed(jobs):
                end, why = job.result()
                counts[end] += 1
                print("%-52s %-8s %s" % (jobs[job].name, end, why), flush=True)
    finally:
        shutil.rmtree(folder)
    print("%.0f s" % (time.monotonic() - started))
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % counts)
    return 1 if counts["failed"] or not chosen else 0


def place_of(top: str, mutation: Mutation) -> str:
    """The path of the mutated file in a checkout."""
    return top + (mutation.path if mutation.path.startswith("/") else "/src/azure_provisioning/" + mutation.path)


def parse(place: str, text: str) -> str:
    """Why any test would detect a mutated file; empty if the file is valid code."""
    if place.endswith(".py"):
        try:
            compile(text, place, "exec")
        except SyntaxError as error:
            return "it makes no Python: %s" % error
    elif place.endswith(".sh"):
        done = subprocess.run(["sh", "-n"], input=text.encode("utf-8"), stderr=subprocess.PIPE)
        return done.stderr.decode("utf-8", "replace")
    return ""


def write(place: str, text: str) -> None:
    """Write a text into a file of a copy."""
    with open(place, "w", encoding="utf-8") as file:
        file.write(text)


def unlikely(mutations: "Tuple[Mutation, ...]" = MUTATIONS) -> "List[str]":
    """Mutations whose old text does not occur exactly once, or whose tests do not exist. The suite checks this."""
    problems = []
    for one in mutations:
        with open(place_of(TOP, one), encoding="utf-8") as file:
            text = file.read()
        if text.count(one.old) != 1:
            problems.append("%s: %r is in %s %d times" % (one.name, one.old, one.path, text.count(one.old)))
        elif parse(one.path, text.replace(one.old, one.new)):
            problems.append("%s: %s" % (one.name, parse(one.path, text.replace(one.old, one.new))))
        for test in one.tests.split():
            module, _, rest = test.partition(".")
            with open(os.path.join(TOP, "tests", "test_%s.py" % module), encoding="utf-8") as file:
                words = set(re.findall(r"\b(?:class|def) (\w+)", file.read()))
            problems += ["%s: there is no %s" % (one.name, test)] if set(rest.split(".")) - words else []
    return problems


if __name__ == "__main__":
    sys.exit(main())
