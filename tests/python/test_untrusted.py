"""Models that TensorFlow would end the process on, or never come back from: refused, with the reason."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import savedmodel as sm

from .commands import in_terminal, savedmodel, visible, widest
from .graphs import CALL, STRINGS, function, node, save

SHAPE = (
    'attr {{ key: "dtype" value {{ type: DT_FLOAT }} }}'
    'attr {{ key: "shape" value {{ shape {{ dim {{ size: {size} }} }} }} }}'
)
FLOATS = 'attr { key: "T" value { type: DT_FLOAT } }'
CALLS = 40
"""Functions that each call the next one twice: 2 ** 40 nodes when inlined."""


def const(name: str, tensor: str, dtype: str = "DT_FLOAT") -> str:
    return f"""
        node {{ name: "{name}" op: "Const"
          attr {{ key: "dtype" value {{ type: {dtype} }} }}
          attr {{ key: "value" value {{ tensor {{ {tensor} }} }} }} }}
    """


def shaped(*sizes: int) -> str:
    dims = " ".join(f"dim {{ size: {size} }}" for size in sizes)
    return const("c", f"dtype: DT_FLOAT tensor_shape {{ {dims} }} float_val: 1") + node(
        "i", "Identity", "c", attributes=FLOATS
    )


def variable(dtype: int) -> str:
    attribute = f'attr {{ key: "dtype" value {{ type: {dtype} }} }}'
    return node("v", "VarHandleOp", attributes=attribute + 'attr { key: "shape" value { shape {} } }') + node(
        "i", "ReadVariableOp", "v", attributes=attribute
    )


def twice(number: int) -> str:
    call = CALL.format(name=f"f{number + 1}")
    return function(
        f"f{number}",
        node("a1", "PartitionedCall", "a", attributes=call)
        + node("a2", "PartitionedCall", "a1:output:0", attributes=call),
        "a2:output:0",
    )


CHAIN = "".join(map(twice, range(CALLS))) + function(
    f"f{CALLS}", node("i", "Identity", "a", attributes=STRINGS), "i:output:0"
)

REFUSED = {
    "a data type that is none": (
        const("c", "dtype: 77 tensor_shape {}", "77")
        + node("i", "Identity", "c", attributes=FLOATS.replace("DT_FLOAT", "77")),
        "node 'c': its attribute '(dtype|value)' has the data type 77, which TensorFlow does not have",
    ),
    "an attribute with a type of references": (
        variable(128),
        "node 'v': its attribute 'dtype' has a type of references",
    ),
    "a constant of another type": (
        const("c", "dtype: DT_INT32 tensor_shape {} int_val: 1")
        + node("i", "Identity", "c", attributes=FLOATS),
        "node 'c': its value is int32, and its attribute 'dtype' float",
    ),
    "more elements than can be counted": (
        shaped(1 << 31, 1 << 31, 1 << 31),
        "a shape of more elements than any machine has bytes",
    ),
    "too many dimensions": (shaped(*[1] * 300), "a tensor of 300 dimensions"),
    "a constant larger than the memory": (shaped(1 << 46), "GB, more than the machine's memory"),
    "a placeholder larger than all memory": (
        node("p", "Placeholder", attributes=SHAPE.format(size=1 << 62)) + node("i", "Identity", "p"),
        "node 'p': its attribute 'shape' has a shape of more elements",
    ),
    "a note of a shape larger than all memory": (
        node(
            "i",
            "Identity",
            "x",
            attributes=STRINGS
            + 'attr { key: "_output_shapes" value { list { shape { dim { size: 9223372036854775807 } } } } }',
        ),
        "node 'i': its attribute '_output_shapes' has a shape of more elements",
    ),
    "a loop without its body": (
        node(
            "i",
            "While",
            "x",
            attributes='attr { key: "T" value { list { type: DT_STRING } } }'
            'attr { key: "cond" value { func { name: "lost" } } }'
            'attr { key: "body" value { func { name: "lost" } } }',
        ),
        "node 'i': it calls the function 'lost', which is not there",
    ),
    "a full type that is not one for each output": (
        node("i", "Identity", "x", attributes=STRINGS + "experimental_type { type_id: TFT_ARRAY }"),
        "node 'i': its full type does not have a type for each of its outputs",
    ),
    "a full type of too few outputs": (
        node("i", "Identity", "x", attributes=STRINGS + "experimental_type { type_id: TFT_PRODUCT }"),
        "node 'i': its full type does not have a type for each of its outputs",
    ),
    "an axis that is not one number": (
        const("axis", "dtype: DT_INT32 tensor_shape { dim { size: 2 } } int_val: 0", "DT_INT32")
        + node(
            "i",
            "ConcatV2",
            "x",
            "x",
            "axis",
            attributes=STRINGS + 'attr { key: "N" value { i: 2 } }',
        ),
        "node 'i': its axis 'axis' is not one number",
    ),
    "a choice that there is not": (
        node(
            "i",
            "BiasAdd",
            "x",
            "x",
            attributes=STRINGS + 'attr { key: "data_format" value { s: "?" } }',
        ),
        "node 'i': its attribute 'data_format' has a value that BiasAdd does not allow",
    ),
    "an attribute of another kind": (
        node(
            "i",
            "MatMul",
            "x",
            "x",
            attributes=STRINGS + 'attr { key: "transpose_a" value { func { name: "f" } } }',
        ),
        "node 'i': its attribute 'transpose_a' is no bool",
    ),
    "an attribute that is not there": (
        node("i", "MaxPool", "x", attributes=STRINGS + 'attr { key: "ksize" value { list { i: 1 } } }'),
        "node 'i': its attribute 'strides' is not there",
    ),
    "a list without end": (
        node("i", "Pack", "x", attributes=STRINGS + 'attr { key: "N" value { i: 2147483647 } }'),
        "node 'i': it has 1 inputs, and its attribute 'N' counts 2147483647",
    ),
    "an input too few": (
        node("i", "AddV2", "x", attributes=STRINGS),
        "node 'i': it has 1 inputs, and AddV2 takes 2",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_would_end_the_process_is_refused(tmp_path: Path, kind: str) -> None:
    nodes, said = REFUSED[kind]
    path = save(tmp_path / "m", nodes, output="i:0")
    with pytest.raises(sm.InvalidArgumentError, match=said) as caught:
        sm.load(path)
    assert str(path) in str(caught.value)


def test_functions_are_looked_at_too(tmp_path: Path) -> None:
    library = function(
        "f",
        const("c", "dtype: 77 tensor_shape {}", "77") + node("i", "Identity", "a", attributes=STRINGS),
        "i:output:0",
    )
    call = node("i", "PartitionedCall", "x", attributes=CALL.format(name="f"))
    path = save(tmp_path / "m", call, output="i:0", library=library)
    with pytest.raises(sm.InvalidArgumentError, match="node 'c' of function 'f'"):
        sm.load(path)


def test_an_attribute_of_a_function_is_no_value(tmp_path: Path) -> None:
    """The function's caller says which of the choices it is."""
    placeholder = 'attr { key: "errors" value { placeholder: "errors" } }'
    encodings = "".join(
        f'attr {{ key: "{name}" value {{ s: "UTF-8" }} }}' for name in ("input_encoding", "output_encoding")
    )
    library = function(
        "f", node("t", "UnicodeTranscode", "a", attributes=encodings + placeholder), "t:output:0"
    ).replace("signature {", 'signature { attr { name: "errors" type: "string" }', 1)
    given = CALL.format(name="f").replace(
        'name: "f"', 'name: "f" attr { key: "errors" value { s: "ignore" } }'
    )
    call = node("i", "PartitionedCall", "x", attributes=given)
    with sm.load(save(tmp_path / "m", call, output="i:0", library=library)) as model:
        assert model.signatures["serving_default"].run({"x": b"a\xff"})["y"] == b"a"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("Tin", "node 'i': it does not have the inputs of the function 'f'"),
        ("Tout", "node 'i': it does not have the outputs of the function 'f'"),
    ],
)
def test_calls_that_do_not_fit_are_refused(tmp_path: Path, change: str, said: str) -> None:
    two = f'attr {{ key: "{change}" value {{ list {{ type: DT_STRING type: DT_STRING }} }} }}'
    one = two.replace("type: DT_STRING type: DT_STRING", "type: DT_STRING")
    attributes = CALL.format(name="f")
    assert one in attributes
    inputs = ["x", "x"] if change == "Tin" else ["x"]
    call = node("i", "PartitionedCall", *inputs, attributes=attributes.replace(one, two))
    library = function("f", node("o", "Identity", "a", attributes=STRINGS), "o:output:0")
    with pytest.raises(sm.InvalidArgumentError, match=said):
        sm.load(save(tmp_path / "m", call, output="i:0", library=library))


def test_calls_without_end_are_refused(tmp_path: Path) -> None:
    call = node("i", "PartitionedCall", "x", attributes=CALL.format(name="f0"))
    path = save(tmp_path / "m", call, output="i:0", library=CHAIN)
    with pytest.raises(sm.InvalidArgumentError, match=r"node 'i': .* the graph has no end"):
        sm.load(path)
    # Nothing of it is run if nothing calls it.
    unused = save(
        tmp_path / "unused", node("i", "Identity", "x", attributes=STRINGS), output="i:0", library=CHAIN
    )
    assert sm.load(unused).signatures["serving_default"].run({"x": b"1"})["y"] == b"1"


# `savedmodel check`.


def aborts(path: Path) -> Path:
    """A model that loads, and whose call makes TensorFlow abort: a shape is computed, and overflows."""
    sizes = const(
        "sizes",
        "dtype: DT_INT64 tensor_shape { dim { size: 2 } } int64_val: 1099511627776 int64_val: 1099511627776",
        "DT_INT64",
    )
    value = const("value", "dtype: DT_FLOAT tensor_shape {} float_val: 1")
    index = 'attr { key: "index_type" value { type: DT_INT64 } }'
    return save(
        path, sizes + value + node("i", "Fill", "sizes", "value", attributes=FLOATS + index), output="i:0"
    )


def endless(path: Path) -> Path:
    """A model whose call never ends: while true."""
    text = 'attr { key: "T" value { list { type: DT_STRING } } }'
    names = "".join(
        f'attr {{ key: "{one}" value {{ func {{ name: "{one}" }} }} }}' for one in ("cond", "body")
    )
    true = const("t", "dtype: DT_BOOL tensor_shape {} bool_val: true", "DT_BOOL")
    cond = function("cond", true, "t:output:0").replace(
        'output_arg { name: "r" type: DT_STRING }', 'output_arg { name: "r" type: DT_BOOL }'
    )
    body = function("body", node("i", "Identity", "a", attributes=STRINGS), "i:output:0")
    return save(path, node("w", "While", "x", attributes=text + names), output="w:0", library=cond + body)


def test_a_sound_model_loads_and_runs(models: Path) -> None:
    for options in ((), ("--isolated",)):
        done = savedmodel("check", models / "mlp", *options, "--run")
        assert (done.returncode, done.stderr) == (0, "")
        assert (
            done.stdout == f"{models / 'mlp'}: loads\n  serving_default: runs\n" or widest(done.stdout) <= 80
        )


def test_a_crash_is_told(tmp_path: Path) -> None:
    path = aborts(tmp_path / "m")
    assert savedmodel("check", path, "--isolated").returncode == 0  # it is the call that crashes
    done = savedmodel("check", path, "--isolated", "--run", "--json")
    assert done.returncode == 1
    load, call = json.loads(done.stdout)["steps"]
    assert load["outcome"] == "done"
    assert (call["signature"], call["outcome"], call["text"]) == (
        "serving_default",
        "crashed",
        "signal 6, SIGABRT",
    )
    assert "Check failed" in "\n".join(call["lines"])
    status, text = in_terminal("check", path, "--isolated", "--run")
    assert status == 1
    assert "serving_default: crashed: signal 6, SIGABRT" in visible(text)
    assert "Check failed" in " ".join(visible(text).split())


def test_a_hang_is_told(tmp_path: Path) -> None:
    done = savedmodel("check", endless(tmp_path / "m"), "--isolated", "--run", "--timeout", "15")
    assert done.returncode == 1
    assert "hung: no answer for 15 s" in done.stdout


@pytest.mark.parametrize("options", [(), ("--isolated",)])
def test_a_refusal_is_told(models: Path, options: tuple[str, ...]) -> None:
    done = savedmodel("check", models / "bad_truncated_pb", *options)
    assert done.returncode == 1
    assert "bad_truncated_pb: refused: " in " ".join(done.stdout.split())
    assert "corrupted" in " ".join(done.stdout.split())


def test_memory_is_limited(models: Path) -> None:
    done = savedmodel("check", models / "mlp", "--isolated", "--memory", "0.02")
    assert done.returncode == 1
    assert re.search(r"refused|crashed", done.stdout)


def test_mistakes_have_the_status_2(models: Path, tmp_path: Path) -> None:
    assert savedmodel("check", tmp_path / "none").returncode == 2
    assert savedmodel("check", models / "mlp", "--timeout", "0").returncode == 2
