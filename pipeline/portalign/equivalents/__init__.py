"""What stands for what in the other framework: learning rates, optimizers, losses, metrics.

One file an area, each a tuple of rows. `scripts/equivalents.py` measures every row and writes
`docs/equivalents.md`; the tests hold each row to what it claims.
"""
