"""Generators for the task data: one module per task under `tasks`, one driver that verifies and writes.

`python -m data.generate` rewrites the files next to this package, `--check` proves that they are what it would write.
"""
