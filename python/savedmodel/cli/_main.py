# SPDX-License-Identifier: Apache-2.0
"""The commands, their errors and exit codes. Each command's module is imported when it is called."""

from __future__ import annotations

import difflib
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import click

import savedmodel as sm

COMPLETE = "_SAVEDMODEL_COMPLETE"
"""The variable by which a shell requests completions."""


@dataclass(frozen=True)
class Entry:
    """The description of a command, available before its module is imported."""

    module: str
    summary: str
    example: str


# Add a new command here, with a module.
COMMANDS = {
    "show": Entry(
        "_show", "tag sets, signatures, functions, ops and files", "savedmodel show models/mlp --all"
    ),
    "run": Entry(
        "_run",
        "run a signature on files, expressions or examples",
        "savedmodel run models/mlp --input-exprs 'x=np.ones((1, 64))'",
    ),
    "scan": Entry(
        "_scan",
        "list ops that reach files, network, processes",
        "savedmodel scan models/mlp --allow files,unknown",
    ),
    "check": Entry(
        "_check",
        "check that a model loads, optionally in a child process",
        "savedmodel check models/mlp --isolated --run",
    ),
    "bench": Entry(
        "_bench",
        "measure latency and throughput, alone or against others",
        "savedmodel bench models/mlp --batch 1,8,32 --against tf",
    ),
    "compare": Entry(
        "_compare", "compare results with TensorFlow's", "savedmodel compare models/mlp --rtol 1e-4"
    ),
    "profile": Entry(
        "_profile", "show the time of each op in a call", "savedmodel profile models/mlp --plot ops.png"
    ),
    "optimize": Entry(
        "_optimize",
        "write a SavedModel with its optimized graphs beside it",
        "savedmodel optimize models/mlp models/mlp_optimized",
    ),
    "quantize": Entry(
        "_quantize",
        "write a SavedModel with layers in int8, as close as asked",
        "savedmodel quantize models/mlp models/mlp_int8 --calibrate x.npz",
    ),
    "convert": Entry(
        "_convert",
        "write a SavedModel of a Keras model, function, checkpoint, graph",
        "savedmodel convert keras digits.keras models/digits",
    ),
    "bundle": Entry(
        "_bundle",
        "write a folder with a model and all that runs it",
        "savedmodel bundle models/mlp bundles/mlp",
    ),
    "edit": Entry(
        "_edit",
        "change signatures, tags, devices; remove what is not needed",
        "savedmodel edit models/mlp models/mlp_2 --clear-devices --prune",
    ),
    "warmup": Entry(
        "_warmup",
        "record requests that a load or a server replays first",
        "savedmodel warmup exports/mlp --inputs x=x.npy",
    ),
    "publish": Entry(
        "_publish",
        "publish a SavedModel as a new version of a model",
        "savedmodel publish exports/mlp models/mlp",
    ),
    "versions": Entry("_versions", "the versions of a model", "savedmodel versions models/mlp"),
    "rollback": Entry("_rollback", "publish an older version again", "savedmodel rollback models/mlp --to 3"),
    "gc": Entry("_gc", "remove old versions", "savedmodel gc models/mlp --keep 3"),
    "verify": Entry("_verify", "compare versions with their manifests", "savedmodel verify models/mlp/4"),
    "completion": Entry(
        "_completion", "print the script that completes commands", 'eval "$(savedmodel completion bash)"'
    ),
}


HINTS = {
    "freeze-model": "`savedmodel optimize SRC DST` writes graphs with frozen variables beside the model",
    "aot-compile-cpu": "a C++ program loads the SavedModel itself, through <savedmodel/savedmodel.h>",
    "help": "`savedmodel --help` lists the commands",
}
"""Commands of saved_model_cli that this one does not have, and what to use."""

NO_OPS = ("versions", "gc", "verify", "completion")
"""Commands that only look at files."""

OP_LIBRARIES = "SAVEDMODEL_OP_LIBRARIES"
"""The environment variable that the engine reads."""


def _set_debug(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.find_root().meta["savedmodel.debug"] = True


class _Commands(click.Group):
    """Imports commands when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = importlib.import_module(f"savedmodel.cli.{entry.module}").command
        if not any(parameter.name == "debug" for parameter in command.params):
            command.name, command.short_help = cmd_name, entry.summary
            command.epilog = f"\b\nexample: {entry.example}"
            for each in (command, *getattr(command, "commands", {}).values()):
                each.params.append(_debug_option())
                if cmd_name not in NO_OPS:
                    each.params.append(_op_library_option())
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0].replace("_", "-")
        if name in COMMANDS or name.startswith("-"):
            return super().resolve_command(ctx, args)
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = HINTS.get(name) or (f"did you mean {near[0]!r}?" if near else HINTS["help"])
        raise click.UsageError(f"No such command {args[0]!r}: {hint}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            for name, entry in COMMANDS.items():
                formatter.write(f"  {name:<11} {entry.summary}\n")
                formatter.write(f"{'':14}{entry.example}\n")


def _open_op_libraries(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> None:
    """Set the libraries for the engine, here and in the processes that a command starts."""
    if not value:
        return
    before = os.environ.get(OP_LIBRARIES, "")
    os.environ[OP_LIBRARIES] = ":".join(
        [*filter(None, [before]), *map(os.path.abspath, sm.find_op_libraries(value))]
    )
    context.call_on_close(lambda: os.environ.__setitem__(OP_LIBRARIES, before))


def _op_library_option() -> click.Option:
    return click.Option(
        ["--op-library"],
        multiple=True,
        metavar="NAME",
        expose_value=False,
        callback=_open_op_libraries,
        help="Custom ops: a shared library, or a package such as tensorflow_text.",
    )


def _debug_option() -> click.Option:
    return click.Option(
        ["--debug"], is_flag=True, expose_value=False, callback=_set_debug, help="Show tracebacks."
    )


@click.command(
    cls=_Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        # saved_model_cli's users write --tag_set.
        "token_normalize_func": lambda name: name.replace("_", "-"),
    },
    params=[_debug_option()],
    epilog="Errors are one line and exit status 2; `savedmodel COMMAND --help` tells the options.",
)
@click.version_option(sm.__version__, prog_name="savedmodel", message="%(prog)s %(version)s")
def group() -> None:
    """Work with TensorFlow SavedModels, without TensorFlow's Python."""


def _say(text: object, where: str = "savedmodel") -> int:
    from savedmodel.cli._text import printable

    print(f"{where}: {printable(' '.join(str(text).split()))}", file=sys.stderr)
    return 2


def _explain(error: Exception) -> object:
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, ModuleNotFoundError) and error.name == "rich":
        return "the command line needs rich; install it with: pip install rich"
    if isinstance(error, KeyError) and error.args:
        return error.args[0]  # its str() is a repr
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"there is not enough memory: {error}"
    if "Could not parse example input" in str(error):
        return f"{error}; the input takes serialized tf.Examples: give some with --input-examples"
    if isinstance(error, sm.Error | OSError | TypeError | ValueError):
        return error
    return f"{type(error).__name__}: {error} (--debug shows where)"


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)  # so that what is half written is removed


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; an error becomes one line on stderr, unless --debug is given."""
    if arguments is None:
        signal.signal(signal.SIGTERM, _end)
    meta: dict[str, Any] = {}
    if instruction := os.environ.get(COMPLETE):
        from click.shell_completion import shell_complete

        return shell_complete(group, {}, "savedmodel", COMPLETE, instruction)
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given:
        click.echo(
            group.get_help(click.Context(group, info_name="savedmodel", **group.context_settings)), err=True
        )
        return 2
    try:
        with group.make_context("savedmodel", given) as ctx:
            meta = ctx.meta
            group.invoke(ctx)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "savedmodel"
        return _say(error.format_message(), path)
    except (KeyboardInterrupt, click.Abort):
        return 130
    except BrokenPipeError:
        # The reader closed the pipe; Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if meta.get("savedmodel.debug"):
            raise
        return _say(_explain(error))
    return 0
