# SPDX-License-Identifier: Apache-2.0
"""Adapters to libraries that people run already: one module and one extra each, imported by nobody else."""
