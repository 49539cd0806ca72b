"""``python -m portalign``."""

from portalign.cli import main

main()
