"""The man page and the completion: complete, valid for their readers, and installed by `make install`."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from typing import List

from azure_provisioning import completion, config, manual, topics, usage
from azure_provisioning.image.check import check
from azure_provisioning.image.rehearse.faults import FAULTS
from tests import TOP
from tests.images import call, cli


class FileTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def put(self, name: str, text: str) -> str:
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return path


class ManPageTest(FileTest):
    def render(self, text: str) -> "List[str]":
        """[the output, the warnings], from groff, or from mandoc without groff."""
        page = self.put("azure-provisioning.8", text)
        tools = (["groff", "-man", "-Tascii", "-P-cbou", "-ww", page], ["mandoc", "-T", "ascii", page])
        found = [argv for argv in tools if shutil.which(argv[0])]
        if not found:
            self.skipTest("neither groff nor mandoc: the man page was not rendered")
        result = call(found[0])
        return [re.sub(".\b", "", result.out), result.err]

    def test_complete(self) -> None:
        shown, complaint = self.render(manual.man_page())
        self.assertEqual(complaint, "")
        flat = " ".join(shown.replace("-\n", "-").split())
        for verb in usage.VERBS:
            self.assertIn("azure-provisioning %s" % verb.name, flat)
            for option in verb.options:
                self.assertIn(option.head, flat)
            for line, _ in verb.examples:
                self.assertIn("azure-provisioning " + line, flat)
        for code, says in usage.EXITS:
            self.assertIn(str(code), flat)
            self.assertIn(says.split(";")[0].split()[0], flat)
        self.assertLess(max(len(line) for line in shown.splitlines()), 81)

    def test_options_page(self) -> None:
        shown, complaint = self.render(manual.man_page_of_options())
        self.assertEqual(complaint, "")
        flat = " ".join(shown.replace("-\n", "-").split())
        for row in topics.list_settings():
            self.assertIn("%s = %s" % (row.key, row.default), flat)
            self.assertIn("%s = %s" % (row.key, row.example), flat)

    def test_complaints_are_detected(self) -> None:
        _, complaint = self.render(manual.man_page() + ".nosuchmacro\n\\fZ\n")
        if shutil.which("groff"):
            self.assertNotEqual(complaint, "")

    def test_man(self) -> None:
        if shutil.which("man") is None:
            self.skipTest("no man: it did not look at its page")
        page = self.put("azure-provisioning.8", manual.man_page())
        result = call(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page], MANWIDTH="80")
        self.assertEqual((result.code, result.err), (0, ""))

    def test_mandoc(self) -> None:
        if shutil.which("mandoc") is None:
            self.skipTest("no mandoc: it did not look at the page")
        for name, text in (("", manual.man_page()), (".conf", manual.man_page_of_options())):
            page = self.put("azure-provisioning%s" % name, text)
            # The page has no date: the same source gives the same page.
            found = [line for line in call(["mandoc", "-T", "lint", "-W", "warning", page]).out.splitlines() if line]
            self.assertEqual([line for line in found if "missing date" not in line], [])

    def test_escapes(self) -> None:
        shown, _ = self.render(manual.man_page() + "\n".join([".PP", manual.escape(".it\\'s `-x`"), ""]))
        self.assertIn(".it\\'s `-x`", shown)


class TopicTest(FileTest):
    """The tables agree with the program."""

    def test_options(self) -> None:
        """Each key, with its default, and a valid example that changes something."""
        self.assertEqual([row.key for row in topics.list_settings()], [row[0] for row in config.TABLE])
        parsers = {row[0]: row[2] for row in config.TABLE}
        for row in topics.list_settings():
            default, parse = getattr(config.Options(), row.key), parsers[row.key]
            self.assertEqual(parse(row.default), default, row.key)
            self.assertNotEqual(parse(row.example), default, row.key)
            for word in row.values.split(" or ") if " or " in row.values else ():
                parse(word)

    def test_checks(self) -> None:
        names = [name for name, _ in topics.CHECKS]
        self.assertEqual(len(names), len(set(names)))
        self.assertLessEqual({name for name, _ in check.CHECKS}, set(names))
        with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
            table = file.read().partition("| id | what is looked at |")[2].partition("\n\n")[0]
        for line in table.splitlines()[2:]:
            self.assertLessEqual(set(re.findall(r"`([a-z-]+)`", line.split("|")[1])), set(names))

    def test_help(self) -> None:
        """The same rows, on a terminal or not. For an unknown word, the nearest is suggested."""
        for name in usage.TOPICS:
            result = cli("help", name)
            self.assertEqual((result.code, result.err), (0, ""))
            self.assertLess(max(map(len, result.out.splitlines())), 81)
            flat = " ".join(result.out.split())
            for term, says in topics.TABLES[name]():
                self.assertIn("%s %s" % (term.replace(" / ", " "), says), flat)
        for verb in usage.VERBS:
            self.assertTrue(cli("help", *verb.name.split()).out.startswith(usage.help_text(verb.name)))
        self.assertEqual(cli("help").out, usage.help_text(""))
        wrong = cli("help", "option")
        self.assertEqual((wrong.code, wrong.out), (2, ""))
        self.assertIn("did you mean options?", wrong.err)


class CompletionTest(FileTest):
    def setUp(self) -> None:
        super().setUp()
        self.script = self.put("completion", completion.completion("bash"))
        if shutil.which("bash") is None:
            self.skipTest("no bash: the completion was not tried")

    def complete(self, *words: str) -> "List[str]":
        """The completions that bash offers for the last of the words after the program's name."""
        script = '. "$1"; shift; COMP_WORDS=(azure-provisioning "$@"); COMP_CWORD=$#; compopt() { :; }; '
        script += '_azure_provisioning; [ "${#COMPREPLY[@]}" -eq 0 ] || printf "%s\\n" "${COMPREPLY[@]}"'
        result = call(["bash", "-u", "-c", script, "bash", self.script] + list(words))
        self.assertEqual(result.err, "")
        return result.out.splitlines()

    def test_verbs(self) -> None:
        firsts = {verb.name.split()[0] for verb in usage.VERBS}
        self.assertEqual(set(self.complete("")), firsts | {"--help", "--version", "--quiet", "--verbose"})
        self.assertEqual(self.complete("inst"), ["install"])
        self.assertEqual(self.complete("nonsense", ""), [])
        self.assertEqual(self.complete("report", ""), ["ready", "failure"])
        self.assertEqual(
            set(self.complete("help", "")), firsts | set(usage.TOPICS) | {"--help", "--quiet", "--verbose"}
        )

    def test_options(self) -> None:
        for verb in usage.VERBS:
            words = [option.name for option in verb.options] + ["--help", "--quiet", "--verbose"]
            self.assertEqual(self.complete(*verb.name.split(), "-"), words)

    def test_values(self) -> None:
        self.assertEqual(self.complete("rehearse", "--fault", "goal-state-r"), ["goal-state-reset"])
        self.assertEqual(set(self.complete("rehearse", "--fault", "")), set(FAULTS) | {"list"})
        self.assertIn("openrc", self.complete("install", "--init", ""))
        self.assertEqual(self.complete("report", "failure", "--reason", ""), [])
        os.mkdir(self.folder + "/image one")
        self.put("image file", "")
        found = self.complete("install", "--root", self.folder + "/ima")
        self.assertEqual(found, [self.folder + "/image one"])
        self.assertEqual(self.complete("status", "--root", "/x", "--js"), ["--json"])
        found = self.complete("rehearse", "--ssh-key", self.folder + "/ima")
        self.assertEqual(sorted(found), [self.folder + "/image file", self.folder + "/image one"])

    def test_bash_completes(self) -> None:
        """With bash itself, without our stand-ins."""
        script = '. "$0"; complete -p azure-provisioning; type compopt >/dev/null'
        self.assertEqual(
            call(["bash", "--posix", "-c", script, self.script]).out,
            "complete -F _azure_provisioning azure-provisioning\n",
        )

    def test_shellcheck(self) -> None:
        tool = shutil.which("shellcheck")
        if tool is None:
            self.skipTest("no shellcheck: `make lint` has one")
        self.assertEqual(call([tool, self.script]).out, "")


class OtherShellsTest(FileTest):
    """Completion for zsh and fish: complete, and valid if the shell is installed."""

    def test_complete(self) -> None:
        for shell in ("zsh", "fish"):
            text = completion.completion(shell)
            self.assertEqual(text, text.encode("ascii", "replace").decode("ascii"))
            for verb in usage.VERBS:
                self.assertIn(verb.name.split()[-1], text)
                for option in verb.options:
                    self.assertIn(option.name if shell == "zsh" else "-l %s " % option.name[2:], text)
            for name in FAULTS:
                self.assertIn(name, text)

    def test_understood(self) -> None:
        for shell, argv in (("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])):
            if shutil.which(shell) is None:
                self.skipTest("no %s: its completion was not read by it" % shell)
            result = call([*argv, self.put(shell, completion.completion(shell))])
            self.assertEqual((result.code, result.err), (0, ""))


class PackageTest(FileTest):
    def test_make_install(self) -> None:
        """The whole package, from its own checkout, into its own root."""
        for tool in ("make", "install"):
            if shutil.which(tool) is None:
                self.skipTest("no %s: the package was not made" % tool)
        checkout, root = self.folder + "/checkout", self.folder + "/root dir"
        hidden = shutil.ignore_patterns(".git", "dist", "__pycache__", ".*_cache")
        shutil.copytree(TOP, checkout, ignore=hidden)
        environment = dict(os.environ, LC_ALL="C")
        argv = ["make", "-s", "-C", checkout, "install", "DESTDIR=" + root, "PREFIX=/usr"]
        done = subprocess.run(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)
        found = {}
        for folder, _, names in os.walk(root):
            for name in names:
                path = os.path.join(folder, name)
                found[path[len(root) :]] = "%o" % (os.stat(path).st_mode & 0o7777)
        self.assertEqual(
            found,
            {
                "/usr/sbin/azure-provisioning": "755",
                "/usr/share/bash-completion/completions/azure-provisioning": "644",
                "/usr/share/doc/azure-provisioning/LICENSE": "644",
                "/usr/share/doc/azure-provisioning/README.md": "644",
                "/usr/share/fish/vendor_completions.d/azure-provisioning.fish": "644",
                "/usr/share/man/man5/azure-provisioning.conf.5": "644",
                "/usr/share/man/man8/azure-provisioning.8": "644",
                "/usr/share/zsh/site-functions/_azure-provisioning": "644",
            },
        )
        with open(root + "/usr/share/man/man8/azure-provisioning.8", encoding="ascii") as file:
            self.assertEqual(file.read(), manual.man_page())
        self.assertTrue(os.path.getsize(checkout + "/dist/azure-provisioning.sha256"))
