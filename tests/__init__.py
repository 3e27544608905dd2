"""The suite: `python3 -m tests` runs it, with any Python from 3.6 on and nothing installed; slow.py says what it omits.

Tests check files, argv and bytes on the wire. No test changes the machine, and no packet leaves loopback.
"""

import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "src"))
sys.path.insert(0, TOP)
