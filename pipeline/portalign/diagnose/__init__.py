"""Why something differs: explain both sides at every origin, and prove the cause by repairing it.

`engine.diagnose` is the way in. Needs what was captured and nothing else: no framework, no model.
"""
