"""What is loaded instead of the SavedModel: `python -m benchmarks.convert ort|openvino|savedmodel NAME`.

It runs in a child process; what the peers load is made once per model, and cached beside the SavedModel.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from .models import MODELS, ModelSpec, run_module

BATCH = "batch"  # the name of the first dimension in the ONNX model


def onnx_file(spec: ModelSpec) -> Path:
    return spec.folder / "model.onnx"


def ir_file(spec: ModelSpec) -> Path:
    return spec.folder / "openvino" / "model.xml"


def optimized_folder(spec: ModelSpec) -> Path:
    return spec.folder / "optimized"


FILES = {"ort": onnx_file, "openvino": ir_file, "savedmodel": optimized_folder}


def ensure_converted(kind: str, spec: ModelSpec) -> str | None:
    """Convert unless that is cached. Returns why it could not be done, or None."""
    # Ours is made anew: between releases, nothing tells that an older optimizer wrote it.
    if FILES[kind](spec).is_file():
        return None
    return run_module("benchmarks.convert", kind, spec.name)


def explain(error: Exception) -> str:
    """The summary at the end of OpenVINO's long reports, or all of the text."""
    text = str(error)
    summary = text.partition("Summary:")[2].partition("To facilitate")[0] or text
    return " ".join(summary.replace("-- ", "").split())


def replace_erfc(model: Any) -> None:
    """Erfc(x), which tf2onnx passes on though ONNX has no such op, becomes 1 - Erf(x)."""
    from onnx import TensorProto, helper

    nodes = []
    for node in model.graph.node:
        if node.op_type != "Erfc":
            nodes.append(node)
            continue
        one, erf = f"{node.name}/one", f"{node.name}/erf"
        nodes.append(
            helper.make_node("Constant", [], [one], value=helper.make_tensor(one, TensorProto.FLOAT, [], [1]))
        )
        nodes.append(helper.make_node("Erf", [node.input[0]], [erf]))
        nodes.append(helper.make_node("Sub", [one, erf], list(node.output)))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def to_onnx(spec: ModelSpec) -> None:
    """tf2onnx's command line, then two repairs: Erfc, and one name for the batch dimension."""
    import onnx
    from savedmodel._bench.runtime_onnx import convert

    target = onnx_file(spec)
    unfinished = target.with_name("unfinished.onnx")
    # String ops: onnxruntime-extensions.
    more = () if spec.only_float32 else ("--extra_opset", "ai.onnx.contrib:1")
    try:
        convert(str(spec.saved_model), ["serve"], "serving_default", unfinished, *more)
        model = onnx.load(unfinished)
        replace_erfc(model)
        for entry in model.graph.input:
            entry.type.tensor_type.shape.dim[0].dim_param = BATCH
        onnx.save(model, unfinished)
        unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)


def to_ir(spec: ModelSpec) -> None:
    import openvino

    target = ir_file(spec)
    unfinished = target.parent.with_name("unfinished-openvino")
    try:
        model = openvino.Core().read_model(str(spec.saved_model))
        openvino.save_model(model, str(unfinished / target.name), compress_to_fp16=False)
        unfinished.rename(target.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def to_optimized(spec: ModelSpec) -> None:
    import savedmodel as sm

    shutil.rmtree(optimized_folder(spec), ignore_errors=True)
    with sm.load(spec.saved_model) as model:
        model.save_optimized(optimized_folder(spec))


def main() -> int:
    kind, name = sys.argv[1:]
    try:
        {"ort": to_onnx, "openvino": to_ir, "savedmodel": to_optimized}[kind](MODELS[name])
    except Exception as error:
        print(f"{type(error).__name__}: {explain(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
