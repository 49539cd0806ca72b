"""Why a link of training is at fault: arguments of the optimizer, clipping, the order of batches.

Both sides went through each iteration from the reference's values, so each is explained by itself:
the arguments that make what it recorded are read off. Where they differ, that is the cause.
"""
