"""One cause a file; each exposes `RULE`. `registry` finds them by reading this folder."""
