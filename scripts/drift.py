"""Train the port `resnet` in train mode, right and with a wrong eps: ``make drift``.

Ten iterations of AdamW at 1e-3 carry two faithful float32 sides per cents apart, and that has to
pass as rounding; Adam's eps wrong by a factor of 100 moves the losses less and has to fail. Ends
with 1 if either is judged otherwise. Two minutes of computing for each.

    python scripts/drift.py [--logs FOLDER]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from portalign.config import load_port
from portalign.findings import Part
from portalign.records import Kind, Step
from portalign.report.trained import trained
from portalign.results import Comparison, Outcome, StepReport, Verdict
from portalign.runner import run_step

ITERATIONS = 10
OPTIMIZER = "optimizer={{name: adamw, lr: 1.0e-3, weight_decay: 0.01, candidate: {{{}}}}}"


def run(mistake: str, logs: Path) -> StepReport:
    """The backward step with these arguments of the candidate's optimizer."""
    overrides = ["mode=train", f"iterations={ITERATIONS}", OPTIMIZER.format(mistake)]
    return run_step(load_port("resnet", overrides), Step.BACKWARD, logs, on_beat=lambda _: None)


def wrong_of_the_right(report: StepReport) -> Iterator[str]:
    """What isn't as it must be of two faithful sides."""
    if report.outcome is not Outcome.PASS:
        yield f"the right port ends with {report.outcome.value}"
    if not report.growth or not report.growth.is_rounding:
        yield "the drift of the right port isn't called rounding"
    if not _loss_apart(report) > 0.01:
        yield "the losses end less than one per cent apart: nothing is shown"
    verdicts = {c.verdict for c in report.comparisons if c.key.kind is not Kind.BUFFER}
    if not verdicts <= {Verdict.ROUNDING, Verdict.IDENTICAL}:
        yield f"the right port has pairs that are {', '.join(sorted(v.value for v in verdicts))}"
    kept = [
        c for c in _variances(report) if c.verdict is Verdict.KNOWN and "n / (n - 1)" in c.reason
    ]
    if not kept or len(kept) != len(_variances(report)):
        yield f"n / (n - 1) is known of {len(kept)} of {len(_variances(report))} variances"
    means = [c for c in report.comparisons if c.key.slot == "running_mean" and c.key.iteration]
    if len(means) != len(kept):
        yield f"{len(means)} running means are compared beside {len(kept)} variances"


def wrong_of_the_fault(report: StepReport) -> Iterator[str]:
    """What isn't as it must be of an eps that is wrong by a factor of 100."""
    if report.outcome is not Outcome.FAIL:
        yield f"the wrong eps ends with {report.outcome.value}"
    if {blame.part for blame in report.blames} != {Part.UPDATE} or report.blames[0].iteration:
        yield f"the wrong eps is blamed otherwise: {[blame.text for blame in report.blames[:3]]}"
    if report.growth and report.growth.is_rounding:
        yield "what the wrong eps does is called rounding"


def _variances(report: StepReport) -> list[Comparison]:
    """Running variances after every iteration."""
    return [c for c in report.comparisons if c.key.slot == "running_var" and c.key.iteration]


def _loss_apart(report: StepReport) -> float:
    """Relative difference of the last float32 losses."""
    ours, theirs = (report.curves["loss"][role][-1] for role in ("reference", "candidate"))
    return abs(theirs - ours) / abs(ours)


def main() -> int:
    """Run both and print what they show."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logs", type=Path, help="keep both runs there")
    kept = parser.parse_args().logs
    complaints: list[str] = []
    with nullcontext(kept) if kept else tempfile.TemporaryDirectory() as folder:
        for name, mistake, look in (
            ("right", "", wrong_of_the_right),
            ("eps 1e-6 for 1e-8", "eps: 1.0e-6", wrong_of_the_fault),
        ):
            report = run(mistake, Path(folder) / name.partition(" ")[0])
            print(f"{name}: {report.outcome.value}, {report.headline}")
            print(f"  float32 losses end {_loss_apart(report):.1%} apart")
            for line in trained(report.blames, report.growth):
                print(f"  {line}", flush=True)
            complaints += look(report)
    print("\n".join(complaints) or "both are judged as they must be")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
