"""Makes the models, with random but sane weights: `python -m benchmarks.zoo NAME`."""
