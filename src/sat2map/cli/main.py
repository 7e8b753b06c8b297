"""The `sat2map` command: loads only the verb that was asked for, and turns errors into one message and an exit code.

Exit codes: 0 done, 1 failed, 2 used wrongly, 130 stopped by Ctrl-C, 143 stopped by SIGTERM.
"""

import importlib
import importlib.metadata
import platform
import shlex
import sys
import textwrap
import traceback
from collections.abc import Sequence
from typing import NamedTuple

import click
from click.shell_completion import CompletionItem

import sat2map
from sat2map.errors import MissingExtra, Sat2MapError, StorageFailed


class Verb(NamedTuple):
    """One command: where its code lives, and what `sat2map --help` says without loading that code."""

    where: str  # "module:attribute"
    section: str
    result: str  # completes "The result of VERB is …"


VERBS: dict[str, Verb] = {
    "demo": Verb(
        "sat2map.cli.demo:demo", "Use", "a street map of a sample image, and a page to compare the two"
    ),
    "translate": Verb(
        "sat2map.cli.translate:translate", "Use", "a street map of an image, or of each image in a folder"
    ),
    "vectorize": Verb(
        "sat2map.cli.vectorize:vectorize",
        "Use",
        "roads, buildings, water and green of a map as styled layers",
    ),
    "imagine": Verb(
        "sat2map.cli.imagine:imagine", "Use", "a town that does not exist, or a paired data set of many"
    ),
    "view": Verb("sat2map.cli.view:view", "Use", "a picture of what somebody standing at a place would see"),
    "batch": Verb(
        "sat2map.cli.batch:batch",
        "Use",
        "a map of a whole region, cell by cell, on one machine or a Ray cluster",
    ),
    "info": Verb(
        "sat2map.cli.info:info", "Use", "a description of an image, a scene, a vector file, a model or a run"
    ),
    "serve": Verb(
        "sat2map.cli.serve:serve", "Use", "live map layers of a scene, and a page to try models on"
    ),
    "data": Verb("sat2map.cli.data:data", "Train", "a paired set: downloaded, imported or checked"),
    "collect": Verb(
        "sat2map.cli.collect:collect",
        "Train",
        "geotagged photos and satellite views, filtered and looked through",
    ),
    "train": Verb("sat2map.cli.train:train", "Train", "a run folder with checkpoints, samples and a report"),
    "export": Verb("sat2map.cli.train:export", "Train", "a model bundle that runs without torch"),
    "evaluate": Verb(
        "sat2map.cli.evaluate:evaluate", "Measure", "figures and a report beside the trivial baselines"
    ),
    "compare": Verb("sat2map.cli.evaluate:compare", "Measure", "a table of several evaluations side by side"),
}

# Top-level packages of the `train` extra by the name under which they are imported.
TRAIN_EXTRA = frozenset(
    {"torch", "safetensors", "onnx", "onnxscript", "scipy", "tensorboard", "torchmetrics", "yaml"}
)

EPILOG = """\b
Examples:
  sat2map demo demo/                         offline, with the model in the package
  sat2map translate photo.png map.png        an image of any size
  sat2map train carto --data maps --run runs/first
  sat2map VERB --help                        every option of one verb

\b
Completion of verbs and options by the Tab key (bash; zsh and fish alike):
  eval "$(_SAT2MAP_COMPLETE=bash_source sat2map)"
"""


class LazyGroup(click.Group):
    """A group whose verbs come from `VERBS`; a verb's module is imported when that verb is run, never for a list."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which people need them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one verb, or None for a name that is no verb."""
        if cmd_name not in VERBS:
            return None
        module, attribute = VERBS[cmd_name].where.split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section per thing that people do."""
        for section in dict.fromkeys(verb.section for verb in VERBS.values()):
            with formatter.section(f"{section} (the result of each verb is …)"):
                formatter.write_dl([(n, v.result) for n, v in VERBS.items() if v.section == section])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete verbs from the table, so that the Tab key stays quick."""
        verbs = [CompletionItem(n, help=v.result) for n, v in VERBS.items() if n.startswith(incomplete)]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]


def _show_versions(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    """Print our version and those on which results depend; reads metadata only, so nothing heavy is imported."""
    if not wanted:
        return
    click.echo(f"sat2map {sat2map.__version__}")
    click.echo(f"python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in ("numpy", "onnxruntime", "torch"):
        try:
            click.echo(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            click.echo(f"{package} is not installed")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_versions,
    help="Show the versions of sat2map and of what it computes with.",
)
@click.option(
    "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error; may stand anywhere."
)
def cli() -> None:
    """Turn satellite and aerial imagery into street maps, and train models that do."""


def _output_refused(error: OSError) -> StorageFailed | None:
    """Return the error of a standard output that cannot be written, such as a file on a full disk."""
    if error.filename is not None:
        return None
    try:
        print(flush=True)  # fails again, if it was that
    except (OSError, ValueError):
        sys.stdout = None  # keeps Python's closing flush from complaining
        reason = error.strerror or str(error)
        return StorageFailed(f"cannot write to standard output: {reason}", "Check where it is redirected to")
    return None


def _report(error: BaseException, arguments: Sequence[str]) -> int:
    """Print the one message that `error` deserves on standard error; return the exit code."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in TRAIN_EXTRA:
        error = MissingExtra(
            f"this needs the Python package {error.name!r}, which is not installed",
            "Install the training parts: pip install 'sat2map[train]'",
        )
    if isinstance(error, Sat2MapError):
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    text = textwrap.shorten(str(error), 300, placeholder=" …") or "no message"
    again = shlex.join(["sat2map", *arguments, "--debug"])
    click.echo(f"error: unexpected {type(error).__name__}: {text}", err=True)
    click.echo(f"This is a fault in sat2map. To see where it happened: {again}", err=True)
    return 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; `arguments` defaults to those of the process."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # Taken out here, since people add it at the end of the line that failed, and a verb would not know it.
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        code = cli.main(arguments, prog_name="sat2map", standalone_mode=False)
        sys.stdout.flush()  # a reader that went away must be noticed here, not while Python shuts down
        return code if isinstance(code, int) else 0
    except click.exceptions.Abort as abort:
        return 130 if isinstance(abort.__cause__, KeyboardInterrupt) else 1
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Nobody reads our output any more: `sat2map info X | head -1` is no failure worth a message.
        sys.stdout = None  # keeps Python's closing flush from complaining
        return 1
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, OSError):
            error = _output_refused(error) or error
        return _report(error, arguments)
