# SPDX-License-Identifier: Apache-2.0
"""load() and Model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, overload

import numpy as np

from savedmodel import _core, _metrics, _op_libraries, _repr, _tensorflow, _verify
from savedmodel._core import Signature
from savedmodel._functions import Function, Functions
from savedmodel._inspect import file_system_path
from savedmodel._load_arguments import LoadArguments, Unpack, check_type, complete, show_load_arguments
from savedmodel._mappings import Named, Variables
from savedmodel._metrics import SignatureMetrics
from savedmodel._ops import op_list
from savedmodel._optimization import Optimization
from savedmodel._options import RunOptions, SessionOptions
from savedmodel._trace import Trace

Array = np.ndarray[Any, np.dtype[Any]]


def _core_options(arguments: LoadArguments) -> _core.LoadOptions:
    options = _core.LoadOptions()
    options.tags = set(arguments["tags"])
    options.device = arguments["device"] or ""
    options.threads = arguments["threads"] or 0
    options.set_optimize(arguments["optimize"])
    options.float32_layers = set(arguments["float32_layers"])
    options.session = (arguments["session"] or SessionOptions())._to_core()
    run = arguments["run"] or RunOptions()
    options.set_run(run.timeout, run.trace, run._proto_bytes())
    options.counters = arguments["metrics"]
    options.op_libraries = _op_libraries.find_op_libraries(arguments["op_libraries"])
    cache = arguments["cache"]
    if isinstance(cache, bool):
        options.cache = _core.default_cache_directory() if cache else ""
    elif cache is not None:
        options.cache = file_system_path(cache)
    if arguments["ops"] == "safe":
        listed = op_list()
        refused = {op: f"{category}: {reason}" for op, (category, reason) in listed.harmful.items()}
        options.set_op_rules(refused, set(listed.known))
    return options


def load_options(given: LoadArguments) -> tuple[LoadArguments, _core.LoadOptions]:
    """The arguments of `load`, checked and complete; and the core's. Raises TypeError or ValueError."""
    arguments = complete(given)
    _tensorflow.locate()
    return arguments, _core_options(arguments)


class Model:
    """A loaded SavedModel, made by `load`. Call it like a function; close it when no longer needed.

    Any number of threads may call it. Use it in a `with` block, call `close`, or let it be garbage-collected;
    results stay valid after it. `copy.copy` gives the same model. A pickle is its path and arguments, and
    loads it anew.
    """

    @show_load_arguments
    def __init__(self, path: str | os.PathLike[str], **arguments: Unpack[LoadArguments]) -> None:
        self._arguments, options = load_options(arguments)
        self._set(_core.load(file_system_path(path), options))
        self._check()

    @classmethod
    def _of(cls, core: _core.Model, arguments: LoadArguments) -> Model:
        """What the core has loaded, not checked yet."""
        model = cls.__new__(cls)
        model._arguments = arguments
        model._set(core)
        return model

    def _set(self, core: _core.Model) -> None:
        self._core = core
        self._trace_by_default = (self._arguments["run"] or RunOptions()).trace
        self.signatures: Mapping[str, Signature] = Named(
            "signature", {name: Signature(self._core, name) for name in self._core.signatures}
        )
        """The signatures by name, sorted; the init-op signature is hidden."""
        self._default = self.signatures.get(self._core.default_signature)
        self._functions = Functions(self._core)
        self.verified: dict[str, str] = {}
        """With `verify=True`: for each signature, or trace of `__call__`, why it was not compared; "" if
        it was."""
        self.warmed_up = 0
        """With `warmup=True`: the number of replayed requests."""

    def _check(self) -> None:
        if self._arguments["verify"]:
            self.verified = _verify.verify(self, self._arguments["optimize"])
        if self._arguments["warmup"]:
            from savedmodel._warmup import replay

            self.warmed_up = replay(self._core)
            if not self.warmed_up:
                self.prepare()

    def metrics(self) -> tuple[SignatureMetrics, ...]:
        """What the calls of each signature came to, if the model was loaded with `metrics=True`.

        `savedmodel.prometheus` has them for Prometheus. Raises FailedPreconditionError for a model that does
        not count.
        """
        return _metrics.read(self._core)

    @property
    def path(self) -> str:
        """The directory that it was loaded from."""
        return self._core.path

    @property
    def tags(self) -> tuple[str, ...]:
        """The tag set, sorted."""
        return tuple(sorted(self._arguments["tags"]))

    @property
    def functions(self) -> Mapping[str, Function]:
        """The functions of a TF2 saved object that are not signatures, by attribute path: "__call__",
        "encoder.call". Any path finds a function; the shortest is listed."""
        return self._functions

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the default signature: 'serving_default', or the only one.

        A model without signatures runs the saved object's `__call__`, and returns its result.
        """
        if self._default is None:
            if not self.signatures and "__call__" in self.functions:
                return self.functions["__call__"](*args, **kwargs)
            known = ", ".join(map(repr, self.signatures)) or "none"
            if not self.signatures and self.functions:
                known += f", or one of its functions: {', '.join(map(repr, self.functions))}"
            raise TypeError(f"the model has no default signature; call one of its signatures: {known}")
        return self._default(*args, **kwargs)

    @overload
    def run(
        self,
        fetches: str,
        feeds: Mapping[str, Any] | None = None,
        *,
        targets: str | Sequence[str] = (),
        timeout: float | None = None,
        trace: Literal[False] | None = None,
    ) -> Array: ...

    @overload
    def run(
        self,
        fetches: list[str] | tuple[str, ...],
        feeds: Mapping[str, Any] | None = None,
        *,
        targets: str | Sequence[str] = (),
        timeout: float | None = None,
        trace: Literal[False] | None = None,
    ) -> list[Array]: ...

    @overload
    def run(
        self,
        fetches: None = None,
        feeds: Mapping[str, Any] | None = None,
        *,
        targets: str | Sequence[str],
        timeout: float | None = None,
        trace: Literal[False] | None = None,
    ) -> None: ...

    @overload
    def run(
        self,
        fetches: str | Sequence[str] | None = None,
        feeds: Mapping[str, Any] | None = None,
        *,
        targets: str | Sequence[str] = (),
        timeout: float | None = None,
        trace: Literal[True],
    ) -> tuple[Any, Trace]: ...

    @overload
    def run(
        self,
        fetches: str | Sequence[str] | None = None,
        feeds: Mapping[str, Any] | None = None,
        *,
        targets: str | Sequence[str] = (),
        timeout: float | None = None,
        trace: bool | None = None,
    ) -> Any: ...

    def run(
        self,
        fetches: str | Sequence[str] | None = None,
        feeds: Mapping[str, Any] | None = None,
        *,
        targets: str | Sequence[str] = (),
        timeout: float | None = None,
        trace: bool | None = None,
    ) -> Any:
        """Fetch any tensors of the graph by name, like the run of a TensorFlow session.

        fetches: a tensor name ("dense/BiasAdd:0"; ":0" may be omitted) or a sequence of them. The result is
            an array, or a list of them; None with `targets` alone.
        feeds: values by tensor name.
        targets: ops that are run for their side effects, such as "train_op".
        timeout: seconds.
        The last 64 sets of fetches, feeds and targets are kept ready.
        """
        only_targets = fetches is None
        targets = [targets] if isinstance(targets, str) else list(targets)
        if fetches is None:
            fetches = []
        if isinstance(fetches, bytes):
            raise TypeError(f"fetches must be a tensor name or a sequence of them, got {fetches!r}")
        names = [fetches] if isinstance(fetches, str) else list(fetches)
        if not names and not targets:
            raise ValueError("fetches is empty; name a tensor to fetch, or targets to run")
        if feeds is None:
            feeds = {}
        if not isinstance(feeds, Mapping):
            raise TypeError(f"feeds must be a dict of values by tensor name, got {type(feeds).__name__}")
        for name in (*names, *feeds, *targets):
            if not isinstance(name, str):
                raise TypeError(f"names of tensors and ops must be strings, got {name!r}")
        collected = Trace() if (self._trace_by_default if trace is None else trace) else None
        values = self._core.run_tensors(
            names, list(feeds), targets, tuple(feeds.values()), timeout, collected, b""
        )
        results: Any = values[0] if isinstance(fetches, str) else list(values)
        if only_targets:
            results = None
        return results if collected is None else (results, collected)

    @property
    def variables(self) -> Mapping[str, Array]:
        """The variables by the graph's name, each read on access; read-only views on a CPU."""
        return Variables(self._core)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights in memory: variables, constants of functions that were made ready, and packed
        copies. 0 once the model is closed."""
        return self._core.weight_bytes()

    @property
    def devices(self) -> tuple[str, ...]:
        """The full names of the devices that the session can use."""
        return tuple(self._core.devices())

    @property
    def placement(self) -> dict[str, int]:
        """Nodes per device, of the graph and of the functions that it calls.

        TensorFlow's placer computes it from the files on disk, anew at each access.
        """
        return self._core.placement()

    @property
    def optimization(self) -> list[Optimization]:
        """What was done to the graph of each signature, or of each trace of `__call__` if there are no
        signatures, in their order. Then follow other functions that were called.

        Reading it optimizes nothing: `why_not` of a function that was not called says so.
        """
        return [Optimization._of(report) for report in self._core.optimization()]

    def prepare(self) -> list[Optimization]:
        """Make the signatures, or the traces of `__call__`, ready, as their first calls would.

        Returns `optimization`. `why_not` of a function that can't be made ready is its error.
        """
        return [Optimization._of(report) for report in self._core.prepare()]

    def save_variables(self, path: str | os.PathLike[str], *, saved_model: bool = False) -> None:
        """Write the current values of the variables with the model's own saver (which saves tables, too).

        path: a directory that must not exist (AlreadyExistsError), written as a whole or not at all. It
            becomes a checkpoint, which `tf.train.load_checkpoint(path)` reads, or, with `saved_model`, a copy
            of the SavedModel with these values. Concurrent runs should not write variables.
        Raises FailedPreconditionError if the model has no saver.
        """
        check_type("saved_model", saved_model, bool)
        self._core.save_variables(file_system_path(path), saved_model)

    def save_optimized(self, path: str | os.PathLike[str], *, functions: Iterable[str] | None = None) -> None:
        """Copy the SavedModel to `path`, and add its optimized graphs below `assets.extra/savedmodel`.

        The copy is otherwise unchanged, for TensorFlow too. A later load with the same `optimize`, `tags` and
        `session`, TensorFlow and kind of CPU uses the optimized graphs. It maps their weights into memory
        (processes share them) and reads the variables only when something needs them. Any other load ignores
        them, and `model.optimization` says why. If the weights change, save again.

        path: a directory that must not exist (AlreadyExistsError), written as a whole or not at all; or the
            model's own, to which the graphs are added.
        functions: paths of the functions to save besides the signatures. None means all of `model.functions`,
            or, if these have more than 32 traces (Keras 2 has some for each layer), only those of the object
            itself: "__call__", but not "encoder.call". Others are optimized when they are called.
        Raises FailedPreconditionError if there is nothing to save: `optimize="none"`, `device=`, or no
        signature or function that could be optimized; KeyError for an unknown function.
        """
        if isinstance(functions, str):
            raise TypeError(f"functions must be a list of paths, such as [{functions!r}], got a string")
        chosen = None if functions is None else list(functions)
        self._core.save_optimized(file_system_path(path), chosen, False)

    @property
    def closed(self) -> bool:
        return self._core.closed

    def close(self) -> None:
        """Wait for running calls, then free the session. Later calls raise FailedPreconditionError."""
        self._core.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __copy__(self) -> Model:
        return self  # any number of users may share it

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # The receiver loads it anew, because a session can't be pickled.
        return _reload, (self.path, self._arguments)

    def __repr__(self) -> str:
        return _repr.model_text(self)

    def _repr_html_(self) -> str:
        return _repr.model_html(self)


def _reload(path: str, arguments: LoadArguments) -> Model:
    return load(path, **arguments)


@show_load_arguments
def load(path: str | os.PathLike[str], **arguments: Unpack[LoadArguments]) -> Model:
    """Load a SavedModel through TensorFlow's C++ loader.

    path: the directory with saved_model.pb (or .pbtxt, .cpb).
    tags: the exact tag set of the MetaGraph; () is the empty one.
    device: the device of every node that has none: "cpu", "gpu", "gpu:1", "/device:CPU:1".
    threads: intra-op threads of this model, including the caller; they start when first needed. None means
        one for each CPU that this process may use, or TensorFlow's own pool, which the process shares, if the
        session's config has intra_op_parallelism_threads.
    optimize: "none" runs the graph as TensorFlow does. "default" freezes variables that are never written,
        folds constants and fuses layers (float32 as before, equal to within rounding). "bf16" also runs
        matrix products and convolutions in bfloat16. "int8" also runs dense layers and convolutions in int8
        where that is faster: weights are rounded per output column, inputs per row or window as they come,
        without calibration (`quantize` makes a copy that stays as close as asked). `model.optimization` says
        what was done.
    float32_layers: with "int8", layers that stay float32, by the names in `Optimization.int8_layers`.
    verify: run each optimized signature, or `__call__` if there are none, once on generated inputs (seeded;
        unknown sizes are 2), with and without the optimizer. Raise InternalError if the results differ by
        more than 1e-4 of the output's largest value ("bf16": 0.1, "int8": 0.2). `model.verified` says what
        could not be compared.
    session, run: TensorFlow's options; `run` applies to the restore and init ops and to every later run.
    op_libraries: shared libraries with custom ops, or names of installed packages that have some, such as
        "tensorflow_text". They stay registered in the process.
    ops: "safe" refuses a graph with ops that reach beyond its computation (files, network, processes, Python,
        memory, foreign code) or that are unknown, as `scan` lists them, before any part of the model runs.
        Ops that the loader itself needs are allowed. Optimized graphs beside the model are then ignored.
    cache: a directory that keeps optimized functions and their weights, so that later loads of the same model
        neither optimize nor read variables. True is the user's cache directory. It takes at most 8 GB, and
        processes may share it. The model's files have to stay as they are while it is loaded. None takes the
        directory from the environment variable SAVEDMODEL_CACHE ("1": the user's), if it is set.
    metrics: count calls and their durations (`Model.metrics`, `savedmodel.prometheus`): some 10 ns a call.
    warmup: before the model is returned, replay the requests of `assets.extra/tf_serving_warmup_requests`,
        TensorFlow Serving's file, which `record_warmup` writes. A request that fails is an error. Without
        requests, make all signatures ready (`Model.prepare`).

    Raises Error's subclasses: NotFoundError (no SavedModel, no such tags, a file is missing), DataLossError
    (corrupted), OutOfRangeError (truncated), InvalidArgumentError (no such device, ...),
    PermissionDeniedError (`ops="safe"`; a cache that other users may write to).
    TensorFlow's errors keep TensorFlow's own message.
    """
    return Model(path, **arguments)
