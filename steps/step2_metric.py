"""Proves that both sides see the same data and score the same predictions alike.

Batches are compared byte for byte, then each metric on each side's own predictions and on shared
ones. Needs step 1 to pass. Writes logs/<port>/metric_diff.log and data_diff.log.
"""

from _project import run

run("metric")
