# SPDX-License-Identifier: Apache-2.0
"""Options of a load and of its runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from savedmodel import _core, _tensorflow


def _proto_bytes(proto: Any, what: str) -> bytes:
    if proto is None:
        return b""
    if isinstance(proto, bytes | bytearray | memoryview):
        return bytes(proto)
    if hasattr(proto, "SerializeToString"):
        serialized: bytes = proto.SerializeToString()
        return serialized
    raise TypeError(f"{what} must be a protocol buffer message or its bytes, got {type(proto).__name__}")


def _check(owner: str, options: object, name: str, types: type | tuple[type, ...]) -> None:
    value = getattr(options, name)
    wrong_bool = isinstance(value, bool) and types is not bool
    if value is not None and (wrong_bool or not isinstance(value, types)):
        raise TypeError(f"{owner}.{name} can't be {value!r} ({type(value).__name__})")


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """TensorFlow's session options. An option that is None keeps the value of `config` or TensorFlow."""

    inter_op_threads: int | None = None
    """Threads that run ops of one call concurrently. Setting it moves runs off the caller's thread."""
    gpu_memory_fraction: float | None = None
    """Share of each GPU's memory, 0 to 1. Process-wide; the process keeps it after close."""
    allow_growth: bool | None = None
    """Allocate GPU memory as needed. Process-wide."""
    visible_gpus: str | None = None
    """For example "0,2". Process-wide: to put models on different GPUs, load them with `device=`."""
    allow_soft_placement: bool | None = None
    """Use the CPU if a node's device, or a kernel for it, is missing (default: only with `device=`)."""
    log_device_placement: bool | None = None
    """Log the placement of each node to the logger "savedmodel.tensorflow", and to stdout."""
    xla: bool | None = None
    """Compile clusters of ops with XLA."""
    config: Any = None
    """A tensorflow.ConfigProto or its bytes: the base for all of the above. If it has
    intra_op_parallelism_threads, and the load no `threads`, the model runs on TensorFlow's shared pool."""

    def __post_init__(self) -> None:
        _check("SessionOptions", self, "inter_op_threads", int)
        _check("SessionOptions", self, "gpu_memory_fraction", (int, float))
        _check("SessionOptions", self, "visible_gpus", str)
        for name in ("allow_growth", "allow_soft_placement", "log_device_placement", "xla"):
            _check("SessionOptions", self, name, bool)
        if self.inter_op_threads is not None and not 0 <= self.inter_op_threads < 2**16:
            raise ValueError(
                f"SessionOptions.inter_op_threads must be 0 to 65535, got {self.inter_op_threads}"
            )
        if self.gpu_memory_fraction is not None and not 0 < self.gpu_memory_fraction <= 1:
            raise ValueError(
                "SessionOptions.gpu_memory_fraction must be above 0, and 1 at most, got "
                f"{self.gpu_memory_fraction}"
            )

    def _to_core(self) -> _core.SessionOptions:
        options = _core.SessionOptions()
        options.inter_op_threads = self.inter_op_threads
        options.gpu_memory_fraction = self.gpu_memory_fraction
        options.allow_growth = self.allow_growth
        options.visible_gpus = self.visible_gpus
        options.allow_soft_placement = self.allow_soft_placement
        options.log_device_placement = self.log_device_placement
        options.xla = self.xla
        options.config = _proto_bytes(self.config, "SessionOptions.config")
        return options

    @classmethod
    def from_text(cls, text: str) -> SessionOptions:
        """Options with a `config` in the text form of a tensorflow.ConfigProto.

        Raises InvalidArgumentError that names the line and column of a mistake.
        """
        _tensorflow.locate()
        return cls(config=_core.parse_session_config(text))

    def __getstate__(self) -> dict[str, Any]:
        # The receiver may be unable to import ConfigProto.
        return {
            **self.__dict__,
            "config": _proto_bytes(self.config, "SessionOptions.config") or None,
        }


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a run; in `load`, of its restore and init ops and of every later run."""

    timeout: float | None = None
    """Seconds, rounded up to a millisecond. Then DeadlineExceededError is raised; at once for 0 or less.
    In a load it must be above 0."""
    trace: bool = False
    """`Signature.run` returns (results, Trace). At the load, or beside `proto`, TensorFlow traces a session's
    run of the graph as loaded."""
    proto: Any = None
    """A tensorflow.RunOptions or its bytes: the base for the above."""

    def __post_init__(self) -> None:
        _check("RunOptions", self, "timeout", (int, float))
        _check("RunOptions", self, "trace", bool)

    def _proto_bytes(self) -> bytes:
        return _proto_bytes(self.proto, "RunOptions.proto")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "proto": self._proto_bytes() or None}
