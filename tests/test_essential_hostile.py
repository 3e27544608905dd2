"""Obstacles that others can prepare for the shell: redirects, links and pipes at fixed names, floods."""

import os

from azure_provisioning.image.rehearse.fake_azure import VM_ID
from azure_provisioning.story.state import swap
from tests.guests import OTHER_VM_ID, STATE
from tests.shells import CLIENTS, LOG, SHELLS, STORY, EssentialTest

# Another Azure in the room, and one redirect for each kind of request: to it, or to the peer itself.
REDIRECTS = r"""
from azure_provisioning.image.rehearse.fake_azure import FakeAzure
from azure_provisioning.image.rehearse.faults import bytes_only
other = FakeAzure(())
other.__enter__()
other.instance["compute"]["osProfile"]["computerName"] = "stranger"

def redirect(where):
    head = "HTTP/1.1 302 Found\r\nLocation: %%s\r\nContent-Length: 0\r\n\r\n"
    return bytes_only((head %% where).encode())

for kind, path in (
    ("imds", "/metadata/instance?api-version=2021-08-01&extended=true"),
    ("goalstate", "/machine?comp=goalstate"),
    ("health", "/machine?comp=health"),
):
    azure.troubles[kind] = [redirect(%r + path if %r else "http://" + other.endpoint + path)]
"""


class RedirectTest(EssentialTest):
    def check_redirected(self, client: str, relative: bool) -> None:
        self.choose("dash", client)
        result = self.boot(setup=REDIRECTS % ("", relative))
        self.assertEqual((result.code, result.hostname), (0, "rehearsal"), result)
        self.assertTrue(self.state().has("ready_at", VM_ID))
        for awaited in ("IMDS", "the WireServer"):
            self.assertRegex(result.err, "waiting for %s: (http error 302 querying|no answer from) " % awaited)
        self.assertEqual((result.err.count("ContainerId:"), result.err.count("Response: 200")), (2, 1), result.err)
        asked = [what for what in result.asked if what.endswith(" 200")]
        followed = 2 if relative and client == "busybox wget" else 1  # it sends the request, but the answer is not used
        self.assertEqual([asked.count(what) for what in STORY], [followed, 2 + followed - 1, followed], result.asked)

    def test_redirect_to_another_host_is_not_followed(self) -> None:
        for client in CLIENTS:
            with self.subTest(client):
                self.check_redirected(client, relative=False)

    def test_redirect_to_another_path_is_not_followed(self) -> None:
        for client in CLIENTS:
            with self.subTest(client):
                self.check_redirected(client, relative=True)

    def test_busybox_wget_without_headers(self) -> None:
        """Versions before 1.30 lack -S, but they also print the address of each connection."""
        self.choose("dash", "busybox wget")
        os.unlink(self.root + "/bin/wget")
        with open(self.root + "/bin/wget", "w", encoding="ascii") as file:
            file.write('#!/bin/sh\ncase "$*" in *--version* | *-S*) exit 1; esac\nexec busybox wget "$@"\n')
        os.chmod(self.root + "/bin/wget", 0o755)
        result = self.boot(setup=REDIRECTS % ("", False))
        self.assertEqual((result.code, result.hostname), (0, "rehearsal"), result)
        self.assertEqual(result.err.count("http error 302 querying"), 2, result.err)

    def test_nc_before_busybox_wget(self) -> None:
        """It shows the source of an answer without following a redirect first."""
        self.choose("dash", "busybox wget", "busybox nc")
        result = self.boot()
        self.check_ready(result)
        self.assertNotIn("User-Agent", result.requests[0][2])

    def test_endless_headers(self) -> None:
        """Answers are stored for the status: at most a MiB of them, and only until the time limit."""
        flood = (
            "def flood(handler):\n"
            "    handler.note(0)\n"
            "    try:\n"
            "        handler.wfile.write(b'HTTP/1.1 200 OK' + bytes([13, 10]))\n"
            "        while True: handler.wfile.write(b'X: ' + b'x' * 4000 + bytes([13, 10]))\n"
            "    except OSError: handler.close_connection = True\n"
            "    return True\n"
            "azure.troubles['imds'] = [flood]\n"
        )
        result = self.boot(setup=flood)
        self.check_ready(result)
        self.assertLess(result.seconds, 10)

    def test_endless_body(self) -> None:
        """Each client is stopped after a few MiB."""
        flood = (
            "def flood(handler):\n"
            "    handler.note(200)\n"
            "    sent = 0\n"
            "    try:\n"
            "        handler.wfile.write(b'HTTP/1.1 200 OK' + bytes([13, 10, 13, 10]))\n"
            "        while sent < 64 << 20: sent += handler.wfile.write(b'x' * 65536)\n"
            "    except OSError: handler.close_connection = True\n"
            "    open(root + '/var/sent', 'w').write(str(sent))\n"
            "    return True\n"
            "azure.troubles['imds'] = [flood]\n"
        )
        for client in ("busybox wget", "wget", "curl", "busybox nc"):
            with self.subTest(client):
                self.choose(self.shell, client)
                self.check_ready(self.boot(setup=flood))
                self.assertLess(int(self.text("/var/sent") or 0), 32 << 20)


class FixedNameTest(EssentialTest):
    """Another file already exists at a path that the shell writes to as root."""

    def log_is(self, setup: str) -> None:
        """A boot with this at the log's path: the VM is Ready, and the file is not touched."""
        self.add(setup="import os\nlog = root + %r\n" % LOG + setup)
        result = self.play()[0]
        self.check_ready(result)
        self.assertLess(result.seconds, 20)
        os.unlink(self.root + LOG)

    def test_log(self) -> None:
        self.fill({"/etc/victim": "mine\n"})
        for shell in SHELLS:
            self.choose(shell, *self.clients)
            for setup in (
                "os.symlink('/etc/victim', log)",
                "os.symlink('/etc/nothing', log)",
                "os.link(root + '/etc/victim', log)",
                "os.mkfifo(log)",
            ):
                with self.subTest(shell=shell, setup=setup):
                    self.log_is(setup)
                    self.assertEqual(self.text("/etc/victim"), "mine\n")
                    self.assertFalse(self.system.exists("/etc/nothing"))

    def test_existing_log_is_appended(self) -> None:
        self.fill({LOG: "before\n"})
        self.check_ready(self.boot())
        self.assertRegex(
            self.text(LOG) or "", r"\Abefore\n[^\n]* ---- without Python, VM [^\n]*\n[^\n]* going on without Python"
        )

    def test_pipes(self) -> None:
        """Also in place of a file that the shell reads."""
        for path in (STATE, "/etc/hostname", "/etc/HOSTNAME"):
            with self.subTest(path):
                place = repr(path)
                setup = "import os\nplace = root + %s\nos.makedirs(os.path.dirname(place), exist_ok=True)\n" % place
                setup += "if os.path.lexists(place): os.unlink(place)\nos.mkfifo(place)\n"
                result = self.boot(setup=setup)
                self.check_ready(result)
                self.assertLess(result.seconds, 20)

    def test_gate_with_much_output(self) -> None:
        """Its output is not stored: a small /run is enough."""
        gate = "#!/bin/sh\nyes | head -c 60000000\n"
        small = "import os; os.system('mount -t tmpfs -o size=1m none ' + root + '/run')"
        result = self.boot(files={"/etc/azure-provisioning/ready.d/10-loud": gate}, setup=small)
        self.assertEqual(result.code, 0, result)
        self.assertIn("10-loud: passed", result.err)


class IdentityTest(EssentialTest):
    def test_imds_has_another_id(self) -> None:
        """It is reported, but nothing is refused. The id may differ in byte order or case."""
        for other, differs in ((OTHER_VM_ID.upper(), True), (VM_ID.upper(), False), (swap(VM_ID), False), ("", False)):
            with self.subTest(other):
                result = self.boot(setup="azure.instance['compute']['vmId'] = %r" % other)
                self.check_ready(result)
                said = "warning: IMDS has the VM id %s, the firmware %s\n" % (OTHER_VM_ID, VM_ID)
                self.assertEqual(said in result.err, differs, result.err)
                self.assertEqual(self.state().facts.get("vm_id_imds"), OTHER_VM_ID if differs else None)
