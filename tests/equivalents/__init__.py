"""How the rows of the table of equivalents are measured: one file an area, and the table itself."""
