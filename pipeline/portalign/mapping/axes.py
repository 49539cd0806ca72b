"""Which layout lies between two weights: by module type, never by trying what fits.

The tables here say how each framework's known modules keep their weights; where neither table knows
a type, a unique shape may decide, and a square matrix is never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from portalign.mapping.layouts import AS_IS, TRANSPOSED, Layout, Reshape

_NORMS = ("BatchNorm", "LayerNorm", "GroupNorm", "InstanceNorm", "SyncBatchNorm", "RMSNorm")
_CELLS = ("LSTM", "GRU", "RNN", "SimpleRNN", "LSTMCell", "GRUCell", "RNNCell", "SimpleRNNCell")
_FAMILIES: dict[str, str] = {
    **dict.fromkeys(("Linear", "NonDynamicallyQuantizableLinear"), "linear"),
    **dict.fromkeys(("ColumnParallelLinear", "RowParallelLinear"), "linear"),
    **dict.fromkeys(("Embedding", "EmbeddingBag", "VocabParallelEmbedding"), "embedding"),
    **dict.fromkeys(("Conv1d", "Conv2d", "Conv3d", "Conv2D", "Conv3D"), "conv"),
    **dict.fromkeys((f"ConvTranspose{n}d" for n in "123"), "conv_transpose"),
    **dict.fromkeys((f"Conv{n}DTranspose" for n in "123"), "conv_transpose"),
    **dict.fromkeys((f"{norm}{n}" for norm in _NORMS for n in ("", "1d", "2d", "3d")), "norm"),
    **dict.fromkeys((f"{norm}{n}" for norm in _NORMS for n in ("1D", "2D", "3D")), "norm"),
    **dict.fromkeys(_CELLS, "rnn"),
    **dict.fromkeys(("MultiheadAttention", "MultiHeadAttention"), "attention"),
    "PReLU": "prelu",
    "Bilinear": "bilinear",
}
# Seen in torch 2.13, paddle 3.3.1 and transformers 5.23: only linear weights differ in axes.
# `Conv1D` is a linear layer with [in, out] weights in transformers, a convolution in paddle.
_LINEAR_AXES = {"torch": "oi", "paddle": "io"}
_SPOKEN = {"oi": "[out, in]", "io": "[in, out]", "same": "the same axes"}


@final
@dataclass(frozen=True, slots=True)
class Leaf:
    """What decides the layout of one tensor on one side.

    Attributes:
        family: of its module ("linear", "norm"), "" if unknown.
        axes: "oi", "io", "same", or "" where nothing is known.
        owner: framework and module type, for messages ("torch Linear").
        dtype_kind: "float", "integer", "bool" or "complex".
    """

    shape: tuple[int, ...]
    family: str
    axes: str
    owner: str
    dtype_kind: str

    @property
    def is_square(self) -> bool:
        """A square 2-D matrix: its shape can't tell whether it is transposed."""
        return len(self.shape) == 2 and self.shape[0] == self.shape[1]


@final
@dataclass(frozen=True, slots=True)
class Decision:
    """A layout and the reason for it, or the problem that stands against one.

    Attributes:
        layout: None when there is a problem.
        reason: one phrase.
        is_open: square and of unknown type: only the port file can tell.
    """

    layout: Layout | None
    reason: str
    is_open: bool = False


def family_of(framework: str, module_type: str) -> str:
    """The family a module type belongs to in a framework, "" if unknown."""
    if module_type == "Conv1D":
        return "linear" if framework == "torch" else "conv"
    return _FAMILIES.get(module_type, "")


def axes_of(framework: str, module_type: str, role: str) -> str:
    """The axes of the tensor in the role "weight", "bias"...: "oi", "io", "same", "" if unknown."""
    family = family_of(framework, module_type)
    if family == "linear":
        if role != "weight":
            return "same" if role == "bias" else ""
        return "io" if module_type == "Conv1D" else _LINEAR_AXES.get(framework, "")
    if family in ("rnn", "attention"):
        return "oi"
    if family == "embedding":
        return "oi"  # as a tied head reads it: one row per output
    return "same" if family else ""


def dtype_kind(dtype: str) -> str:
    """ "float", "integer", "bool" or "complex" of a dtype name ("bfloat16", "int64")."""
    for prefix, kind in (("bool", "bool"), ("complex", "complex"), ("int", "integer")):
        if dtype.startswith(prefix):
            return kind
    return "integer" if dtype.startswith("uint") else "float"


def decide(
    reference: Leaf, candidate: Leaf, *, same_framework: bool, forced: str | None
) -> Decision:
    """The layout that takes the reference's tensor to the candidate's.

    Args:
        forced: "as_is" or "transposed" from the port file, None to decide here.
    """
    if reference.dtype_kind != candidate.dtype_kind:
        return Decision(
            None, f"reference holds {reference.dtype_kind}s, candidate {candidate.dtype_kind}s"
        )
    choice = _choose(reference, candidate, same_framework=same_framework, forced=forced)
    if choice.layout is None:
        return choice
    turned = reference.shape[::-1] if choice.layout.moves else reference.shape
    if turned == candidate.shape:
        return choice
    if not choice.layout.moves and _may_reshape(reference, candidate):
        moved = Layout((Reshape(reference.shape, candidate.shape),))
        return Decision(moved, "the same elements in the same order")
    return Decision(
        None,
        f"reference {list(reference.shape)}, {choice.layout} for the candidate {list(turned)}, "
        f"but the candidate has {list(candidate.shape)} ({choice.reason})",
    )


def _choose(
    reference: Leaf, candidate: Leaf, *, same_framework: bool, forced: str | None
) -> Decision:
    if forced is not None:
        chosen = TRANSPOSED if forced == "transposed" else AS_IS
        return Decision(chosen, f"the port file says {forced}")
    if len(reference.shape) != 2 or len(candidate.shape) != 2:
        return Decision(AS_IS, "not a matrix")
    axes = {reference.axes, candidate.axes}
    if axes <= {"oi", "io"} or axes == {"same"}:
        reason = f"{reference.owner} keeps {_SPOKEN[reference.axes]}"
        reason += f", {candidate.owner} {_SPOKEN[candidate.axes]}"
        return Decision(AS_IS if len(axes) == 1 else TRANSPOSED, reason)
    owners = f"{reference.owner} and {candidate.owner}"
    if same_framework and not reference.axes and not candidate.axes:
        return Decision(AS_IS, f"{owners} are of the same framework")
    if reference.is_square and candidate.is_square:
        return Decision(
            None, f"a square {list(reference.shape)} of {owners} could be either way", is_open=True
        )
    if reference.shape == candidate.shape[::-1]:
        return Decision(TRANSPOSED, f"{owners}: it fits no other way")
    return Decision(AS_IS, f"{owners}: it fits no other way")


def _may_reshape(reference: Leaf, candidate: Leaf) -> bool:
    if int(np.prod(reference.shape)) != int(np.prod(candidate.shape)):
        return False
    if reference.family == candidate.family == "norm":
        return True  # paddle's LayerNorm keeps a multi-dimensional weight flat
    bare = [[size for size in leaf.shape if size != 1] for leaf in (reference, candidate)]
    return bare[0] == bare[1]
