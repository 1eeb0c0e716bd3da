"""What `Edit` refuses: errors name what is wrong, list near names, and nothing has changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import savedmodel as sm

from .editing import BODY


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
        (lambda e: e.add_outputs("serving_default", {"h": f"{BODY}/Relu_1:7"}), KeyError, "no number 7"),
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
    with pytest.raises(KeyError):
        edit.add_outputs(loop, {"inner": "while/body/add"})


def test_names_of_layers_are_near(models: Path) -> None:
    with pytest.raises(KeyError) as caught:
        sm.Edit(models / "keras_conv").add_outputs("serve", {"pooled": "GlobalAveragePooling2D"})
    layer = "StatefulPartitionedCall/StatefulPartitionedCall/functional_"
    assert layer in str(caught.value)
    assert "/global_average_pooling2d" in str(caught.value)
