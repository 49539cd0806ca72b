"""Differences that are the frameworks' own, shown by recomputing both sides with their formulas.

A difference counts as known only where the reference's formula gives what the reference recorded
and the candidate's gives what the candidate recorded, from the same weights, gradients and
arguments. So a port that has a fault besides is not excused.
"""
