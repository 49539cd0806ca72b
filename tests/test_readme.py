"""README.md is true: its files make a port, its commands run and end with the codes it names, and
what it shows of their output is what they print.

Numbers depend on the machine, so output is compared with its numbers blanked out. `make` itself is
not called from within the suite; that its targets exist is checked.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTIONS = [
    "Run it",
    "Exit codes",
    "The steps",
    "The report",
    "How to read a diff log",
    "Aligning your own model",
    "The port file",
    "Replaying a real training",
    "Limits",
]
STEP_LOG = "logs/bert/forward_diff.log"


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, its lines, the heading it stands under."""

    language: str
    text: str
    section: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A command of the README and how it ended."""

    command: str
    expected: int
    code: int
    out: str


def blocks(text: str) -> Iterator[Block]:
    """All fenced blocks in order."""
    section = ""
    for found in re.finditer(
        r"^## ([^\n]+)$|^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
    ):
        if found[1]:
            section = found[1]
        else:
            yield Block(found[2], found[3], section)


def commands(text: str) -> list[tuple[str, int]]:
    """Every line of the bash blocks and the exit code it promises, 0 if it says none."""
    lines = [
        line for b in blocks(text) if b.language == "bash" for line in b.text.splitlines() if line
    ]
    promised = [re.search(r"# exit code (\d)$", line) for line in lines]
    return [
        (line.partition("  #")[0], int(code[1]) if code else 0)
        for line, code in zip(lines, promised, strict=True)
    ]


def named_in_text(text: str) -> list[str]:
    """Commands that stand in running text."""
    plain = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`((?:make |\.venv/|python steps/)[^`]*)`", plain)


def files(text: str) -> dict[str, str]:
    """Path -> content of every block that begins with its own path as a comment."""
    found = {}
    for block in blocks(text):
        head = re.match(r"# (\S+/\S+\.(?:py|yaml))\n", block.text)
        if head:
            found[head[1]] = block.text
    return found


def shape(line: str) -> str:
    """A line without what differs from run to run: numbers, and the table's white space."""
    return " ".join(re.sub(r"[-+]?\d[\d.]*(e[-+]\d+)?", "N", line).replace("─", "").split())


def shown(block: Block) -> list[str]:
    """The lines a block shows, without those that say that something is left out."""
    lines = [shape(line) for line in block.text.splitlines() if line != "..."]
    return [line for line in lines if line]


def lost(block: Block, output: str) -> list[str]:
    """Lines of a block that the output doesn't have."""
    there = {shape(line) for line in output.splitlines()}
    return [line for line in shown(block) if line not in there]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the commands need, with a .venv and a `python` that are this interpreter."""
    folder = tmp_path_factory.mktemp("a checkout")
    for name in ("pipeline", "steps"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    tools = folder / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name, before in (("python", ""), ("portalign", "-m portalign ")):
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {before}"$@"\n')
        (tools / name).chmod(0o755)
    for name, text in files(README).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def ran(checkout: Path) -> list[Ended]:
    """Every command of the README but make, in order, in one checkout."""
    environment = {
        **os.environ,
        "PATH": f"{checkout / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(checkout / "pipeline"),
        "OMP_NUM_THREADS": "1",
    }
    ended = []
    for command, expected in commands(README):
        if command.startswith("make "):
            continue
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=checkout,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        ended.append(Ended(command, expected, done.returncode, done.stdout))
    return ended


def output_of(ran: list[Ended], part: str) -> str:
    """What the command with this part in it printed."""
    return next(one.out for one in ran if part in one.command)


def of_section(section: str, language: str) -> list[Block]:
    """The blocks of one language in one section."""
    return [b for b in blocks(README) if (b.section, b.language) == (section, language)]


def test_sections_stand_in_their_order() -> None:
    assert re.findall(r"^## (.+)$", README, re.MULTILINE) == SECTIONS


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    said = [c for c, _ in commands(README)] + named_in_text(README)

    named = {c.split()[1] for c in said if c.startswith("make ")}

    assert {"run", "test", "check"} <= named
    assert named <= targets


def test_commands_in_running_text_are_run_too() -> None:
    run = [command for command, _ in commands(README)]

    for command in named_in_text(README):
        if not command.startswith("make "):
            assert any(each.startswith(command) for each in run), command


@pytest.mark.parametrize(
    "name",
    [
        "docs/port.schema.json",
        "docs/report-50000.png",
        "docs/report-origin.png",
        "docs/report-passing.png",
        "docs/report.schema.json",
        "docs/summary.schema.json",
    ],
)
def test_files_it_points_to_exist(name: str) -> None:
    assert name in README
    assert (ROOT / name).is_file()


def test_the_chinese_readme_has_the_same_commands_files_tables_and_links() -> None:
    chinese = (ROOT / "README.zh.md").read_text(encoding="utf-8")

    assert [(b.language, b.text) for b in blocks(chinese)] == [
        (b.language, b.text) for b in blocks(README)
    ]
    for pattern in (r"^## ", r"^\| ", r"^- \*\*", r"^!\["):
        here, there = (len(re.findall(pattern, text, re.M)) for text in (README, chinese))
        assert here == there, pattern
    assert set(re.findall(r"docs/[\w./-]+\w", README)) == set(
        re.findall(r"docs/[\w./-]+\w", chinese)
    )


@pytest.mark.parametrize("name", sorted((ROOT / "docs").glob("*.png")), ids=lambda path: path.name)
def test_a_screenshot_is_small(name: Path) -> None:
    assert name.stat().st_size < 200_000


def test_the_example_is_as_short_as_it_says() -> None:
    example = files(README)
    lines = [
        line for text in example.values() for line in text.splitlines() if line and line[0] != "#"
    ]

    assert sorted(example) == [f"digits/{n}" for n in ("data.py", "paddle_side.py")] + [
        "digits/port.yaml",
        "digits/torch_side.py",
    ]
    assert len(lines) <= 24  # "some twenty lines"


def test_a_line_that_is_not_printed_would_be_noticed() -> None:
    block = Block("text", "begins at act out.0\n...\n7 of 17 pairs\n", "")

    assert lost(block, "7 of 19  pairs\nbegins at act out.1\n") == []
    assert lost(block, "7 of 17 pairs\nbegins at fc out.0\n") == ["begins at act out.N"]


@pytest.mark.end_to_end
@pytest.mark.slow
def test_every_command_ends_with_the_code_it_promises(ran: list[Ended]) -> None:
    assert {one.expected for one in ran} == {0, 1}
    for one in ran:
        assert one.code == one.expected, f"{one.command}\n{one.out}"


@pytest.mark.end_to_end
@pytest.mark.slow
def test_the_forward_step_prints_and_logs_what_is_shown(ran: list[Ended], checkout: Path) -> None:
    printed = output_of(ran, "step1_forward")
    of_forward = of_section("Run it", "text")[0].text.partition("logs: ")[0]
    (log,) = of_section("How to read a diff log", "text")

    # The scripts name the folder in full, and rows of equal size may come in another order.
    assert lost(Block("text", of_forward, ""), printed) == []
    assert lost(log, (checkout / STEP_LOG).read_text()) == []


@pytest.mark.end_to_end
@pytest.mark.slow
def test_the_example_aligns_and_its_mistake_is_named(ran: list[Ended]) -> None:
    aligned, diverged = of_section("Aligning your own model", "text")

    assert lost(aligned, output_of(ran, "run --port digits")) == []
    assert lost(diverged, output_of(ran, "step forward --port digits")) == []
