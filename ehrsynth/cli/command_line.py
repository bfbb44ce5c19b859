"""How a verb was asked for, as an internal report says it."""

import shlex
import sys


def command_line() -> str:
    """The command, with options quoted as a shell needs them and no password of a database."""
    from ehrsynth.tables.databases import without_passwords

    return shlex.join(["ehrsynth", *without_passwords(sys.argv[1:])])
