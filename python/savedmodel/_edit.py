# SPDX-License-Identifier: Apache-2.0
"""Changes to a SavedModel, without running it or importing TensorFlow's Python."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from savedmodel import _core, _tensorflow
from savedmodel._inspect import file_system_path

if TYPE_CHECKING:
    from savedmodel._core import SignatureInfo

__all__ = ["Edit"]

PREDICT = "tensorflow/serving/predict"


class Edit:
    """A SavedModel in memory, except its variables and assets: change it, then `save` it elsewhere.

        edit = sm.Edit("models/resnet")
        edit.add_outputs("serving_default", {"embedding": "StatefulPartitionedCall/flatten/Reshape"})
        edit.rename_signature("serving_default", "classify")
        edit.save("models/resnet_embedding")

    Tensors are named as in the graph, `"dense/BiasAdd:0"` (`":0"` may be omitted); dtype and shape are the
    graph's. TF2 models keep most of a graph in functions. A tensor in a function is named by the calls that
    lead to it, `"StatefulPartitionedCall/dense/BiasAdd"`, and these calls are inlined. Tensors in the bodies
    of loops and branches have no such names.

    Methods return the `Edit`. An unknown name raises a KeyError that lists similar names; other mistakes
    raise a ValueError or TypeError. Nothing has changed then. `tf.saved_model.load` reads the signatures of a
    TF2 model from its object graph, which is kept in step; if that is impossible, FailedPreconditionError
    says why.
    """

    def __init__(self, source: str | os.PathLike[str]) -> None:
        """Read a SavedModel. Raises NotFoundError or DataLossError if it can't be read."""
        _tensorflow.locate()
        self._core = _core.Edit(file_system_path(source))

    @property
    def signatures(self) -> dict[str, SignatureInfo]:
        """The current signatures of the selected MetaGraph."""
        return self._core.signatures

    def add_signature(
        self,
        name: str,
        inputs: Mapping[str, str] | None = None,
        outputs: Mapping[str, str] | None = None,
        *,
        function: str | None = None,
        trace: int = 0,
        method_name: str = PREDICT,
    ) -> Edit:
        """Add a signature; `inputs` and `outputs` map its keys to dense tensors of the graph.

        Or give a `function` of the saved object by its path ("__call__", "encoder.call"), and its `trace`.
        The keys are then the names of its inputs and outputs, as in `model.functions[...].concrete`. As in
        signatures that TensorFlow makes, a ragged argument "x" becomes the inputs "x" (values) and "x_1" and
        so on (row splits, the outermost first), and a sparse one "x" (indices), "x_1" (values) and "x_2"
        (dense shape), if these names are free. Ragged and sparse results stay whole.
        """
        if function is not None:
            if inputs is not None or outputs is not None:
                raise TypeError("add_signature takes a function, or inputs and outputs, not both")
            self._core.add_function_signature(name, function, trace, method_name)
            return self
        if inputs is None or outputs is None:
            raise TypeError("add_signature needs inputs and outputs, or a function")
        self._core.add_signature(name, dict(inputs), dict(outputs), method_name)
        return self

    def rename_signature(self, name: str, to: str) -> Edit:
        """Rename a signature; the new name must be free."""
        self._core.rename_signature(name, to)
        return self

    def remove_signature(self, name: str) -> Edit:
        """Remove a signature; its nodes stay in the graph."""
        self._core.remove_signature(name)
        return self

    def add_outputs(self, signature: str, outputs: Mapping[str, str]) -> Edit:
        """Add outputs to a signature: keys -> tensors of the graph."""
        self._core.add_outputs(signature, dict(outputs))
        return self

    def keep_outputs(self, signature: str, keys: Iterable[str]) -> Edit:
        """Keep only these outputs of a signature."""
        self._core.keep_outputs(signature, [keys] if isinstance(keys, str) else list(keys))
        return self

    def set_method_name(self, signature: str, method_name: str) -> Edit:
        """Set the method, such as "tensorflow/serving/classify", by which servers recognise the
        signature's kind."""
        self._core.set_method_name(signature, method_name)
        return self

    def select_meta_graph(self, tags: Iterable[str]) -> Edit:
        """Choose the MetaGraph whose signatures are edited: initially {"serve"}, or the only one."""
        self._core.select_meta_graph(_tag_set(tags))
        return self

    def copy_meta_graph(self, tags: Iterable[str], to: Iterable[str]) -> Edit:
        """Add a copy of a MetaGraph, with the tags `to`; both use the same variables and assets.

        With several MetaGraphs, `tf.saved_model.load` ignores the object graph and finds signatures only.
        """
        self._core.copy_meta_graph(_tag_set(tags), _tag_set(to))
        return self

    def drop_meta_graph(self, tags: Iterable[str]) -> Edit:
        """Remove a MetaGraph; at least one must stay."""
        self._core.drop_meta_graph(_tag_set(tags))
        return self

    def set_tags(self, tags: Iterable[str], to: Iterable[str]) -> Edit:
        """Change the tags of a MetaGraph."""
        self._core.set_tags(_tag_set(tags), _tag_set(to))
        return self

    def clear_devices(self) -> Edit:
        """Remove the devices of all nodes, also in functions, and of variables, in all MetaGraphs."""
        self._core.clear_devices()
        return self

    def drop_object_graph(self) -> Edit:
        """Remove the object graph; `tf.saved_model.load` then finds signatures only."""
        self._core.drop_object_graph()
        return self

    def prune(self) -> Edit:
        """Remove what no signature needs: nodes, functions, variables, assets; and the object graph.

        The parts of the init op and the restore for needed variables and tables stay. A node whose value is
        an input of a signature becomes a placeholder, if only signatures that feed it need it.
        """
        self._core.prune()
        return self

    def save(
        self,
        target: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        format: Literal["pb", "pbtxt"] | None = None,
    ) -> list[str]:
        """Write the SavedModel to `target`, and return notes for the user, as sentences.

        The target appears as a whole or not at all. `overwrite` replaces a SavedModel, or an empty directory.
        `format` is that of the file saved_model: binary or text; None means the source's. Optimized graphs
        are not copied. Recorded warm-up requests are copied only if all of the source's signatures, with
        their inputs and outputs, remain. The fingerprint is computed anew. Raises AlreadyExistsError;
        InvalidArgumentError if `target` is the source, inside it or around it; NotFoundError or DataLossError
        if the source is incomplete.
        """
        if format not in (None, "pb", "pbtxt"):
            raise ValueError(f"format must be 'pb', 'pbtxt' or None, got {format!r}")
        return self._core.save(file_system_path(target), overwrite, format or "")


def _tag_set(tags: Iterable[str]) -> set[str]:
    if isinstance(tags, str):
        raise TypeError(f"tags must be a set of strings, such as {{{tags!r}}}, got the string {tags!r}")
    given = set(tags)
    for tag in given:
        if not isinstance(tag, str):
            raise TypeError(f"tags must be a set of strings, got {tag!r} in it")
    return given
