"""What proving costs: the forward and backward steps of a port against running both its models
bare.

Prints time and peak memory as multiples of the bare run, measured in the same run with the same
threads, and the bytes on disk. The bare run builds the same models on the same batches and does the
same forward or training, without hooks, copies or comparison. Imports are taken out of both.

    python scripts/bench_steps.py [--set settings.size=base] [--port bert] [--step forward]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from portalign.config import Port, load_port
from portalign.records import Precision, Role, Step
from portalign.request import CaptureRequest
from portalign.results import StepReport
from portalign.runner import run_step

TWINS = {Step.FORWARD: ("off", "segments", "on"), Step.BACKWARD: ("off", "on")}


def bare(request: CaptureRequest) -> dict[str, float]:
    """Run one side without portalign's watching; seconds without imports, and peak memory."""
    import resource

    from portalign import frameworks
    from portalign.functions import load_function
    from portalign.stages.batches import first_batches, model_arguments

    framework = frameworks.load(request.framework)
    framework.prepare(seed=request.seed, threads=request.threads, device=request.device)
    build = load_function(request.build)
    n_batches = request.iterations if request.step is Step.BACKWARD else 1
    batches = first_batches(request, n_batches)
    start = time.perf_counter()
    model = build(dict(request.settings))
    framework.set_mode(model, request.mode)
    tensors = [
        {name: framework.tensor(array, precision=Precision.NATIVE) for name, array in batch.items()}
        for batch in batches
    ]
    arguments = [model_arguments(batch, request) for batch in tensors]
    if request.step is Step.FORWARD:
        framework.forward(model, arguments[0], grad=False)
    else:
        _train(framework, model, request, tensors, arguments)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0}


def _train(framework, model, request, tensors, arguments) -> None:  # type: ignore[no-untyped-def]
    trainer = framework.trainer(
        model,
        request.optimizer,
        request.lr_scheduler,
        settings=request.settings,
        precision=Precision.NATIVE,
        other_framework=request.other_framework,
    )
    loss_function = framework.loss(
        request.loss, request.settings, other_framework=request.other_framework
    )
    for iteration in range(request.iterations):
        index = iteration % len(tensors)
        trainer.reset()
        output = framework.forward(model, arguments[index], grad=True)
        trainer.backward(loss_function(output, tensors[index]))
        trainer.update()
        trainer.schedule()


def bare_both(port: Port, step: Step, folder: Path) -> list[dict[str, float]]:
    """Run both sides bare, each in its own process, at the same time."""
    threads = max(1, (os.cpu_count() or 2) // 2)
    children = []
    for role in Role:
        order = folder / f"{role.value}.json"
        order.write_text(replace(port.request(role, step, folder), threads=threads).to_json())
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, __file__, "--bare", str(order)]
        children.append(subprocess.Popen(command, stdout=subprocess.PIPE, env=environment))
    outputs = [child.communicate()[0] for child in children]
    if any(child.returncode for child in children):
        raise SystemExit("a bare run failed; see above")
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def measure(port: Port, step: Step) -> str:
    """One row: the step against the bare run."""
    with tempfile.TemporaryDirectory() as name:
        bare_sides = bare_both(port, step, Path(name))
        start = time.perf_counter()
        report: StepReport = run_step(port, step, Path(name), on_beat=lambda beat: None)
        wall = time.perf_counter() - start
        files = [path for path in Path(name).rglob("*") if path.is_file()]
        n_bytes = sum(path.stat().st_size for path in files)
    imports = max(side.seconds.get("import", 0.0) for side in report.sides)
    bare_seconds = max(side["seconds"] for side in bare_sides)
    peaks = [
        side.peak_memory_bytes / bare_side["peak"]
        for side, bare_side in zip(report.sides, bare_sides, strict=True)
    ]
    capture = max(side.seconds["total"] - side.seconds.get("wait", 0.0) for side in report.sides)
    return (
        f"{port.name} {step.value:9} twin={port.twin:8} bare {bare_seconds:6.1f} s, "
        f"captures {capture / bare_seconds:5.2f}x, "
        f"whole step {(wall - imports) / bare_seconds:5.2f}x, "
        f"peak memory {max(peaks):5.2f}x ({_gb(report)} GB a side), "
        f"{n_bytes / 2**20:8.0f} MB on disk, {report.outcome.value}"
    )


def _gb(report: StepReport) -> str:
    return " and ".join(f"{side.peak_memory_bytes / 1e9:.2f}" for side in report.sides)


def main() -> None:
    """Measure both steps without and with each kind of float64 twin."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", default="bert")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--step", action="append", choices=[step.value for step in TWINS])
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        print(json.dumps(bare(CaptureRequest.from_json(Path(arguments.bare).read_text()))))
        return
    overrides = arguments.overrides or ["settings.size=base"]
    for step in [step for step in TWINS if not arguments.step or step.value in arguments.step]:
        for twin in TWINS[step]:
            print(
                measure(load_port(arguments.port, [*overrides, f"twin={twin}"]), step), flush=True
            )


if __name__ == "__main__":
    main()
