# SPDX-License-Identifier: Apache-2.0
"""Changes to what a SavedModel offers, without running it or importing TensorFlow's Python."""

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
    """A SavedModel in memory, but for its variables and assets: change it, then `save` it elsewhere.

        edit = sm.Edit("models/resnet")
        edit.add_outputs("serving_default", {"embedding": "StatefulPartitionedCall/flatten/Reshape"})
        edit.rename_signature("serving_default", "classify")
        edit.save("models/resnet_embedding")

    Tensors are named as in the graph, `"dense/BiasAdd:0"` (`":0"` may be left out); their dtype and shape are
    the graph's. TF2 programs keep most of a graph in functions: a tensor in one is named by the calls that
    lead to it, `"StatefulPartitionedCall/dense/BiasAdd"`, and these calls are inlined. The bodies of loops
    and branches have no such names.

    Methods return the `Edit`. A name that does not exist is a KeyError that lists near ones, another mistake
    a ValueError or TypeError; then nothing has changed. `tf.saved_model.load` takes the signatures of a TF2
    model from its object graph, which is kept in step; where that can't be, FailedPreconditionError says why.
    """

    def __init__(self, source: str | os.PathLike[str]) -> None:
        """Read a SavedModel. Raises NotFoundError or DataLossError if there is no readable one."""
        _tensorflow.locate()
        self._core = _core.Edit(file_system_path(source))

    @property
    def signatures(self) -> dict[str, SignatureInfo]:
        """Those of the selected MetaGraph, as they are now."""
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
        """Add a signature; `inputs` and `outputs` are its keys -> dense tensors of the graph.

        Or give a `function` of the saved object by its path ("__call__", "encoder.call"), and which `trace`
        of it: keys are the names of what it takes and returns, as `model.functions[...].concrete` has them.
        As in signatures that TensorFlow makes, a ragged argument "x" becomes the inputs "x" (values) and
        "x_1" and so on (row splits, the outermost first), a sparse one "x" (indices), "x_1" (values) and
        "x_2" (dense shape), where these names are free; ragged and sparse results stay whole.
        """
        if function is not None:
            if inputs is not None or outputs is not None:
                raise TypeError("a function has its own inputs and outputs: give it alone")
            self._core.add_function_signature(name, function, trace, method_name)
            return self
        if inputs is None or outputs is None:
            raise TypeError("add_signature takes inputs and outputs, or a function")
        self._core.add_signature(name, dict(inputs), dict(outputs), method_name)
        return self

    def rename_signature(self, name: str, to: str) -> Edit:
        """Give a signature another name, which is free."""
        self._core.rename_signature(name, to)
        return self

    def remove_signature(self, name: str) -> Edit:
        """Remove a signature; what it computed stays in the graph."""
        self._core.remove_signature(name)
        return self

    def add_outputs(self, signature: str, outputs: Mapping[str, str]) -> Edit:
        """Let a signature return tensors of the graph, too: keys -> tensors."""
        self._core.add_outputs(signature, dict(outputs))
        return self

    def keep_outputs(self, signature: str, keys: Iterable[str]) -> Edit:
        """Let a signature return these outputs only."""
        self._core.keep_outputs(signature, [keys] if isinstance(keys, str) else list(keys))
        return self

    def set_method_name(self, signature: str, method_name: str) -> Edit:
        """Set the method, such as "tensorflow/serving/classify", by which servers know what it computes."""
        self._core.set_method_name(signature, method_name)
        return self

    def select_meta_graph(self, tags: Iterable[str]) -> Edit:
        """Choose the MetaGraph whose signatures are edited now: at first {"serve"}, or the only one."""
        self._core.select_meta_graph(_tag_set(tags))
        return self

    def copy_meta_graph(self, tags: Iterable[str], to: Iterable[str]) -> Edit:
        """Add a copy of a MetaGraph, with the tags `to`; both use the same variables and assets.

        `tf.saved_model.load` reads no object graph where there are several: it then finds signatures only.
        """
        self._core.copy_meta_graph(_tag_set(tags), _tag_set(to))
        return self

    def drop_meta_graph(self, tags: Iterable[str]) -> Edit:
        """Remove a MetaGraph; one has to stay."""
        self._core.drop_meta_graph(_tag_set(tags))
        return self

    def set_tags(self, tags: Iterable[str], to: Iterable[str]) -> Edit:
        """Give a MetaGraph other tags."""
        self._core.set_tags(_tag_set(tags), _tag_set(to))
        return self

    def clear_devices(self) -> Edit:
        """Remove the devices of all nodes, those in functions too, and of variables, in all MetaGraphs."""
        self._core.clear_devices()
        return self

    def drop_object_graph(self) -> Edit:
        """Remove what `tf.saved_model.load` makes Python objects of; it then finds signatures only."""
        self._core.drop_object_graph()
        return self

    def prune(self) -> Edit:
        """Remove what no signature needs: nodes, functions, variables, assets; and the object graph.

        What the init op and the restore do for the variables and tables that are needed stays. A node whose
        value is an input of a signature becomes a placeholder, if only signatures that are given it need it.
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
        """Write the SavedModel to `target`, and return what one should know of it, in sentences.

        It is there whole or not at all. `overwrite` replaces a SavedModel, or an empty directory.
        `format` is that of the file saved_model: binary, or text; None is the source's. Optimized graphs are
        left out, and recorded warm-up requests where the source's signatures, with their inputs and outputs,
        are not all there; the fingerprint is made anew. Raises AlreadyExistsError; InvalidArgumentError if
        `target` is the source, inside it or around it; NotFoundError or DataLossError if the source is not
        whole.
        """
        if format not in (None, "pb", "pbtxt"):
            raise ValueError(f"format is 'pb', 'pbtxt' or None, not {format!r}")
        return self._core.save(file_system_path(target), overwrite, format or "")


def _tag_set(tags: Iterable[str]) -> set[str]:
    if isinstance(tags, str):
        raise TypeError(f"tags is a set of strings, such as {{{tags!r}}}, got the string {tags!r}")
    given = set(tags)
    for tag in given:
        if not isinstance(tag, str):
            raise TypeError(f"tags is a set of strings, got {tag!r} in it")
    return given
