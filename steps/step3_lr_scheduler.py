"""Proves that both learning rate schedules give the same LR at every iteration.

The whole curve is compared; the port's probe points go to the log.
Needs nothing before it. Writes logs/<port>/scheduler_diff.log.
"""

from _project import run

run("lr_scheduler")
