"""The one comparison core: `measure` -> `tolerance` -> `judge` -> `locate`, pure numpy.

`chunks` cuts a pair of arrays into cache-sized pieces, `kernels` takes the numbers of one piece,
`pairs` joins the first three, and `files` applies the whole to two dumps. Nothing here imports a
framework or touches the terminal.
"""
