"""The `ehrsynth` command: its verbs in the order of the work."""

import signal
from types import FrameType

import typer

from ehrsynth.cli import (
    audit,
    complete,
    demo,
    evaluate,
    fit,
    forget,
    images,
    listing,
    rebalance,
    release,
    sample,
    schema,
    twins,
    verify,
)
from ehrsynth.cli.guard import guarded, told_to_end

EPILOG = (
    "Exit codes: 0 done; 2 the request or the data is wrong, or a package is missing; "
    "3 the work was done and the answer is no."
)

app = typer.Typer(
    name="ehrsynth",
    help="Synthetic patients from a hospital's own table, with an evaluation that can say no.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks show local variables, and those hold patients
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(guarded(demo.demo))
app.add_typer(schema.app, name="schema")
app.command("fit")(guarded(fit.fit))
app.command("sample")(guarded(sample.sample))
app.command("complete")(guarded(complete.complete))
app.command("evaluate")(guarded(evaluate.evaluate))
app.command("release")(guarded(release.release))
app.command("rebalance")(guarded(rebalance.rebalance))
app.command("twins")(guarded(twins.twins))
app.command("audit")(guarded(audit.audit))
app.command("verify")(guarded(verify.verify))
app.command("forget")(guarded(forget.forget))
app.add_typer(images.app, name="images")
app.command("list")(guarded(listing.listing))


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(version("ehrsynth"))
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
    ),
) -> None:
    """Synthetic patients from a hospital's own table, with an evaluation that can say no."""


def main() -> None:
    """Run the command line; being told to end (SIGTERM) cleans up as Ctrl-C does."""
    for sent in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sent, _interrupt)
    app()


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's shape
    told_to_end.set()
    raise KeyboardInterrupt
