# SPDX-License-Identifier: Apache-2.0
"""The handle: called like a model, by whatever version serves."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

import numpy as np

from savedmodel._core import FailedPreconditionError, Signature, TensorSpec
from savedmodel._inspect import local_path
from savedmodel._load_arguments import LoadArguments, Unpack, WatchArguments
from savedmodel._mappings import Completed
from savedmodel._metrics import SignatureMetrics
from savedmodel._model import Model
from savedmodel._optimization import Optimization
from savedmodel._watch.status import VersionChange, WatchStatus
from savedmodel._watch.switcher import Switcher


class WatchedSignature:
    """A signature of whatever version serves: called, and run, as `Signature` is."""

    def __init__(self, watched: Watched, name: str) -> None:
        self._watched = watched  # which ends when nobody has it any more
        self._switcher = watched._switcher
        self.name = name

    @property
    def _current(self) -> Signature:
        return self._switcher.model.signatures[self.name]

    @property
    def method_name(self) -> str:
        return self._current.method_name

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        return self._current.inputs

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        return self._current.outputs

    def __call__(self, /, *args: Any, **kwargs: Any) -> dict[str, Any]:
        while True:
            model = self._switcher.model
            try:
                return model.signatures[self.name](*args, **kwargs)
            except FailedPreconditionError:
                if not _was_replaced(self._switcher, model):
                    raise

    def run(self, inputs: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """As `Signature.run`."""
        return _on_current(self._switcher, lambda model: model.signatures[self.name].run(inputs, **options))

    def submit(self, inputs: Mapping[str, Any] | None = None, **options: Any) -> Future[dict[str, Any]]:
        """As `Signature.submit`, on the version that serves now."""

        def submitted(model: Model) -> Future[dict[str, Any]]:
            future = model.signatures[self.name].submit(inputs, **options)
            if model.closed and future.done() and isinstance(future.exception(), FailedPreconditionError):
                future.result()  # raises it: the model was closed before the run
            return future

        return _on_current(self._switcher, submitted)

    async def run_async(self, inputs: Mapping[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """As `Signature.run_async`, on the version that serves now."""
        while True:
            model = self._switcher.model
            try:
                return await model.signatures[self.name].run_async(inputs, **options)
            except FailedPreconditionError:
                if not _was_replaced(self._switcher, model):
                    raise

    def explain(self, /, *args: Any, **kwargs: Any) -> dict[str, str]:
        return self._current.explain(*args, **kwargs)

    def __repr__(self) -> str:
        return repr(self._current)


class WatchedFunction:
    """A function of the saved object, of whatever version serves: called, and run, as `Function` is."""

    def __init__(self, watched: Watched, path: str) -> None:
        self._watched = watched
        self._switcher = watched._switcher
        self.path = path

    @property
    def concrete(self) -> tuple[Signature, ...]:
        """The traces of the version that serves now."""
        return _on_current(self._switcher, lambda model: model.functions[self.path].concrete)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.run(args, kwargs)

    def run(
        self,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> Any:
        """As `Function.run`."""
        return _on_current(
            self._switcher, lambda model: model.functions[self.path].run(args, kwargs, timeout=timeout)
        )

    def __repr__(self) -> str:
        return _on_current(self._switcher, lambda model: repr(model.functions[self.path]))


_Handle = TypeVar("_Handle")
_Result = TypeVar("_Result")


class _OfCurrent(Completed[_Handle]):
    """What the model that serves has by name."""

    def __init__(
        self,
        watched: Watched,
        make: Callable[[Watched, str], _Handle],
        choose: Callable[[Model], Mapping[str, Any]],
    ) -> None:
        self._watched = watched
        self._make = make
        self._choose = choose

    def _read(self, read: Callable[[Mapping[str, Any]], Any]) -> Any:
        return _on_current(self._watched._switcher, lambda model: read(self._choose(model)))

    def __getitem__(self, name: str) -> _Handle:
        self._read(lambda named: named[name])  # its KeyError says what there is
        return self._make(self._watched, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._read(list))

    def __len__(self) -> int:
        return int(self._read(len))

    def __repr__(self) -> str:
        return str(self._read(repr))


def _was_replaced(switcher: Switcher, model: Model) -> bool:
    """Whether a call came to its model only after the switch, when it was closed already."""
    return model.closed and model is not switcher.model


def _on_current(switcher: Switcher, run: Callable[[Model], _Result]) -> _Result:
    """The two `__call__`, where each microsecond counts, have this written out."""
    while True:
        model = switcher.model
        try:
            return run(model)
        except FailedPreconditionError:
            if not _was_replaced(switcher, model):
                raise


class Watched:
    """The newest version of a model: made by `watch`, called like a model, from any number of threads.

    A call runs on one version, from its beginning to its end. Two calls may run on different ones.
    Use it in a `with` block, call `close`, or let it be collected.
    """

    def __init__(self, switcher: Switcher) -> None:
        self._switcher = switcher
        # The thread knows the switcher only, and ends when this object is collected.
        weakref.finalize(self, switcher.end).atexit = False
        self._thread = threading.Thread(target=switcher.run, name="savedmodel watch", daemon=True)
        self._thread.start()
        _watching[self._thread] = switcher

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the default signature: 'serving_default', or the only one there is; or, of a model that has
        none, the saved object's `__call__`."""
        while True:
            model = self._switcher.model
            try:
                return model(*args, **kwargs)
            except FailedPreconditionError:
                if not _was_replaced(self._switcher, model):
                    raise

    def run(self, fetches: Any = None, feeds: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Fetch any tensors of the graph by name, as `Model.run`."""
        return _on_current(self._switcher, lambda model: model.run(fetches, feeds, **options))

    @property
    def signatures(self) -> Mapping[str, WatchedSignature]:
        """The signatures by name, of whatever version serves. They can be kept."""
        return _OfCurrent(self, WatchedSignature, lambda model: model.signatures)

    @property
    def functions(self) -> Mapping[str, WatchedFunction]:
        """The functions of the saved object, as `Model.functions`, of whatever version serves. They can be
        kept."""
        return _OfCurrent(self, WatchedFunction, lambda model: model.functions)

    @property
    def variables(self) -> Mapping[str, np.ndarray[Any, np.dtype[Any]]]:
        """The variables of the version that serves now, as `Model.variables`."""
        return _on_current(self._switcher, lambda model: model.variables)

    @property
    def optimization(self) -> list[Optimization]:
        """What was done to the graphs of the version that serves now, as `Model.optimization`."""
        return _on_current(self._switcher, lambda model: model.optimization)

    @property
    def tags(self) -> tuple[str, ...]:
        """The tag set, sorted."""
        return self._switcher.model.tags

    def metrics(self) -> tuple[SignatureMetrics, ...]:
        """The calls of the version that serves now, as `Model.metrics`."""
        return _on_current(self._switcher, lambda model: model.metrics())

    @property
    def version(self) -> int:
        """The version that serves."""
        return self._switcher.status().version

    @property
    def path(self) -> str:
        """The directory of the version that serves."""
        return self._switcher.status().path

    @property
    def status(self) -> WatchStatus:
        """The version that serves, those that failed, and what goes on."""
        return self._switcher.status()

    def refresh(self) -> int:
        """Look for a newer version now, wait until it is loaded, and return the version that serves.

        What goes wrong is reported as ever.
        """
        self._switcher.look()
        return self.version

    @property
    def closed(self) -> bool:
        return self._switcher.status().closed

    def close(self) -> None:
        """Wait for running calls, then free all. Calls after it raise FailedPreconditionError."""
        self._switcher.close()
        if self._thread is not threading.current_thread():
            self._thread.join()
        _watching.pop(self._thread, None)

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __copy__(self) -> Watched:
        return self  # any number of users may share it

    def __deepcopy__(self, memo: dict[int, Any]) -> Watched:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a Watched can't be pickled: pass the directory, and call watch there")

    def _repr_html_(self) -> str:
        return f"<p>version {self.version}</p>{self._switcher.model._repr_html_()}"

    def __repr__(self) -> str:
        status = self.status
        state = "closed" if status.closed else f"version {status.version}"
        return f"<savedmodel.Watched {os.path.dirname(status.path)!r}, {state}>"


_watching: weakref.WeakKeyDictionary[threading.Thread, Switcher] = weakref.WeakKeyDictionary()


@atexit.register
def _end_threads() -> None:
    """A load must not go on while the libraries that it runs in are torn down."""
    for thread, switcher in [*_watching.items()]:
        if thread.is_alive():  # not after a fork
            switcher.exiting = True
            switcher.end()
            thread.join()


def _make_ready(model: Model) -> None:
    """The first call would do it otherwise; recorded requests have done it."""
    if not model.warmed_up:
        model.prepare()


def watch(
    directory: str | os.PathLike[str],
    *,
    poll: float = 1.0,
    warmup: bool | Callable[[Model], object] = True,
    on_change: Callable[[VersionChange], object] | None = None,
    **load_options: Unpack[WatchArguments],
) -> Watched:
    """Load the newest version of a model, and replace it when there is a newer one.

    A newer version is loaded and warmed up by a thread; then calls take it, those that run finish on the old
    one, and that is closed. Until then there is memory for two. One that can't be loaded, or warmed up,
    changes nothing: it is reported (`status`, a warning to the logger "savedmodel.watch", `on_change`) and
    left alone until its files change. At the start, the newest one that can be loaded serves. If the folder
    of the one that serves is taken away, the next lower one replaces it. One that a rollback withdrew is
    passed over.

    directory: in TensorFlow Serving's layout, `directory/<integer>/`.
    poll: seconds between two looks at the directory.
    warmup: True replays the recorded requests (`load`), or, if there are none, makes each signature ready, or
        `__call__`, where there is none, so that no call waits for it; or a function of the model, which may
        call it, and refuses a version by raising an exception.
    on_change: called with a VersionChange after each switch, the first one too, and each failure, in their
        order; by the watching thread, or one that calls `watch` or `refresh`. What it raises is logged.
    load_options: as `load` has them.

    A version that serves has a lock, so that `remove_old_versions` on the same host leaves it alone.
    Raises what the load of the newest version raises if none can be loaded; NotFoundError if there is none.
    """
    if not 0 < poll < float("inf"):
        raise ValueError(f"poll must be a positive number of seconds, got {poll!r}")
    if not (isinstance(warmup, bool) or callable(warmup)):
        raise TypeError(f"warmup must be True, False or a function of the model, got {warmup!r}")
    if on_change is not None and not callable(on_change):
        raise TypeError(f"on_change must be a function or None, got {on_change!r}")
    if warmup is True:
        warm_up: Callable[[Model], object] = _make_ready
    else:
        warm_up = warmup or (lambda model: None)
    options: LoadArguments = {**load_options, "warmup": warmup is True}
    switcher = Switcher(local_path(directory), warm_up, on_change, options)
    switcher.start(poll)
    return Watched(switcher)
