"""docs/published-cases.md: the stories with commands, figures and plots of the runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from published_curves import (
    TENSORS,
    by_tensor,
    curve_of,
    draw_bars,
    draw_ctrl,
    draw_layers,
    draw_losses,
    factor,
    layers,
    published,
)
from published_runs import WORDS, Ended, command_of, nearer, said

Json = Any
TEMPLATE = Path(__file__).with_name("published_cases.md")
HEADER = "| run | published | ours | verdict | where and why | command |\n|---|---|---|---|---|---|"


def row(one: Ended) -> str:
    """One line of the table that is printed."""
    return _line((one.run.story, *_cells(one)))


def write_page(found: Sequence[Ended], docs: Path) -> None:
    """Write the page and its plots.

    Args:
        docs: the folder; plots go to ``published/`` in it.
    """
    (docs / "published").mkdir(exist_ok=True)
    runs = {(one.run.story, one.run.name): one for one in found}
    _draw(runs, docs / "published")
    facts = _facts(runs)
    for name, known in facts.items():
        mine = [one for one in found if one.run.story == name]
        known["table"] = "\n".join([HEADER, *(_line((*_cells(o), _command(o))) for o in mine)])
    text = TEMPLATE.read_text(encoding="utf-8").format(**facts)
    (docs / "published-cases.md").write_text(text, encoding="utf-8")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _cells(one: Ended) -> tuple[str, ...]:
    return (
        one.run.name,
        one.run.published,
        _ours(one),
        WORDS.get(one.exit_code, "?"),
        _why(one.report),
    )


def _command(one: Ended) -> str:
    return f"`{' '.join(command_of(one.run))}`"


def _ours(one: Ended) -> str:
    """The number that stands against the published one."""
    if one.run.experiment:
        curve = curve_of(one.report)
        return (
            f"mean difference {curve[0]:.2g} at hidden state 0, {curve[47]:.2g} at 47, "
            f"{curve[48]:.2g} at 48; within a factor of {factor(curve, one.run.experiment):.2f} of "
            "the published"
        )
    outputs = _outputs(one.report)
    if not outputs:
        return str(one.report["headline"])
    text = (
        f"mean difference {max(c['native']['mean_abs'] for c in outputs):.2g}, at most "
        f"{max(c['native']['max_abs'] for c in outputs):.3g}"
    )
    if one.distances:
        text += (
            f"; from the float64 reference {one.distances[0]:.3f} and {one.distances[1]:.3f}: the "
            f"nearer is {nearer(one.distances)}"
        )
    return text


def _outputs(report: Json) -> list[Json]:
    return [c for c in report["comparisons"] if c["key"]["kind"] in ("output", "loss", "lr")]


def _why(report: Json) -> str:
    reasons = list(dict.fromkeys(reason.partition(". ")[0] for reason in said(report)))
    if report["outcome"] == "pass":
        return "; ".join([*reasons[:3], report["headline"]])
    places = [*report["divergence"]["origins"], *report["divergence"]["unresolved"]]
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    where = f"begins at {places[0]}{more}" if places else report["headline"]
    return "; ".join([where, *reasons[:3]])


def _draw(runs: Mapping[tuple[str, str], Ended], folder: Path) -> None:
    experiments = {
        one.run.experiment: (one.run.name, one.report)
        for one in runs.values()
        if one.run.experiment
    }
    draw_ctrl(experiments, folder / "ctrl.png")
    draw_losses(runs["bert", "10 iterations"].report, folder / "bert.png")
    left = _shift(runs["gpt2_lens", "GPT-2 small, weights processed"].report)
    bars = {"as they are": left["before"], "one constant per position out": left["after"]}
    draw_bars(bars, "GPT-2 small: logits", "relative difference", folder / "gpt2_lens.png")
    claims = {
        name: max(c["native"]["max_abs"] for c in _outputs(one.report))
        for (story, name), one in runs.items()
        if story == "gemma2"
    }
    draw_bars(claims, "Gemma-2: logits", "max |reference - candidate|", folder / "gemma2.png")
    tokens = {n: runs["smollm2_bf16", n].report for n in ("3 tokens", "512 tokens")}
    draw_layers(tokens, "SmolLM2-135M: dtype= against .to()", folder / "smollm2_bf16.png")


def _shift(report: Json) -> Json:
    return next(f for f in report["findings"] if "one constant per position" in f["claim"])


def _facts(runs: Mapping[tuple[str, str], Ended]) -> dict[str, dict[str, Any]]:
    """What the stories say of the runs, by story and name in the text."""
    lens = runs["gpt2_lens", "GPT-2 small, weights processed"].report
    named = [f["claim"] for f in lens["findings"] if f["kind"] == "equivalence"]
    sdpa = runs["gemma2", "transformers 4.48.3: eager against sdpa"].report
    return {
        "ctrl": _of_ctrl(runs),
        "bert": _of_bert(runs),
        "gpt2_lens": {
            "causes": " ".join(f"{claim[0].upper()}{claim[1:]}." for claim in named),
            "max_diff": _greatest(lens),
            "found": _shift(lens)["before"],
            "left": _shift(lens)["after"],
        },
        "gemma2": {"sdpa": _greatest(sdpa)},
        "smollm2_bf16": _of_smollm2(runs),
    }


def _greatest(report: Json) -> float:
    return float(max(c["native"]["max_abs"] for c in _outputs(report)))


def _of_ctrl(runs: Mapping[tuple[str, str], Ended]) -> dict[str, Any]:
    own, copied = runs["ctrl", "random, no mask"], runs["ctrl", "trained-like, table copied"]
    curves = [
        curve_of(runs["ctrl", f"trained-like, {t}"].report) for t in ("no mask", "table copied")
    ]
    names = ("pretrained_unmasked", "pretrained_unmasked_embedding_copied")
    theirs = [published(name)["hidden_states.47"] for name in names]
    padding = runs["ctrl", "left padding (small)"].report
    table = own.report["findings"][0]
    large = [one for one in runs.values() if one.run.experiment]
    return {
        "times": "\n".join(_times(large)),
        "numbers": "\n".join(_numbers(large)).rstrip(),
        "own_twin": _twins(own.report),
        "copied_twin": _twins(copied.report),
        "masked_factor": max(
            factor(curve_of(runs["ctrl", name].report), runs["ctrl", name].run.experiment)
            for name in ("random, right padding", "trained-like, right padding")
        ),
        "own_first": curves[0][0],
        "copied_first": curves[1][0],
        "share": 1.0 - curves[1][47] / curves[0][47],
        "published_share": 1.0 - theirs[1] / theirs[0],
        "own_claim": table["claim"],
        "own_before": table["before"],
        "own_after": table["after"],
        "padding_place": padding["divergence"]["origins"][0],
        "padding_claim": padding["findings"][0]["claim"],
    }


def _twins(report: Json) -> float:
    """How far the float64 twins are apart at the outputs."""
    return float(max(c["twin"]["rel_frobenius"] for c in _outputs(report) if c["twin"]))


def _of_bert(runs: Mapping[tuple[str, str], Ended]) -> dict[str, Any]:
    report, rates = (runs["bert", name].report for name in ("10 iterations", "learning rate"))
    losses = sorted(
        (c for c in report["comparisons"] if c["key"]["kind"] == "loss"),
        key=lambda c: c["key"]["iteration"],
    )
    (rate,) = (c["native"] for c in rates["comparisons"] if c["key"]["kind"] == "lr")
    return {
        "first_loss": losses[0]["native"]["norm_reference"],
        "last_loss": losses[-1]["native"]["norm_reference"],
        "worst_loss": max(c["native"]["max_abs"] for c in losses),
        "n_pairs": len(report["comparisons"]),
        "n_rates": rate["n_elements"],
        "worst_rate": rate["max_abs"],
    }


def _of_smollm2(runs: Mapping[tuple[str, str], Ended]) -> dict[str, Any]:
    few, many = (runs["smollm2_bf16", f"{n} tokens"] for n in (3, 512))
    weights = [c for c in few.report["comparisons"] if c["key"]["kind"] == "parameter"]
    return {
        "claim": next(iter(said(few.report))),
        "n_weights": sum(c["verdict"] == "identical" for c in weights),
        "repaired": _greatest(runs["smollm2_bf16", "the float32 buffer put back"].report),
        "spoilt": _greatest(runs["smollm2_bf16", "the rounded buffer in both"].report),
        "few_layers": _first_and_greatest(few.report),
        "many_layers": _first_and_greatest(many.report),
        "few": few.distances,
        "many": many.distances,
    }


def _first_and_greatest(report: Json) -> tuple[float, float]:
    """The greatest difference of what the first layer returns, and of any."""
    found = list(layers(report))
    return found[0], max(found)


def _numbers(large: Sequence[Ended]) -> Iterator[str]:
    """All numbers of the large runs beside the published ones."""
    for number, word in (("mean_abs", "Mean"), ("max_abs", "Greatest")):
        names = " | ".join(one.run.name for one in large)
        yield f"<details><summary>{word} differences, ours / published</summary>\n"
        yield f"| tensor | {names} |"
        yield "|---" * (len(large) + 1) + "|"
        columns = [
            (by_tensor(o.report, number), published(o.run.experiment, number)) for o in large
        ]
        for name in TENSORS:
            yield _line((name, *(f"{ours[name]:.3g} / {its[name]:.3g}" for ours, its in columns)))
        yield "\n</details>\n"


def _times(large: Sequence[Ended]) -> Iterator[str]:
    yield "| run | side | memory | parts |"
    yield "|---|---|---|---|"
    for one in large:
        for side in one.report["sides"]:
            parts = ", ".join(f"{name} {seconds:.0f}" for name, seconds in side["seconds"].items())
            memory = f"{side['peak_memory_bytes'] / 1e9:.1f} GB"
            yield _line((one.run.name, side["role"], memory, parts))
