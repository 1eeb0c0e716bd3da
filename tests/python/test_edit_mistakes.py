"""What `Edit` refuses: errors name what is wrong, list near names, and nothing has changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import savedmodel as sm

from .editing import BODY
from .graphs import STRINGS, function, node, save
from .helpers import run_python


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda e: e.remove_signature("serving_defualt"), KeyError, "did you mean 'serving_default'"),
        (lambda e: e.remove_signature("zzz"), KeyError, "there are: 'serving_default'"),
        (lambda e: e.remove_signature("__saved_model_init_op"), KeyError, "no signature"),
        (lambda e: e.rename_signature("serving_default", ""), ValueError, "empty"),
        (lambda e: e.keep_outputs("serving_default", ["prob"]), KeyError, "did you mean 'probs'"),
        (lambda e: e.keep_outputs("serving_default", []), ValueError, "no output"),
        (lambda e: e.add_outputs("serving_default", {"h": "Relu_1"}), KeyError, f"'{BODY}/Relu_1'"),
        (lambda e: e.add_outputs("serving_default", {"h": "MAT_MUL"}), KeyError, f"'{BODY}/MatMul'"),
        (lambda e: e.add_outputs("serving_default", {"h": f"{BODY}/Relu_1:7"}), KeyError, "no output 7"),
        (lambda e: e.add_outputs("serving_default", {"h": "a:b:c"}), ValueError, "not the name of a tensor"),
        (lambda e: e.add_outputs("serving_default", {"h": "w0:0"}), TypeError, "resource"),
        (lambda e: e.add_outputs("serving_default", {"probs": "w0"}), ValueError, "already"),
        (lambda e: e.add_signature("serving_default", {}, {"y": "b0"}), ValueError, "already"),
        (lambda e: e.add_signature("s", {}, {}), ValueError, "no output"),
        (
            lambda e: e.add_signature("s", {}, {"y": "StatefulPartitionedCall"}),
            ValueError,
            "needs the placeholder 'serving_default_x:0'",
        ),
        (lambda e: e.set_method_name("serve", "x"), KeyError, "no signature 'serve'"),
        (lambda e: e.select_meta_graph({"server"}), KeyError, "did you mean {serve}"),
        (lambda e: e.copy_meta_graph({"serve"}, {"serve"}), ValueError, "already"),
        (lambda e: e.drop_meta_graph({"serve"}), ValueError, "the only one"),
        (lambda e: e.set_tags("serve", {"x"}), TypeError, "a set of strings"),
    ],
)
def test_mistakes_are_named_and_change_nothing(
    models: Path, dst: Path, change: Callable[[sm.Edit], object], error: type[Exception], text: str
) -> None:
    edit = sm.Edit(models / "mlp")
    with pytest.raises(error) as caught:
        change(edit)
    assert text in str(caught.value)
    edit.save(dst)
    before, after = (sm.inspect(path).meta_graphs[0] for path in (models / "mlp", dst))
    assert (after.num_nodes, after.num_functions) == (before.num_nodes, before.num_functions)
    assert list(after.signatures) == list(before.signatures)


def test_bodies_of_loops_stay_closed(models: Path) -> None:
    edit = sm.Edit(models / "while_loop")
    loop = next(iter(sm.inspect(models / "while_loop").meta_graphs[0].signatures))
    with pytest.raises(KeyError, match=r"has one, but it can't be inlined: it is the body of a loop"):
        edit.add_outputs(loop, {"inner": "while/floordiv"})


def test_names_of_layers_are_near(models: Path) -> None:
    with pytest.raises(KeyError) as caught:
        sm.Edit(models / "keras_conv").add_outputs("serve", {"pooled": "GlobalAveragePooling2D"})
    layer = "StatefulPartitionedCall/StatefulPartitionedCall/functional_"
    assert layer in str(caught.value)
    assert "/global_average_pooling2d" in str(caught.value)


def test_objects_that_do_not_exist(tmp_path: Path, dst: Path) -> None:
    """A damaged object graph: the signatures' object has a negative number."""
    child = 'children { local_name: "signatures" node_id: -1000000000 }'
    source = save(tmp_path / "m", "", more=f"object_graph_def {{ nodes {{ {child} }} nodes {{}} }}")
    code = f"""
        import savedmodel as sm
        sm.Edit({str(source)!r}).rename_signature("serving_default", "other").save({str(dst)!r})
        print(*sm.inspect({str(dst)!r}).meta_graphs[0].signatures)
    """
    assert run_python(code)[0] == "other\n"


def test_a_call_with_another_number_of_inputs_is_not_inlined(tmp_path: Path) -> None:
    """Of a function as if it were an op: TensorFlow's loader would find out, which an edit does not ask."""
    library = function("f", node("o", "Identity", "a", attributes=STRINGS), "o:output:0")
    edit = sm.Edit(save(tmp_path / "m", node("i", "f", "x", "x", "x"), output="i:0", library=library))
    with pytest.raises(
        sm.InvalidArgumentError,
        match=r"inlining the call 'i': it has 3 inputs, and the function takes 1",
    ):
        edit.add_outputs("serving_default", {"inside": "i/o"})


def test_identities_in_a_circle_end(tmp_path: Path, dst: Path) -> None:
    circle = node("a", "Identity", "b", attributes=STRINGS) + node("b", "Identity", "a", attributes=STRINGS)
    reader = node("i", "Identity", "x", "^n", attributes=STRINGS)
    nodes = circle + reader + node("n", "Identity", "a", attributes=STRINGS)
    prune(save(tmp_path / "m", nodes, output="i:0", init="i"), dst)


def test_a_result_that_a_restore_does_not_have(tmp_path: Path, dst: Path) -> None:
    two = 'value { tensor { dtype: DT_STRING tensor_shape { dim { size: 2 } } string_val: ["a", "b"] } }'
    attributes = f'attr {{ key: "value" {two} }} attr {{ key: "dtype" value {{ type: DT_STRING }} }}'
    types = 'attr { key: "dtypes" value { list { type: [DT_STRING, DT_STRING] } } }'
    nodes = (
        node("names", "Const", attributes=attributes)
        + node("r", "RestoreV2", "x", "names", "names", attributes=types)
        + node("i", "Identity", "r:999999", attributes=STRINGS)
    )
    prune(save(tmp_path / "m", nodes, output="i:0"), dst)


def prune(source: Path, target: Path) -> None:
    """In a process of its own, which a crash would end."""
    run_python(f"import savedmodel as sm\nsm.Edit({str(source)!r}).prune().save({str(target)!r})")
