"""Proves that both sides train alike for a few iterations.

Loss, every gradient, clipping, LR and updated parameters are compared in each iteration.
Needs steps 1 and 3 to pass. Writes logs/<port>/bp_align_diff.log.
"""

from _project import run

run("backward")
