"""portalign proves, step by step, that a model port computes what its reference computes."""

__version__ = "0.1.0"
