"""Which tests take long: they are begun first, each by itself, so that the suite does not end with one that runs alone."""

from typing import Dict

# Seconds on an idle machine, by the last table of `python3 -m tests`. What is not here takes less than two.
SECONDS: "Dict[str, float]" = {}
