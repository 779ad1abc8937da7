"""Measurements: ``python -m benchmarks.NAME [--json]``. Each compares with named baselines in the same run."""
