"""Which tensor and which module of one side is which of the other, and how their axes lie.

`names` matches weights, `layouts` turns them, `weights` carries them, `pair` lines up two traces.
Pure numpy: no framework is imported here.
"""
