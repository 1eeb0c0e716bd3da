# SPDX-License-Identifier: Apache-2.0
"""Measurements, shared by the commands `bench`, `compare` and `profile` and the repository's benchmarks.

Runtimes behind one interface, interleaved rounds, the machine's description, and plots. A client of the
public API.
"""
