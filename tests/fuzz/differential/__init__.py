"""Random valid graphs by seed, run by TensorFlow, in float64, and by savedmodel. See ../README.md."""
