"""Families of computations in numpy float64, one a file; each exposes `FAMILY`."""
