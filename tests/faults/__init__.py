"""The fault matrix: bugs that porters make, planted in four small architectures, and rewrites that
are none."""
