"""Gathers every step found under the logs folder into one table and one verdict.

A step whose prerequisite failed is blocked; one that did not run is named.
Needs the other steps to have run. Exit code: 0 aligned, 1 diverged, 2 undecided.
"""

from _project import run

run("check")
