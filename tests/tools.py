"""A guest whose programs are functions of the test: their arguments are recorded, and nothing is executed."""

from typing import Callable, Dict, List, Optional, Sequence, Tuple

from azure_provisioning.errors import GuestError
from tests.guests import FastSystem, GuestTest

Tool = Callable[[List[str], bytes], Tuple[int, str]]


class ToolSystem(FastSystem):
    """`tools` are the programs by name; `ran` lists the executed commands, in order."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.tools: "Dict[str, Tool]" = {}
        self.ran: "List[List[str]]" = []

    @property
    def can_run(self) -> bool:
        return True

    def add(self, name: str, tool: "Optional[Tool]" = None, folder: str = "/sbin") -> None:
        """A program of the guest; without `tool` it succeeds and prints nothing."""
        self.write("%s/%s" % (folder, name), "", mode=0o755)
        self.tools[name] = tool or (lambda argv, stdin: (0, ""))

    def execute(
        self,
        argv: "Sequence[str]",
        seconds: float = 60.0,
        secret: bytes = b"",
        environment: "Optional[Dict[str, str]]" = None,
    ) -> "Tuple[int, str]":
        name = argv[0].rpartition("/")[2]
        if name not in self.tools:
            raise GuestError("command cannot be started", command=argv[0], error="No such file or directory")
        self.ran.append([name] + list(argv[1:]))
        return self.tools[name](list(argv), secret)

    def ran_words(self) -> "List[str]":
        """The executed commands, each as one line."""
        return [" ".join(argv) for argv in self.ran]


class ToolTest(GuestTest):
    """Has such a guest as `self.tools`, in the same scratch root."""

    def setUp(self) -> None:
        super().setUp()
        self.tools = ToolSystem(self.root)
        self.system = self.tools


def run_process(test: GuestTest, pid: int, program: str, *argv: str, uid: int = 0, parent: int = 1) -> None:
    """A process of the guest that executes the file at `program`, or the one of that name in /usr/sbin."""
    path = program if program.startswith("/") else "/usr/sbin/" + program
    folder = "/proc/%d/" % pid
    status = "Name:\t%s\nPPid:\t%d\nUid:%s\n" % (argv[0].rpartition("/")[2][:15], parent, ("\t%d" % uid) * 4)
    test.fill(
        {folder + "exe": "-> ../.." + path, folder + "status": status, folder + "cmdline": "\0".join(argv) + "\0"}
    )
