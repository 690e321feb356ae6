"""One module per ARC task.

`generate(rng, difficulty)` builds a pair, `solve(grid)` derives the output from the input by a route of its own.
"""
