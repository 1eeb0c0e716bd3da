# SPDX-License-Identifier: Apache-2.0
"""Measurements: what the commands `bench`, `compare` and `profile` share with the repository's benchmarks.

Runtimes behind one interface, their turns, the machine, and plots. A client of the public API.
"""
