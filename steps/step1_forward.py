"""Proves that both models compute the same from the same weights and inputs.

Parameters and buffers are compared first, then outputs and every paired activation.
Needs nothing before it. Writes logs/<port>/forward_diff.log.
"""

from _project import run

run("forward")
