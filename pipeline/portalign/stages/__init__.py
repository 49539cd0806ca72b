"""What each step runs and records, written once for both sides and both frameworks.

A stage is a script of `frameworks.base` verbs. It knows nothing of the other side but what lies on
disk: the shared inputs, the reference's initial weights, the reference's predictions.
"""
