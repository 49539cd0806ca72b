"""Ports that ship as examples and as tests: a folder each, with its port file, sides and data.

Both sides are run in child processes that import them by file, so this package imports nothing.
"""
