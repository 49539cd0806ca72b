"""The one comparison core: `measure` -> `tolerance` -> `judge` -> `locate`, pure functions on numpy arrays.

`chunks` cuts a pair of arrays into cache-sized pieces and `kernels` takes the numbers of one piece;
`files` applies the whole to two dumps. Nothing here imports a framework or touches the terminal.
"""
