"""Measure how unlike two faithful sides lose precision in tensors of a few numbers.

Small residual networks with heads of one to sixteen outputs run in torch and in Paddle from equal
weights, in float32 and in float64, forward and backward. Of every tensor the script takes each
side's distance to its own float64 twin, and which asymmetry `judge` would have needed to call the
pair rounding. `compare.tolerance` takes `FEW_ASYMMETRY` from what it prints.

    python scripts/measure_few.py [--seeds 120]
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import paddle
import torch

from portalign.compare.tolerance import FLOOR_EPS, ROUNDING_RATIO, SCALAR_EPS, epsilon, typical_norm

Arrays = dict[str, npt.NDArray[Any]]
WIDTH, DEPTH, PLACES = 32, 12, 4
OUTPUTS = (2, 3, 4, 5, 6, 7, 8, 10, 16)
BATCHES = (2, 32)
MANY = 10**9
GROUPS = ((1, 1), (2, 2), (3, 3), (4, 4), (5, 8), (9, 16), (17, 64), (65, MANY))
ASYMMETRIES = (1, 2, 4, 8, 16, 32)
KEPT_APART = 1e-12  # twins of faithful sides agree to that; others would show a mistake here


def weights(random: np.random.Generator, n_outputs: int, *, is_fresh: bool) -> Arrays:
    """float32 values by name; matrices [out, in] as torch has them.

    Args:
        is_fresh: the head is one to be trained (deviation 0.02, no bias), so that the gradients of
            all samples nearly cancel, as those of BERT's classifier do.
    """
    shapes = {"head.weight": (n_outputs, WIDTH), "head.bias": (n_outputs,)}
    for layer in range(DEPTH):
        shapes |= {f"{layer}.up.weight": (2 * WIDTH, WIDTH), f"{layer}.up.bias": (2 * WIDTH,)}
        shapes |= {f"{layer}.down.weight": (WIDTH, 2 * WIDTH), f"{layer}.down.bias": (WIDTH,)}
    found: Arrays = {
        name: (random.normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32)
        for name, shape in shapes.items()
    }
    for name, size in (*((f"{n}.norm", WIDTH) for n in range(DEPTH)), ("last", n_outputs)):
        found[f"{name}.weight"] = (1 + 0.1 * random.normal(size=size)).astype(np.float32)
        found[f"{name}.bias"] = (0.1 * random.normal(size=size)).astype(np.float32)
    if is_fresh:
        found["head.weight"] = (0.02 * random.normal(size=(n_outputs, WIDTH))).astype(np.float32)
        found["head.bias"] = np.zeros(n_outputs, np.float32)
    return found


def batch(random: np.random.Generator, n: int, n_outputs: int) -> Arrays:
    """Inputs [n, places, width] and labels [n], as balanced as they can be."""
    labels = random.permutation(np.arange(n) % n_outputs)
    return {"x": random.normal(size=(n, PLACES, WIDTH)).astype(np.float32), "labels": labels}


def run_torch(values: Arrays, given: Arrays, dtype: str) -> Arrays:
    """What the network gives out, its loss and its gradients, in torch."""
    functional = torch.nn.functional
    p = {
        n: torch.tensor(a, dtype=getattr(torch, dtype), requires_grad=True)
        for n, a in values.items()
    }
    x = torch.tensor(given["x"], dtype=getattr(torch, dtype))

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.layer_norm(
            x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"], 2**-17
        )

    for layer in range(DEPTH):
        inner = functional.gelu(
            functional.linear(
                norm(x, f"{layer}.norm"), p[f"{layer}.up.weight"], p[f"{layer}.up.bias"]
            )
        )
        x = x + functional.linear(inner, p[f"{layer}.down.weight"], p[f"{layer}.down.bias"])
    logits = functional.linear(x.mean(1), p["head.weight"], p["head.bias"])
    scores = norm(logits, "last") if logits.shape[-1] > 4 else logits
    losses = functional.cross_entropy(scores, torch.tensor(given["labels"]), reduction="none")
    losses.mean().backward()
    return _told(p, logits, scores, losses, lambda tensor: tensor.detach().numpy())


def run_paddle(values: Arrays, given: Arrays, dtype: str) -> Arrays:
    """The same in Paddle."""
    functional = paddle.nn.functional
    p = {n: paddle.to_tensor(a.astype(dtype), stop_gradient=False) for n, a in values.items()}
    x = paddle.to_tensor(given["x"].astype(dtype))

    def linear(x: paddle.Tensor, name: str) -> paddle.Tensor:
        return functional.linear(x, p[f"{name}.weight"].T, p[f"{name}.bias"])

    def norm(x: paddle.Tensor, name: str) -> paddle.Tensor:
        return functional.layer_norm(
            x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"], 2**-17
        )

    for layer in range(DEPTH):
        inner = functional.gelu(linear(norm(x, f"{layer}.norm"), f"{layer}.up"))
        x = x + linear(inner, f"{layer}.down")
    logits = linear(x.mean(1), "head")
    scores = norm(logits, "last") if logits.shape[-1] > 4 else logits
    labels = paddle.to_tensor(given["labels"])
    losses = functional.cross_entropy(scores, labels, reduction="none").squeeze(-1)
    losses.mean().backward()
    return _told(p, logits, scores, losses, lambda tensor: tensor.numpy())


def _told(
    p: dict[str, Any], logits: Any, scores: Any, losses: Any, numpy: Callable[[Any], Any]
) -> Arrays:
    found = {"logits": logits[0], "scores": scores[0], "losses": losses, "loss": losses.mean()}
    found |= {f"grad {name}": each.grad for name, each in p.items() if each.grad is not None}
    return {name: np.array(numpy(each)) for name, each in found.items()}


def needed(name: str, sides: list[Arrays], scale: float) -> tuple[int, float, float]:
    """Elements, the ratio of both own distances, and the asymmetry that the pair needs.

    Args:
        sides: torch and Paddle in float32, then both in float64.
        scale: as `judge` takes it.
    """
    native = [side[name].astype(np.float64) for side in sides[:2]]
    twins = [side[name] for side in sides[2:]]
    apart = float(np.linalg.norm(twins[0] - twins[1]))
    if not apart <= KEPT_APART * max(float(np.linalg.norm(twins[0])), 1e-3):
        raise SystemExit(f"{name}: the twins are {apart:.1e} apart, so the sides are not alike")
    less, more = sorted(
        float(np.linalg.norm(one - twin)) for one, twin in zip(native, twins, strict=True)
    )
    n_elements = native[0].size
    floor = epsilon("float32") * (SCALAR_EPS if n_elements == 1 else FLOOR_EPS)
    floor *= float(np.linalg.norm(native[0])) + scale
    beyond = max(float(np.linalg.norm(native[0] - native[1])) - floor, 0.0)
    ratio = more / less if less else np.inf if more else 1.0
    return n_elements, ratio, beyond / (ROUNDING_RATIO * less) if beyond else 0.0


def measured(n_seeds: int) -> Iterator[tuple[int, float, float]]:
    """All pairs of all networks."""
    for seed in range(n_seeds):
        for n_outputs in OUTPUTS:
            random = np.random.default_rng((seed, n_outputs))
            values = weights(random, n_outputs, is_fresh=bool(seed % 2))
            given = batch(random, BATCHES[seed // 2 % len(BATCHES)], n_outputs)
            sides = [
                run(values, given, dtype)
                for dtype in ("float32", "float64")
                for run in (run_torch, run_paddle)
            ]
            like: dict[int, list[float]] = defaultdict(list)
            for name, array in sides[0].items():
                if name.startswith("grad "):  # of other tensors none vanishes in theory
                    like[array.size].append(float(np.linalg.norm(array)))
            for name in sorted(sides[0].keys() & sides[1].keys()):
                is_gradient = name.startswith("grad ")
                scale = typical_norm(like[sides[0][name].size]) if is_gradient else 0.0
                yield needed(name, sides, scale)


def main() -> int:
    """Print one line for each number of elements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=120)
    by_group: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    for n_elements, ratio, asymmetry in measured(parser.parse_args().seeds):
        group = next(g for g in GROUPS if g[0] <= n_elements <= g[1])
        by_group[group].append((ratio, asymmetry))
    over = " | ".join(f"over {each}" for each in ASYMMETRIES)
    print(
        f"| elements | pairs | own distances apart: median | 99 % | most | {over} | most needed |"
    )
    print("|" + "---|" * (6 + len(ASYMMETRIES)))
    for group in GROUPS:
        ratios, asymmetries = np.array(by_group[group]).T
        name = f"{group[0]}" if group[0] == group[1] else f"{group[0]} to {group[1]}"
        name = name.removesuffix(f" to {MANY}") + " and more" * (group[1] == MANY)
        shares = " | ".join(f"{(asymmetries > each).mean():.2%}" for each in ASYMMETRIES)
        told = " | ".join(f"{v:.3g}" for v in np.quantile(ratios, (0.5, 0.99, 1.0), method="lower"))
        print(f"| {name} | {len(ratios)} | {told} | {shares} | {asymmetries.max():.3g} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
