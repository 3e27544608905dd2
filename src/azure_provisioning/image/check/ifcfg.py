"""Variables of configuration files that are shell scripts, such as ifcfg files and /etc/conf.d/net."""

import re

VALUE = r"""("(?:[^"\\]|\\.)*"|'[^']*'|\([^)]{0,512}\)|[^\s;#]*)"""


def assigned(text: str, name: str) -> str:
    """The last value that a file assigns to a variable, of an array its words; empty if it does not."""
    found = re.findall(r"(?m)^[ \t]*(?:export[ \t]+)?%s=%s" % (re.escape(name), VALUE), text)
    return " ".join(re.sub("[\"'()]", " ", found[-1]).split()) if found else ""
