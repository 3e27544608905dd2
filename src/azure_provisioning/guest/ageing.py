"""Days after which shadow(5) refuses an account: it has expired, or its password must be changed or is too old.

They count from 1970. When Azure asks for an account, none of them may have passed.
"""

from typing import List, Optional

from ..door.system import System
from ..door.text import is_digits
from .accounts import NEVER, SHADOW, Table, locked

CHANGED, MOST, INACTIVE, EXPIRES = 2, 4, 6, 7  # which of shadow's fields
FIELDS = 9
OLDEST_TODAY = 20400  # 2025-11-08: this program did not exist earlier, whatever a clock without a battery says


def renew(system: System, name: str) -> "List[str]":
    """Clear every field of shadow that refuses a login of `name`; returns what was cleared. Raises GuestError.

    An account without a password does not age: there is no password to change.
    """
    with locked(system):
        shadow = Table(system, SHADOW)
        fields = shadow.find(name)
        if fields is None:
            return []
        fields += [""] * (FIELDS - len(fields))
        done = []
        if expired(system, fields):
            fields[EXPIRES] = ""
            done.append("expiry cleared")
        if fields[1][:1] in ("", "*", "!"):
            if days(fields[MOST]) not in (None, int(NEVER)) or fields[INACTIVE]:
                fields[MOST], fields[INACTIVE] = NEVER, ""
                done.append("no password, so it does not age")
            if fields[CHANGED] == "0":
                fields[CHANGED] = today(system)
                done.append("forced change of the password cleared")
        elif must_change(system, fields):
            fields[CHANGED] = today(system)
            done.append("forced change of the password cleared")
        shadow.put(fields)
        shadow.save(system)
        return done


def find_refusal(system: System, name: str) -> str:
    """Why shadow refuses a login of `name` today; empty if it does not. Raises GuestError."""
    fields = Table(system, SHADOW).find(name)
    if fields is None:
        return ""
    fields += [""] * (FIELDS - len(fields))
    if expired(system, fields):
        return "the account has expired"
    if must_change(system, fields):
        return "a change of the password is forced"
    return ""


def expired(system: System, fields: "List[str]") -> bool:
    """Has the account expired? sshd and PAM refuse it from that day on."""
    day = days(fields[EXPIRES])
    return day is not None and day <= this_day(system)


def must_change(system: System, fields: "List[str]") -> bool:
    """Must a login change the password first? A session for a command has no terminal, and then fails."""
    changed, most = days(fields[CHANGED]), days(fields[MOST])
    if changed == 0:
        return True
    return changed is not None and most is not None and most < int(NEVER) and changed + most < this_day(system)


def days(field: str) -> "Optional[int]":
    """The number in a field; None if it is empty, negative or not a number, which all mean never."""
    return int(field) if is_digits(field, 9) else None


def this_day(system: System) -> int:
    """Today, as far as the clock can be trusted."""
    return max(int(system.time() // 86400), OLDEST_TODAY)


def today(system: System) -> str:
    """Today as the day of a change; empty if the clock is in 1970, because 0 would force a new password."""
    day = int(system.time() // 86400)
    return str(day) if day > 0 else ""
