"""The command line: parse, call, exit code. One file a verb, which imports its work when it is called."""

from ehrsynth.cli.app import app, main

__all__ = ["app", "main"]
