# SPDX-License-Identifier: Apache-2.0
"""`savedmodel run DIR`."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

import savedmodel as sm
from savedmodel.cli import _arguments, _inputs
from savedmodel.cli._random import random_inputs
from savedmodel.cli._text import printable


@click.command
@_arguments.directory
@_arguments.tags
@_arguments.signature
@click.option(
    "--function",
    "attributes",
    metavar="NAME",
    help='A function of the saved object: "__call__", "encoder.call".',
)
@_inputs.options
@click.option("--random", "made_up", is_flag=True, help="Generate the inputs that are not given.")
@click.option(
    "--batch",
    type=click.IntRange(1),
    metavar="N",
    default=1,
    show_default=True,
    help="Batch size of generated inputs.",
)
@click.option("--outdir", type=click.Path(), metavar="DIR", help="Write each output to <output key>.npy.")
@click.option("--overwrite", is_flag=True, help="Overwrite files in --outdir.")
@click.option("--json", "as_json", is_flag=True, help="Print the outputs as JSON.")
@_arguments.saved_model_cli_flags
@_arguments.device
@_arguments.threads
@_arguments.session_config
def command(
    directory: str,
    tags: str | None,
    signature: str | None,
    attributes: str | None,
    sources: _inputs.Sources,
    seed: int,
    made_up: bool,
    batch: int,
    outdir: str | None,
    overwrite: bool,
    as_json: bool,
    device: str | None,
    threads: int | None,
    session_config: str | None,
) -> None:
    """Run a signature, or a function, of the SavedModel in DIR and print its outputs.

    Numbers are cast to an input's dtype if that loses nothing (floats are rounded). A sparse input is given
    by its components: 'x#indices=[[0, 1]];x#values=[3.0];x#dense_shape=[2, 4]'. In expressions, np.random is
    seeded with --seed.
    """
    if attributes is not None and signature is not None:
        raise click.UsageError("give --signature-def or --function, not both")
    chosen = _arguments.choose_tags(directory, tags)
    values = sources.read()
    session = _arguments.session_options(session_config)
    with sm.load(directory, tags=chosen, device=device, threads=threads, session=session) as model:
        if attributes is None:
            function = model.signatures[_choose_signature(model, signature)]
        else:
            function, values = _choose_trace(model, attributes, values, made_up)
        feeds = _inputs.match(values, function.inputs)
        if made_up:
            feeds = random_inputs(function.inputs, batch=batch, seed=seed, given=feeds)
        missing = [k for k, spec in function.inputs.items() if k not in feeds and spec.default is None]
        if missing:
            raise click.UsageError(
                f"no value for {', '.join(map(repr, missing))}: give --inputs, --input-exprs or "
                "--input-examples, or --random"
            )
        files = {} if outdir is None else _files(outdir, function.outputs, overwrite)
        results = function.run(feeds)
        if as_json:
            click.echo(json.dumps({key: _plain_value(value) for key, value in results.items()}))
        for key, value in results.items():
            if not as_json:
                click.echo(f"Result for output key {printable(key)}:\n{_text(value)}")
            if key in files:
                _save(files[key], value)
                click.echo(f"Output {printable(key)} is saved to {files[key]}", err=as_json)


def _choose_signature(model: sm.Model, key: str | None) -> str:
    if key is None and not model.signatures and model.functions:
        known = ", ".join(map(repr, model.functions))
        raise click.UsageError(f"the model has no signatures; give --function, one of {known}")
    return _arguments.choose_signature(list(model.signatures), key)


def _choose_trace(
    model: sm.Model, path: str, values: dict[str, Any], made_up: bool
) -> tuple[sm.Signature, dict[str, Any]]:
    """The trace that a call from Python would choose, or else the first that takes the given inputs, and
    its inputs."""
    if path not in model.functions:
        known = ", ".join(map(repr, model.functions)) or "none"
        raise click.UsageError(f"no function {path!r}; there are: {known}")
    function = model.functions[path]
    if not function.concrete:
        raise click.UsageError(f"function {path!r} was never traced, so there is nothing to run")
    no_trace = None
    # Numbers without a dtype are tried a second time, because they are cast.
    for given in (values, {key: _plain(value) for key, value in values.items()}):
        try:
            trace, feeds = function.choose((), given)
        except TypeError as error:
            no_trace = no_trace or error
            continue
        return trace, {key: values.get(key, value) for key, value in feeds.items()}
    refused = None
    for trace in function.concrete:
        try:
            feeds = _inputs.match(values, trace.inputs)
        except (click.UsageError, TypeError, ValueError) as error:
            refused = refused or error
            continue
        if made_up or len(feeds) == len(trace.inputs):
            return trace, values
    if refused is not None:
        raise refused if no_trace is None or len(function.concrete) == 1 else no_trace
    return function.concrete[0], values  # the run reports what is missing


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _plain_value(value: Any) -> Any:
    """For JSON: nested lists; strings as text, other bytes as {"b64": ...}; composite tensors by part."""
    if isinstance(value, sm.SparseTensor | sm.RaggedTensor):
        return {part: _plain_value(inner) for part, inner in value._asdict().items()}
    if isinstance(value, np.ndarray | np.generic):
        narrow = value.dtype.kind == "V" or value.dtype in (np.float16, np.float32)
        # Through text, which has the digits of the narrow type.
        return _plain_value((value.astype(str).astype(np.float64) if narrow else value).tolist())
    if isinstance(value, list | tuple):
        return [_plain_value(one) for one in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    return {"real": value.real, "imag": value.imag} if isinstance(value, complex) else value


def _text(value: Any) -> str:
    if isinstance(value, sm.SparseTensor | sm.RaggedTensor):
        return "\n".join(f"{part}:\n{_text(inner)}" for part, inner in value._asdict().items())
    return str(value)


def _files(outdir: str, outputs: Mapping[str, sm.TensorSpec], overwrite: bool) -> dict[str, Path]:
    """The file of each output. Checked before the run, which may be long, and may change the model's
    state."""
    # A key may contain a path, but a model must not choose where files go.
    files = {
        key: Path(outdir) / (key.replace("/", "_").replace("\0", "_") + (".npy" if _dense(spec) else ".npz"))
        for key, spec in outputs.items()
    }
    if len(set(files.values())) < len(files):
        raise ValueError("two outputs would be written to one file: " + ", ".join(map(repr, files)))
    existing = [str(file) for file in files.values() if file.exists()]
    if existing and not overwrite:
        raise FileExistsError(f"{', '.join(existing)} exists already; --overwrite replaces it")
    Path(outdir).mkdir(parents=True, exist_ok=True)
    return files


def _dense(spec: sm.TensorSpec) -> bool:
    return spec.encoding == "dense"


def _save(file: Path, value: Any) -> None:
    if isinstance(value, sm.SparseTensor):
        np.savez(file, **value._asdict())
    elif isinstance(value, sm.RaggedTensor):
        splits = {f"row_splits_{i}": split for i, split in enumerate(value.nested_row_splits)}
        np.savez(file, flat_values=value.flat_values, **splits)
    else:
        np.save(file, value)
