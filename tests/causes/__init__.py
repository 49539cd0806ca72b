"""One seeded fault (or more) per rule, in numpy: the file has the name of the rule's file."""
