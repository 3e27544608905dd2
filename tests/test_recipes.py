"""The recipes in `units/recipes`, with their tools if installed. Their commands run on an image of their kind."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from typing import Dict, List

from azure_provisioning import __version__, usage
from tests import TOP
from tests.images import ImageTest, built_file, call

RECIPES = os.path.join(TOP, "units", "recipes")
YOCTO = "yocto/recipes-core/azure-provisioning/azure-provisioning_%s.bb" % __version__
PROGRAM = "/usr/sbin/azure-provisioning"


def recipe(name: str) -> str:
    """The text of a recipe."""
    with open(os.path.join(RECIPES, *name.split("/")), encoding="utf-8") as file:
        return file.read()


def recipes() -> "List[str]":
    """The name of every recipe file."""
    found = []
    for folder, _, names in os.walk(RECIPES):
        found += [os.path.relpath(os.path.join(folder, name), RECIPES) for name in names]
    return sorted(found)


class RecipeTest(ImageTest):
    """Has a folder for the results of a recipe, besides the image."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.path = os.path.dirname(sys.executable) + ":/usr/sbin:/usr/bin:/sbin:/bin"

    def need(self, tool: str, what: str) -> str:
        """The path of a tool. If it is missing, the test is skipped with the reason."""
        path = shutil.which(tool, path=self.path)
        if path is None:
            self.skipTest("no %s: %s" % (tool, what))
        return str(path)

    def shell(self, script: str) -> None:
        """Run a script as a build does: it stops at the first error."""
        result = call(["sh", "-eu", "-c", script], PATH=self.path)
        self.assertEqual(result.code, 0, result)

    def checkout(self, name: str) -> str:
        """A copy of the checkout as released."""
        place = os.path.join(self.folder, name)
        shutil.copytree(TOP, place, ignore=shutil.ignore_patterns(".git", "dist", "__pycache__", ".*_cache", ".venv"))
        return place

    def run_here(self, place: str, *argv: str) -> str:
        """Run a build in a folder; returns its output."""
        done = subprocess.run(
            argv,
            cwd=place,
            env={"PATH": self.path, "LC_ALL": "C", "HOME": self.folder},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def bytes_of(self, place: str) -> bytes:
        """The content of a file on this machine."""
        with open(place, "rb") as file:
            return file.read()

    def assert_installed(self, mechanism: str) -> None:
        """The hook is enabled, and starts the program that the recipe installed."""
        found, links = self.hook()
        self.assertEqual(found, mechanism)
        self.assertTrue(links)
        self.assertEqual(self.bytes_at(PROGRAM), self.bytes_of(built_file()))
        script = self.text(links[0])
        assert script is not None
        self.assertIn(" %s" % PROGRAM if mechanism == "systemd" else "PROGRAM=" + PROGRAM, script)


class EveryRecipeTest(RecipeTest):
    def test_commands_are_valid(self) -> None:
        seen = 0
        for name in recipes():
            text = recipe(name).replace("\\\n", " ")
            for line in re.findall(r'azure-provisioning"? +((?:%s)\b[^&;\n]*)' % verbs(), text):
                usage.parse([re.sub(r"\$.*", "/x", word.strip('",.')) for word in line.split()])
                seen += 1
        self.assertGreater(seen, 6)

    def test_version(self) -> None:
        self.assertIn(YOCTO, recipes())
        for name, line in (
            ("buildroot/azure-provisioning/azure-provisioning.mk", "AZURE_PROVISIONING_VERSION = %s"),
            ("debian/debian/changelog", "azure-provisioning (%s-1)"),
            ("rpm/azure-provisioning.spec", "Version:        %s"),
            ("apk/APKBUILD", "pkgver=%s"),
        ):
            self.assertIn("%s\n" % (line % __version__) if "(" not in line else line % __version__, recipe(name))

    def test_plain_text(self) -> None:
        for name in recipes():
            text = recipe(name)
            self.assertTrue(text.endswith("\n") and "\r" not in text, name)
            self.assertEqual(text, text.encode("ascii", "replace").decode("ascii"), name)


def verbs() -> str:
    """A pattern for the first word of every verb."""
    return "|".join({verb.name.split()[0] for verb in usage.VERBS})


class YoctoTest(RecipeTest):
    """Without bitbake: its variables are replaced, and sh runs its functions in the same way."""

    def expand(self, text: str, variables: "Dict[str, str]") -> str:
        """`${name}` replaced, also inside the values. All names must be known."""
        while "${" in text:
            text = re.sub(r"\$\{(\w+)\}", lambda found: variables[found.group(1)], text)
        return text

    def function(self, text: str, name: str) -> str:
        """The body of a shell function."""
        found = re.search(r"(?ms)^%s\(\) \{\n(.*?)^\}$" % name, text)
        assert found, name
        return found.group(1)

    def test_every_line_is_valid(self) -> None:
        for name in (YOCTO, "yocto/classes/azure-provisioning.bbclass"):
            text = re.sub(r"(?ms)^\w+\(\) \{\n.*?^\}$", "", recipe(name))
            for line in text.splitlines():
                kinds = r"(#.*|inherit \w+|[A-Z_]+(:append|:\$\{PN\})? (=|\?\?=) \"[^\"]*\")?\Z"
                self.assertRegex(line, r"\A" + kinds)

    def test_image(self) -> None:
        text, image_class = recipe(YOCTO), recipe("yocto/classes/azure-provisioning.bbclass")
        variables = dict(re.findall(r'(?m)^(\w+) (?:\?\?)?= "(.*)"$', text))
        variables.update(WORKDIR=self.folder, sbindir="/usr/sbin", prefix="/usr", D=self.folder + "/image")
        variables.update(IMAGE_ROOTFS=self.root)
        self.assertEqual(self.expand(variables["SRC_URI"], variables), "file://azure-provisioning")
        shutil.copy(built_file(), self.expand(variables["S"], variables))
        self.shell(self.expand(self.function(text, "do_install"), variables))
        self.assertTrue(os.access(self.folder + "/image" + PROGRAM, os.X_OK))
        for image, mechanism in (("yocto", "sysvinit"), ("yocto busybox", "sysvinit"), ("systemd", "systemd")):
            self.empty()
            self.image(image)
            self.system.write(PROGRAM, self.bytes_of(self.folder + "/image" + PROGRAM), mode=0o755)
            name = re.findall(r'ROOTFS_POSTPROCESS_COMMAND:append = " (\w+);"', image_class)[0]
            enable = self.expand(self.function(image_class, name), variables)
            self.shell(enable)
            self.assert_installed(mechanism)
            self.shell(enable)  # a second build of the same image
            self.assert_installed(mechanism)


class BuildrootTest(RecipeTest):
    def test_package(self) -> None:
        """With make: Buildroot's generic-package is left out, and the package's own commands run."""
        self.need("make", "Buildroot's package was not run")
        self.image("buildroot")
        shutil.copy(built_file(), self.folder)
        place = os.path.join(RECIPES, "buildroot", "azure-provisioning")
        with open(self.folder + "/Makefile", "w") as file:
            file.write("include %s/azure-provisioning.mk\n" % place)
            file.write("install: $(AZURE_PROVISIONING_SITE_METHOD)\n")
            file.write("\t$(AZURE_PROVISIONING_INSTALL_TARGET_CMDS)\n")
            file.write("\t$(foreach hook,$(AZURE_PROVISIONING_TARGET_FINALIZE_HOOKS),$(call $(hook))$(newline))\n")
            file.write(".PHONY: local\nlocal:\ndefine newline\n\n\nendef\n")
        argv = ["make", "--warn-undefined-variables", "@D=" + self.folder, "TARGET_DIR=" + self.root]
        argv += ["INSTALL=/usr/bin/install", "AZURE_PROVISIONING_PKGDIR=" + place, "generic-package="]
        printed = self.run_here(self.folder, *argv)
        self.assertNotIn("warning", printed)
        self.assert_installed("buildroot")

    def test_menu(self) -> None:
        """Kconfig, with a parser of this test."""
        text = recipe("buildroot/azure-provisioning/Config.in")
        self.assertIn("config BR2_PACKAGE_AZURE_PROVISIONING\n", text)
        tool = self.need("kconfig-conf", "Buildroot's menu entry was not read by Kconfig")
        with open(self.folder + "/Config.in", "w") as file:
            for name in ("PYTHON3", "PYTHON3_PYEXPAT"):
                file.write('config BR2_PACKAGE_%s\n\tbool "%s"\n' % (name, name))
            file.write('source "%s/buildroot/azure-provisioning/Config.in"\n' % RECIPES)
        with open(self.folder + "/.config", "w") as file:
            file.write("CONFIG_BR2_PACKAGE_PYTHON3=y\nCONFIG_BR2_PACKAGE_AZURE_PROVISIONING=y\n")
        printed = self.run_here(self.folder, tool, "--olddefconfig", "Config.in")
        self.assertNotIn("warning", printed)
        with open(self.folder + "/.config") as file:
            lines = file.read().splitlines()
        self.assertIn("CONFIG_BR2_PACKAGE_PYTHON3_PYEXPAT=y", lines)
        self.assertIn("CONFIG_BR2_PACKAGE_AZURE_PROVISIONING=y", lines)


class NixTest(RecipeTest):
    def test_parsed(self) -> None:
        """Every module of `units/`, by Nix itself."""
        found = []
        for folder, _, names in os.walk(os.path.join(TOP, "units")):
            found += [os.path.join(folder, name) for name in names if name.endswith(".nix")]
        if not found:
            self.skipTest("no NixOS module is here")
        tool = self.need("nix-instantiate", "the NixOS module was not parsed")
        for path in found:
            self.run_here(self.folder, tool, "--parse", path)


class PackerTest(RecipeTest):
    def test_syntax(self) -> None:
        tool = self.need("packer", "Packer's template was not read by Packer")
        self.run_here(os.path.join(RECIPES, "packer"), tool, "validate", "-syntax-only", ".")
        self.run_here(os.path.join(RECIPES, "packer"), tool, "fmt", "-check", ".")

    def test_commands(self) -> None:
        """The commands in the VM, as Packer writes them: a file of lines, run by sh."""
        inline = re.findall(r"(?s)inline = \[(.*?)\]", recipe("packer/azure-provisioning.pkr.hcl"))[0]
        lines = re.findall(r'"([^"]*)"', inline)
        done = call(["sh", "-n", "-c", "\n".join(lines)])
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertIn("/tmp/azure-provisioning install", lines)


class MkosiTest(RecipeTest):
    def test_finalize(self) -> None:
        """As mkosi calls it: in its configuration folder, with the image in BUILDROOT."""
        shutil.copy(built_file(), self.folder)
        script = shutil.copy(os.path.join(RECIPES, "mkosi", "mkosi.finalize"), self.folder)
        self.assertTrue(os.access(script, os.X_OK))
        self.image("systemd")
        for arguments, srcdir in ((["build"], ""), (["final"], ""), ([], ""), ([], self.folder)):
            variables = 'unset SRCDIR; cd "$0"; ' if not srcdir else 'export SRCDIR="$0"; cd /; '
            result = call(["sh", "-c", variables + '"$@"', self.folder, script, *arguments], BUILDROOT=self.root)
            self.assertEqual(result.code, 0, result.err)
            self.assertEqual(bool(self.hook()[1]), arguments != ["build"])


class DockerTest(RecipeTest):
    def test_file(self) -> None:
        """Every instruction is valid, the copied file is ours, and each RUN is a valid script."""
        text = re.sub(r"(?m)^#.*\n", "", recipe("docker/Dockerfile")).replace("\\\n", "")
        lines = [line.split(None, 1) for line in text.splitlines() if line]
        self.assertLessEqual({line[0] for line in lines}, {"FROM", "RUN", "COPY"})
        self.assertEqual(lines[0], ["FROM", "debian:bookworm AS root"])
        self.assertIn(["COPY", "azure-provisioning /tmp/azure-provisioning"], lines)
        scripts = [line[1] for line in lines if line[0] == "RUN"]
        for script in scripts:
            self.assertEqual(call(["sh", "-n", "-c", script]).err, "")
        self.assertTrue(scripts[-1].startswith("/tmp/azure-provisioning install "))


class PackageTest(RecipeTest):
    FILES = (
        PROGRAM,
        "/usr/share/bash-completion/completions/azure-provisioning",
        "/usr/share/doc/azure-provisioning/LICENSE",
        "/usr/share/man/man8/azure-provisioning.8",
    )

    def test_debian(self) -> None:
        """A real .deb, made with debhelper if installed, or with dpkg-deb from the same control file."""
        self.need("make", "the .deb was not made")
        deb = self.need("dpkg-deb", "the .deb was not made")
        place = self.checkout("azure-provisioning-" + __version__)
        shutil.copytree(os.path.join(RECIPES, "debian", "debian"), place + "/debian")
        if all(shutil.which(tool) for tool in ("dpkg-buildpackage", "dh", "perl")):
            self.run_here(place, "dpkg-buildpackage", "-us", "-uc", "-b", "-d")
        else:
            root = place + "/debian/azure-provisioning"
            self.run_here(place, "make", "install", "DESTDIR=" + root, "PREFIX=/usr")
            os.mkdir(root + "/DEBIAN")
            with open(root + "/DEBIAN/control", "w") as file:
                binary = recipe("debian/debian/control").split("\n\n", 1)[1].replace("${misc:Depends}, ", "")
                file.write("Version: %s-1\nMaintainer: x <x@localhost>\n" % __version__ + binary)
            self.run_here(place, deb, "--root-owner-group", "--build", root, self.folder)
        made = [name for name in os.listdir(self.folder) if name.endswith("_all.deb")]
        self.assertEqual(len(made), 1)
        self.run_here(self.folder, deb, "--extract", made[0], self.root)
        self.assert_package(zipped=True)

    def test_rpm(self) -> None:
        self.need("make", "the .rpm was not made")
        rpmbuild = self.need("rpmbuild", "the .rpm was not made")
        name = "azure-provisioning-" + __version__
        self.checkout(name)
        self.run_here(self.folder, "tar", "czf", name + ".tar.gz", name)
        places = ["--define", "_topdir " + self.folder, "--define", "_sourcedir " + self.folder]
        spec = os.path.join(RECIPES, "rpm", "azure-provisioning.spec")
        self.run_here(self.folder, rpmbuild, "-bb", "--nodeps", *places, spec)
        made = os.path.join(self.folder, "RPMS", "noarch", name + "-1.noarch.rpm")
        listed = self.run_here(self.folder, "rpm", "-qlp", made).split()
        self.assertLessEqual(set(self.FILES), set(listed))
        if shutil.which("rpm2cpio") and shutil.which("cpio"):
            self.run_here(self.root, "sh", "-c", 'rpm2cpio "$0" | cpio -id --quiet', made)
            self.assert_package(zipped=False)

    def test_apk(self) -> None:
        """Without abuild: sh reads the APKBUILD and runs its functions."""
        self.need("make", "the APKBUILD was not run")
        place = self.checkout("azure-provisioning-" + __version__)
        script = '. "%s/apk/APKBUILD"; pkgdir=%s; build >/dev/null; package >/dev/null; echo "$pkgname $pkgver $arch"'
        printed = self.run_here(place, "sh", "-eu", "-c", script % (RECIPES, shlex.quote(self.root)))
        self.assertEqual(printed.splitlines()[-1], "azure-provisioning %s noarch" % __version__)
        self.assert_package(zipped=False)

    def assert_package(self, *, zipped: bool) -> None:
        """The package's files in the root: the program unchanged, and nothing enabled."""
        self.assertEqual(self.bytes_at(PROGRAM), self.bytes_of(built_file()))
        self.assertEqual(self.mode_at(PROGRAM), 0o755)
        for path in self.FILES:
            self.assertTrue(self.system.exists(path) or (zipped and self.system.exists(path + ".gz")), path)
        self.assertEqual(sorted(os.listdir(self.root)), ["usr"])
