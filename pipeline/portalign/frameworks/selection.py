"""What a named loss or optimizer works on: outputs, batch fields, parameters by parts of names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from portalign.errors import CaptureError
from portalign.frameworks.trainer import Tensor
from portalign.request import Json, Spec


@dataclass(frozen=True, slots=True)
class Given:
    """What a named loss is computed from.

    Attributes:
        outputs: what the model returned.
        batch: fields of the batch as tensors.
        arguments: of the loss, completed.
        tensor_type: the framework's tensor class.
        rounds: feed float64 what the other framework keeps in float32.
    """

    outputs: object
    batch: Mapping[str, Tensor]
    arguments: Mapping[str, Json]
    tensor_type: type
    rounds: bool = False

    def output(self, argument: str = "output") -> Tensor:
        """The model's output that this argument names."""
        return pick_output(self.outputs, self.arguments[argument], self.tensor_type)

    def several(self, *arguments: str) -> list[Tensor]:
        """The model's outputs that these arguments name.

        Raises:
            CaptureError: two of them are one tensor.
        """
        found = [self.output(argument) for argument in arguments]
        for at, one in enumerate(found):
            if any(one is other for other in found[:at]):
                raise CaptureError(
                    f"{' and '.join(arguments)} are not {len(found)} outputs; "
                    f"{_describe(self.outputs, self.tensor_type)}",
                    why="a loss that compares an output with itself says nothing",
                    do=f"name each under `loss:`, such as `{arguments[at]}: {at}` or by its name",
                )
        return found

    def field(self, argument: str = "labels") -> Tensor:
        """The batch's field that this argument names."""
        return pick_labels(self.batch, self.arguments[argument])

    def pair(self) -> tuple[Tensor, Tensor]:
        """Output and labels of an elementwise loss, both in the output's shape and dtype kind."""
        output, target = self.output(), self.field()
        return output, target.reshape(target_shape(tuple(output.shape), tuple(target.shape)))

    def classes(self) -> tuple[Tensor, Tensor]:
        """Scores and integer labels; labels ``[...]`` or with one class dimension more.

        Raises:
            CaptureError: labels of a floating dtype.
        """
        output, target = self.output(), self.field()
        if target.is_floating_point():
            raise CaptureError(
                f"labels are {target.dtype}, this loss wants integers",
                why="the frameworks read class probabilities differently",
                do="yield integer labels, or write `soft_labels: true` under `loss:` where they "
                "are probabilities",
            )
        return output, target


def pick_output(outputs: object, name: str | int, tensor_type: type) -> Tensor:
    """Find the tensor a loss works on.

    A bare tensor is taken as it is; a tuple or list by index (a name means its first element); a
    mapping or an object with attributes by name.

    Args:
        outputs: what the model returned.
        name: name or index of the output.
        tensor_type: the framework's tensor class.

    Raises:
        CaptureError: nothing of that name, or it isn't a tensor; says what there is.
    """
    if isinstance(outputs, tensor_type):
        return outputs
    if isinstance(outputs, Mapping) and name in outputs:
        found = outputs[name]
    elif isinstance(outputs, (tuple, list)) and not isinstance(
        getattr(outputs, "_fields", None), tuple
    ):
        index = name if isinstance(name, int) else 0
        found = outputs[index] if index < len(outputs) else None
    else:
        found = getattr(outputs, str(name), None)
    if not isinstance(found, tensor_type):
        raise CaptureError(
            f"the model's output has no tensor {name!r}; {_describe(outputs, tensor_type)}",
            why="the loss is computed from it",
            do="name it with `loss: {name: ..., output: ...}`, or give your own loss functions",
        )
    return found


def pick_labels(batch: Mapping[str, Tensor], name: str) -> Tensor:
    """The labels of a batch.

    Raises:
        CaptureError: the batch has no such field; says which it has.
    """
    if name not in batch:
        raise CaptureError(
            f"the batch has no field {name!r}; it has: {', '.join(sorted(batch)) or 'none'}",
            why="the loss compares the output with it",
            do="yield it from `batches`, or name another with `loss: {name: ..., labels: ...}`",
        )
    return batch[name]


def target_shape(output: tuple[int, ...], target: tuple[int, ...]) -> tuple[int, ...]:
    """The shape an elementwise loss gives its target: the output's, never a broadcast one.

    Raises:
        CaptureError: the shapes differ by more than dimensions of size 1.

    >>> target_shape((8, 1), (8,))
    (8, 1)
    """
    if [n for n in output if n != 1] != [n for n in target if n != 1]:
        raise CaptureError(
            f"output is {list(output)} but the labels are {list(target)}",
            why="an elementwise loss would broadcast one to the other and still return a number",
            do="yield labels of the output's shape, or name another output",
        )
    return output


def is_spared(name: str, arguments: Mapping[str, Json]) -> bool:
    """Whether an optimizer's ``no_decay`` spares the parameter of this full name weight decay.

    >>> is_spared("encoder.0.Norm.bias", {"no_decay": ["norm"]})
    True
    """
    return any(part.lower() in name.lower() for part in arguments.get("no_decay", ()))


def lr_factor(name: str, arguments: Mapping[str, Json]) -> float:
    """The factor that an optimizer's ``lr_scale`` gives the parameter of this full name.

    >>> lr_factor("encoder.0.fc.weight", {"lr_scale": {"head": 10, "Encoder": 0.1}})
    0.1
    """
    factors = arguments.get("lr_scale", {}).items()
    return next((float(f) for part, f in factors if part.lower() in name.lower()), 1.0)


def refuse_search(optimizer: Spec) -> None:
    """Refuse an optimizer that can't be stepped by gradients alone.

    Raises:
        CaptureError: it is LBFGS.
    """
    if optimizer.name == "lbfgs":
        raise CaptureError(
            "lbfgs evaluates the loss several times an iteration",
            why="an iteration here is one forward and one backward pass, compared part by part",
            do="name another optimizer; docs/equivalents.md says what the two LBFGS do",
        )


def _describe(outputs: object, tensor_type: type) -> str:
    if isinstance(outputs, tensor_type):
        return "it is one tensor"
    if isinstance(outputs, Mapping):
        return f"it is a {type(outputs).__name__} of {', '.join(map(str, outputs))}"
    if isinstance(outputs, (tuple, list)):
        return f"it is a {type(outputs).__name__} of {len(outputs)}"
    names = (
        [key for key in sorted(vars(outputs)) if isinstance(getattr(outputs, key), tensor_type)]
        if isinstance(getattr(outputs, "__dict__", None), dict)
        else []
    )
    return f"it is a {type(outputs).__name__} with {', '.join(names) or 'no tensor attributes'}"
