# SPDX-License-Identifier: Apache-2.0
"""Options that commands share, and the model that they select."""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import savedmodel as sm
from savedmodel.cli._text import printable, tag_set

Function = TypeVar("Function", bound=Callable[..., Any])


def directory(function: Function) -> Function:
    """The SavedModel, as DIR or as --dir DIR; the function gets `directory`."""

    @functools.wraps(function)
    def wrapped(path: str | None, option: str | None, **rest: Any) -> Any:
        if (path is None) == (option is None):
            raise click.UsageError(
                "which SavedModel? give its directory" if path is None else "give one directory, not two"
            )
        return function(directory=option if path is None else path, **rest)

    kind = click.Path(file_okay=False)
    wrapped = click.option("--dir", "option", type=kind, metavar="DIR", help="The same as DIR.")(wrapped)
    return click.argument("path", required=False, metavar="DIR", type=kind)(wrapped)  # type: ignore[return-value]


tags = click.option(
    "--tag-set",
    "tags",
    metavar="A,B",
    help="Tags of the MetaGraph; '' is the empty set. (serve, or those of the only one)",
)
signature = click.option(
    "--signature-def",
    "signature",
    metavar="KEY",
    help="The signature. (serving_default, or the only one)",
)
device = click.option("--device", metavar="NAME", help='Device of the graph, such as "gpu:1".')
threads = click.option(
    "--threads", type=click.IntRange(1, 4096), metavar="N", help="Intra-op threads. (as many as CPUs)"
)
session_config = click.option(
    "--session-config",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="A tensorflow.ConfigProto in text form.",
)
seed = click.option(
    "--seed", type=int, metavar="N", default=0, show_default=True, help="Seed of generated inputs."
)
level = click.option(
    "--level",
    type=click.Choice(["none", "default", "bf16", "int8"]),
    default="default",
    show_default=True,
    help="load's optimize=",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _notice(why: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def say(context: click.Context, parameter: click.Parameter, given: Any) -> None:
        if given:
            click.echo(f"savedmodel: note: {parameter.opts[0]} has no effect: {why}", err=True)

    return say


def _refuse_worker(context: click.Context, parameter: click.Parameter, given: Any) -> None:
    if given is not None:
        raise click.UsageError(
            "--worker: models run in this process, not on a remote worker; examples/server answers over gRPC"
        )


def saved_model_cli_flags(function: Function) -> Function:
    """Flags of `saved_model_cli run` that mean nothing here: accepted with a notice, and not in the help."""
    ignored = {
        "--use-tfrt": "there is one runtime",
        "--init-tpu": "models run on CPUs and GPUs",
        "--tf-debug": "`savedmodel profile` shows the time of each op",
    }
    for name, why in ignored.items():
        option = click.option(name, is_flag=True, hidden=True, expose_value=False, callback=_notice(why))
        function = option(function)
    return click.option("--worker", hidden=True, expose_value=False, callback=_refuse_worker)(function)


def split_tags(text: str) -> tuple[str, ...]:
    """'gpu, serve' as ('gpu', 'serve'); '' is the empty set."""
    return tuple(tag for tag in (part.strip() for part in text.split(",")) if tag)


if TYPE_CHECKING:
    _NumbersType = click.ParamType[tuple[int, ...]]
else:  # older click has no generic one
    _NumbersType = click.ParamType


class Numbers(_NumbersType):
    """Positive integers separated by commas."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if not isinstance(value, str):
            return tuple(value)
        try:
            numbers = tuple(dict.fromkeys(int(part) for part in value.split(",")))
        except ValueError:
            numbers = ()
        if not numbers or min(numbers) < 1:
            self.fail(f"{value!r} is not a list of positive integers, such as 1,8,32", param, ctx)
        return numbers


def choose_tags(path: str, text: str | None) -> tuple[str, ...]:
    """The selected tags: those given, or {serve}, or those of the only MetaGraph."""
    if text is not None:
        return split_tags(text)
    sets = [graph.tags for graph in sm.inspect(path).meta_graphs]
    if frozenset({"serve"}) in sets:
        return ("serve",)
    if len(sets) == 1:
        return tuple(sorted(sets[0]))
    known = "; ".join(tag_set(tags) for tags in sets)
    raise click.UsageError(f"which MetaGraph? give its --tag-set; there are: {known}")


def choose_signature(signatures: Sequence[str], key: str | None) -> str:
    """The selected signature: the one given, 'serving_default', or the only one."""
    known = ", ".join(map(repr, signatures)) or "none"
    if key is not None:
        if key not in signatures:
            raise click.UsageError(f"no signature {key!r}; there are: {known}")
        return key
    if "serving_default" in signatures:
        return "serving_default"
    if len(signatures) == 1:
        return signatures[0]
    raise click.UsageError(f"which signature? give --signature-def; there are: {known}")


def session_options(config: str | None) -> sm.SessionOptions:
    """SessionOptions of a file with a ConfigProto in text form.

    Without one, nodes whose device is missing run on the CPU, as in saved_model_cli.
    """
    if config is None:
        return sm.SessionOptions(allow_soft_placement=True)
    try:
        return sm.SessionOptions.from_text(Path(config).read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ValueError(f"--session-config {config}: not a text file") from None


def check_plot(file: str) -> None:
    """Check, before anything is measured, that a plot can be written."""
    import importlib.util

    if not file.endswith(".png"):
        raise click.UsageError(f"--plot {file}: the name of the plot must end in .png")
    if not Path(file).absolute().parent.is_dir():
        raise click.UsageError(f"--plot {file}: there is no directory {str(Path(file).parent)!r}")
    if importlib.util.find_spec("matplotlib") is None:
        raise ValueError("--plot needs matplotlib; install it with: pip install matplotlib")


def trial_options(function: Function) -> Function:
    """Options for the load before a version is published; the function gets them as `sm.publish` does."""

    @functools.wraps(function)
    def wrapped(no_verify: bool, tags: str | None, **rest: Any) -> Any:
        options = {} if tags is None else {"tags": split_tags(tags)}
        return function(verify=not no_verify, **options, **rest)

    for option in (
        click.option(
            "--timeout",
            type=click.FloatRange(0, min_open=True),
            default=600.0,
            show_default=True,
            metavar="SECONDS",
            help="Time limit of that load, in seconds.",
        ),
        click.option("--no-verify", is_flag=True, help="Don't load it first."),
        tags,
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def warn_unusable(done: sm.Published) -> None:
    """Warn of signatures that can't be run."""
    for name, why in done.unusable.items():
        print(
            f"savedmodel: warning: {printable(f'signature {name!r} can not be run: {why}')}", file=sys.stderr
        )


def to_json(value: Any) -> str:
    """Dataclasses, or a list of them, as JSON; times as ISO 8601."""
    plain = (
        [dataclasses.asdict(one) for one in value] if isinstance(value, list) else dataclasses.asdict(value)
    )
    return json.dumps(plain, indent=2, default=lambda time: time.isoformat())
