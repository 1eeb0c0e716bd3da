"""Small SavedModels written by hand, as text: what TensorFlow's Python would not write."""

from __future__ import annotations

import textwrap
from pathlib import Path


def const(name: str, text: str) -> str:
    return f"""
        node {{ name: "{name}" op: "Const"
          attr {{ key: "dtype" value {{ type: DT_STRING }} }}
          attr {{ key: "value" value {{
            tensor {{ dtype: DT_STRING tensor_shape {{}} string_val: "{text}" }} }} }} }}
    """


def node(name: str, op: str, *inputs: str, attributes: str = "") -> str:
    given = " ".join(f'input: "{one}"' for one in inputs)
    return f'node {{ name: "{name}" op: "{op}" {given} {attributes} }}\n'


def save(
    path: Path, nodes: str, *, output: str = "x:0", library: str = "", init: str = "", more: str = ""
) -> Path:
    """A SavedModel of a placeholder `x` (string) and these nodes, whose signature gives `output`."""
    path.mkdir()
    init_signature = f"""
        signature_def {{ key: "__saved_model_init_op" value {{
          outputs {{ key: "__saved_model_init_op"
            value {{ name: "{init}" tensor_shape {{ unknown_rank: true }} }} }}
        }} }}"""
    text = f"""
      saved_model_schema_version: 1
      meta_graphs {{
        meta_info_def {{ tags: "serve" }}
        graph_def {{
          versions {{ producer: 1882 }}
          node {{ name: "x" op: "Placeholder" attr {{ key: "dtype" value {{ type: DT_STRING }} }}
            attr {{ key: "shape" value {{ shape {{}} }} }} }}
          {nodes}
          library {{ {library} }}
        }}
        signature_def {{ key: "serving_default" value {{
          inputs {{ key: "x" value {{ name: "x:0" dtype: DT_STRING tensor_shape {{}} }} }}
          outputs {{ key: "y" value {{ name: "{output}" dtype: DT_STRING tensor_shape {{}} }} }}
          method_name: "tensorflow/serving/predict" }} }}
        {init_signature if init else ""}
        {more}
      }}
    """
    (path / "saved_model.pbtxt").write_text(textwrap.dedent(text))
    return path


STRINGS = 'attr { key: "T" value { type: DT_STRING } }'
CALL = (
    'attr {{ key: "Tin" value {{ list {{ type: DT_STRING }} }} }}'
    'attr {{ key: "Tout" value {{ list {{ type: DT_STRING }} }} }}'
    'attr {{ key: "f" value {{ func {{ name: "{name}" }} }} }}'
)


def function(name: str, body: str, result: str) -> str:
    return f"""
        function {{
          signature {{ name: "{name}" input_arg {{ name: "a" type: DT_STRING }}
            output_arg {{ name: "r" type: DT_STRING }} }}
          {body.replace("node {", "node_def {")}
          ret {{ key: "r" value: "{result}" }}
        }}"""
