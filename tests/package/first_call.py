"""Run an installed package on a model that is written here: without TensorFlow Python or the checkout."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import savedmodel as sm

MODEL = """
saved_model_schema_version: 1
meta_graphs {
  meta_info_def { tags: "serve" }
  graph_def {
    versions { producer: 1882 }
    node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } }
    node { name: "y" op: "AddV2" input: "x" input: "x" attr { key: "T" value { type: DT_FLOAT } } }
  }
  signature_def { key: "serving_default" value {
    inputs { key: "x" value { name: "x:0" dtype: DT_FLOAT tensor_shape { unknown_rank: true } } }
    outputs { key: "y" value { name: "y:0" dtype: DT_FLOAT tensor_shape { unknown_rank: true } } }
    method_name: "tensorflow/serving/predict"
  } }
}
"""

with tempfile.TemporaryDirectory() as folder:
    (Path(folder) / "saved_model.pbtxt").write_text(MODEL)
    with sm.load(folder) as model:
        np.testing.assert_array_equal(model(np.array([1, 2], np.float32))["y"], [2, 4])
print(f"savedmodel {sm.__version__} runs")
