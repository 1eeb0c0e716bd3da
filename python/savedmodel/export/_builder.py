# SPDX-License-Identifier: Apache-2.0
"""Builds SavedModels of TensorFlow 1 graphs, piece by piece."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import savedmodel as sm
from savedmodel._staging import staged
from savedmodel.export import _assets
from savedmodel.export._conversion import destination
from savedmodel.export._names import near
from savedmodel.export._signatures import GraphSignature, signature_def
from savedmodel.export._tensorflow import quiet, tensorflow, typed_errors

# SavedModelBuilder's collections in the caller's graph.
_NOTES = ("saved_model_main_op", _assets.SAVED)


class _Abandoned(Exception):
    pass


class Builder:
    """Puts graphs, the variables of a session, and files into a SavedModel.

    Several MetaGraphs, each with its own tag set, share one set of variables and assets: those of the first
    that is added.

        with sm.export.Builder("models/words") as builder:
            builder.add(session, signatures={"serving_default": sm.export.predict({"x": x}, {"y": y})})
            builder.add(graph_for_gpus, tags=("serve", "gpu"), signatures=...)
            builder.add_extra("labels.txt", labels)

    At the end of the block, or with `save`, the SavedModel appears at `dst`, complete and loadable. After an
    error, nothing is written.
    """

    def __init__(self, dst: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """dst: must not exist (AlreadyExistsError), or with `overwrite` be a SavedModel to replace."""
        self._path = destination(dst)
        self._stage: contextlib.AbstractContextManager[Path] | None = staged(self._path, overwrite=overwrite)
        self._folder = self._stage.__enter__()
        self._tags: list[frozenset[str]] = []
        try:
            with quiet():
                self._builder = tensorflow().compat.v1.saved_model.Builder(str(self._folder))
        except BaseException:
            self.close()
            raise

    def add(
        self,
        source: Any,
        *,
        tags: Iterable[str] = ("serve",),
        signatures: Mapping[str, Any] | None = None,
        assets: Iterable[Any] | None = None,
        main_op: Any = None,
        saver: Any = None,
        clear_devices: bool = False,
        strip_default_attrs: bool = False,
    ) -> Builder:
        """Add a MetaGraph.

        source: for the first MetaGraph a tf.compat.v1.Session, whose variables are saved; later a Session or
            a tf.Graph, whose variables are among those.
        tags: its tag set; () is the empty one.
        signatures: GraphSignatures (`predict`, `classify`, `regress`) or SignatureDefs by name.
        assets: the tensors of file names whose files are included; None means those of the graph's tables.
        main_op: an operation or its name, run after the variables are restored; None initialises the graph's
            tables.
        saver: a tf.compat.v1.train.Saver in place of one for all variables.
        clear_devices: remove the device of each node.
        strip_default_attrs: remove attributes that have their default, so that TensorFlow versions without
            them can load it.

        Raises ValueError for tags that already exist, or another asset of the same name; KeyError for a
        tensor or operation that the graph does not have.
        """
        self._check_open()
        is_session = hasattr(source, "graph")
        graph = source.graph if is_session else source
        if not isinstance(graph, tensorflow().Graph):
            raise TypeError(f"source must be a tf.compat.v1.Session or a tf.Graph, got {source!r}")
        if not self._tags and not is_session:
            raise TypeError(
                "the first source must be a tf.compat.v1.Session, which has the variables' values"
            )
        if isinstance(tags, str):
            raise TypeError(f"tags must be a set of strings, such as {{{tags!r}}}, got the string {tags!r}")
        tag_set = frozenset(tags)
        if tag_set in self._tags:
            raise ValueError(f"there is a MetaGraph with the tags {sorted(tag_set)} already")
        with graph.as_default(), quiet(), typed_errors("the builder"), _without_notes(graph):
            definitions = {
                name: signature_def(graph, each, f"the graph of signature {name!r}")
                for name, each in (signatures or {}).items()
            }
            asset_tensors = _assets.find(graph, assets)
            options = {
                "assets_collection": asset_tensors or None,
                "main_op": _main_op(graph, main_op),
                "saver": saver,
                "clear_devices": clear_devices,
                "strip_default_attrs": strip_default_attrs,
            }
            if self._tags:
                self._builder.add_meta_graph(sorted(tag_set), definitions, **options)
            else:
                self._builder.add_meta_graph_and_variables(source, sorted(tag_set), definitions, **options)
            try:
                _assets.check(graph, self._folder / "assets")
            except ValueError:
                self.close()  # the MetaGraph can't be removed any more
                raise
        self._tags.append(tag_set)
        return self

    def add_extra(self, name: str, content: bytes | str | os.PathLike[str]) -> Builder:
        """Add a file below `assets.extra`, which no graph reads: these bytes, or a copy of that file."""
        self._check_open()
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts:
            raise ValueError(f"the name of an extra asset must be a path below assets.extra, got {name!r}")
        target = self._folder / "assets.extra" / name
        if target.exists():
            raise ValueError(f"there is an extra asset {name!r} already")
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            shutil.copyfile(content, target)
        return self

    def save(self, *, as_text: bool = False, check: bool = True) -> sm.Inspection:
        """Write the SavedModel, and rename it to `dst`.

        as_text: a saved_model.pbtxt in place of the .pb.
        check: first load each MetaGraph through savedmodel, which runs its main op. Without it, graphs that
            this machine can't load (missing ops) can be written, and broken ones, too.

        Returns the result of `sm.inspect`. Raises what `sm.load` does.
        """
        self._check_open()
        try:
            if not self._tags:
                raise ValueError("there is no MetaGraph to save; add one first")
            with quiet():
                self._builder.save(as_text=as_text)
            for tags in self._tags if check else ():
                sm.load(self._folder, tags=tags, session=sm.SessionOptions(allow_soft_placement=True)).close()
        except BaseException:
            self.close()
            raise
        stage, self._stage = self._stage, None
        assert stage is not None
        stage.__exit__(None, None, None)
        return sm.inspect(self._path)

    def close(self) -> None:
        """Remove everything, unless it is saved."""
        stage, self._stage = self._stage, None
        if stage is not None:
            with contextlib.suppress(_Abandoned):
                stage.__exit__(_Abandoned, _Abandoned(), None)

    def __enter__(self) -> Builder:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None and self._stage is not None:
            self.save()
        self.close()

    def __repr__(self) -> str:
        state = "" if self._stage is not None else ", closed"
        tags = "; ".join(", ".join(sorted(each)) or "no tags" for each in self._tags) or "empty"
        return f"<Builder {str(self._path)!r} ({tags}{state})>"

    def _check_open(self) -> None:
        if self._stage is None:
            raise sm.FailedPreconditionError(f"the builder of {self._path} is closed")


def _main_op(graph: Any, given: Any) -> Any:
    if given is None:
        has_tables = graph.get_collection(_assets.TABLES)
        return tensorflow().compat.v1.tables_initializer() if has_tables else None
    if not isinstance(given, str):
        return given
    names = [each.name for each in graph.get_operations()]
    if given not in names:
        raise KeyError(f"no operation {given!r} in the graph{near(given, names)}")
    return graph.get_operation_by_name(given)


@contextlib.contextmanager
def _without_notes(graph: Any) -> Iterator[None]:
    """Remove the builder's collections, so that the same graph can be added again: under other tags, or to
    another SavedModel."""
    kept = {key: graph.get_collection(key) for key in _NOTES}
    for key in _NOTES:
        graph.clear_collection(key)
    try:
        yield
    finally:
        for key, values in kept.items():
            graph.clear_collection(key)
            for value in values:
                graph.add_to_collection(key, value)


def simple_save(
    session: Any,
    dst: str | os.PathLike[str],
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    *,
    main_op: Any = None,
    overwrite: bool = False,
) -> sm.Inspection:
    """Save a session's graph and variables with one signature, `serving_default`, under the tag `serve`.

    inputs, outputs: tensors, or their names, by key. Devices are removed. `Builder` offers everything else.
    """
    with Builder(dst, overwrite=overwrite) as builder:
        signatures = {"serving_default": GraphSignature(inputs, outputs)}
        builder.add(session, signatures=signatures, main_op=main_op, clear_devices=True)
        return builder.save()
