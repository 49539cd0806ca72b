"""What ships: the wheel, the pins, the make targets, the step scripts, the docstrings' examples."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import portalign

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "pipeline"
STEPS = ["step1_forward", "step2_metric", "step3_lr_scheduler", "step4_backward", "step5_check"]
# Modules that can be imported with neither framework nor a porter's packages.
PLAIN = [
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(SOURCE.glob("portalign/**/*.py"))
    if path.name not in {"__main__.py", "_reprod_child.py"}
    and not {"ports", "pytorch", "paddlepaddle"} & set(path.parts)
]


def pins() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            found.setdefault(canonicalize_name(pin.name), set()).add(str(pin.specifier))
    return found


def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")

    names = zipfile.ZipFile(wheel).namelist()

    assert wheel.name == f"portalign-{portalign.__version__}-py3-none-any.whl"
    assert "portalign/py.typed" in names
    data = {".css", ".j2", ".js", ".tsv", ".txt", ".yaml"}
    shipped = [path for path in SOURCE.glob("portalign/**/*") if path.suffix in {".py", *data}]
    assert {str(path.relative_to(SOURCE)) for path in shipped} <= set(names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"portalign"}


def test_every_dependency_is_pinned_exactly() -> None:
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = about["optional-dependencies"]
    asked = [Requirement(text) for text in [*about["dependencies"], *chain(*extras.values())]]

    unpinned = [each.name for each in asked if canonicalize_name(each.name) not in pins()]

    assert unpinned == []
    assert all(re.fullmatch(r"==[^,*]+", pin) for each in pins().values() for pin in each)
    assert (pins()["torch"], pins()["paddlepaddle"]) == ({"==2.13.0"}, {"==3.3.1"})
    for each in asked:
        for pin in pins()[canonicalize_name(each.name)]:
            assert each.specifier.contains(pin.removeprefix("==")), each


def test_a_dependency_without_a_pin_would_be_noticed() -> None:
    assert canonicalize_name("no_such_package") not in pins()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files `make setup` reads, in a path with spaces, its Python only notes its calls."""
    folder = tmp_path / "a clone" / "port align"
    folder.mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    fake = folder.parent / "fake python"
    fake.write_text(
        "#!/bin/bash\n"
        'echo "$*" >> "$CALLS"\n'
        'if [ "$1 $2" = "-m venv" ]; then\n'
        '  rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python"\n'
        "fi\n"
        'if [ "$1 $2" = "-m pip" ] && [ -n "$FAIL" ]; then exit 1; fi\n'
    )
    fake.chmod(0o755)
    return folder


def make(clone: Path, target: str = "setup", **more: str) -> tuple[int, list[str]]:
    """Call make from another folder; its exit code and the calls of Python that count."""
    calls = clone.parent / "calls"
    calls.unlink(missing_ok=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "ARGS"))}
    done = subprocess.run(
        ["make", "-C", str(clone), target, f"PYTHON={clone.parent / 'fake python'}"],
        env={**env, "CALLS": str(calls), "FAIL": "", "CHROMIUM": "true", **more},
        cwd="/",
        check=False,
        capture_output=True,
        text=True,
    )
    lines = calls.read_text().splitlines() if calls.exists() else []
    return done.returncode, [line for line in lines if not line.startswith(("-c ", "--version"))]


def test_setup_installs_torch_first_and_does_nothing_the_second_time(clone: Path) -> None:
    code, calls = make(clone)

    assert code == 0
    assert calls[0] == "-m venv --clear .venv"
    assert [call.rpartition("constraints.txt ")[2] for call in calls[1:]] == [
        "torch==2.13.0",
        "hatchling",
        "--no-build-isolation -e .[torch,paddle,dev]",
    ]
    assert make(clone) == (0, [])


def test_setup_updates_in_place_when_the_pins_change(clone: Path) -> None:
    make(clone)
    stamp = (clone / ".venv" / ".ok").stat().st_mtime
    os.utime(clone / "constraints.txt", (stamp + 9, stamp + 9))

    code, calls = make(clone)

    assert code == 0
    assert len(calls) == 3
    assert not any("venv --clear" in call for call in calls)


def test_an_interrupted_setup_starts_again_from_an_empty_environment(clone: Path) -> None:
    code, _ = make(clone, FAIL="yes")
    assert code == 2
    assert not (clone / ".venv" / ".ok").exists()

    code, calls = make(clone)

    assert code == 0
    assert calls[0] == "-m venv --clear .venv"


def test_an_environment_made_for_another_folder_is_made_anew(clone: Path) -> None:
    make(clone)
    moved = clone.rename(clone.parent / "moved")

    code, calls = make(moved)

    assert code == 0
    assert calls[0] == "-m venv --clear .venv"


def test_setup_without_a_usable_python_says_what_to_do(clone: Path) -> None:
    done = subprocess.run(
        ["make", "-C", str(clone), "setup", "PYTHON=no-such-python"],
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 2
    assert "found no Python >= 3.10" in done.stderr
    assert "what to do: install one" in done.stderr


@pytest.mark.parametrize(
    ("target", "call"),
    [
        ("run", "-m portalign run --port bert"),
        ("test", "-m pytest --numprocesses auto --maxprocesses 4 --dist loadfile"),
        ("faults", "scripts/faults.py"),
    ],
)
def test_a_target_sets_up_and_fails_with_what_it_runs(clone: Path, target: str, call: str) -> None:
    python = clone.parent / "fake python"
    python.write_text(python.read_text() + f'[ "$*" != "{call} " ] && [ "$*" != "{call}" ]\n')

    code, calls = make(clone, target)

    assert len(calls) == 5
    assert calls[-1].strip() == call
    assert code == 2


def test_without_a_browser_the_tests_say_what_to_do(clone: Path) -> None:
    """As a user who may install nothing: `id` says so."""
    tools = clone.parent / "tools"
    tools.mkdir()
    (tools / "id").write_text("#!/bin/sh\necho 1000\n")
    (tools / "id").chmod(0o755)

    done = subprocess.run(
        ["make", "-C", str(clone), "browser", "CHROMIUM=no-such-browser"],
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 2
    assert "found no browser among: no-such-browser" in done.stderr
    assert "what to do: install Chromium" in done.stderr


def test_ci_runs_what_a_contributor_runs(tmp_path: Path) -> None:
    fake = tmp_path / "make"
    fake.write_text('#!/bin/bash\necho "$PWD: $*"\nexit 3\n')
    fake.chmod(0o755)

    done = subprocess.run(
        [str(ROOT / ".ci" / "run")],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        cwd="/",
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout) == (3, f"{ROOT}: test\n")


@pytest.mark.parametrize("name", STEPS)
def test_a_step_script_is_a_docstring_and_one_call(name: str) -> None:
    text = (ROOT / "steps" / f"{name}.py").read_text()
    body = ast.parse(text).body

    assert len(text.splitlines()) <= 15
    assert ast.get_docstring(ast.parse(text))
    assert [type(node).__name__ for node in body] == ["Expr", "ImportFrom", "Expr"]
    assert ast.unparse(body[-1]) == f"run('{name.partition('_')[2]}')"


def bare_step(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a step of a copied tree from another folder, with a Python that has no portalign."""
    shutil.copytree(ROOT / "steps", root / "steps", ignore=shutil.ignore_patterns("__pycache__"))
    script = str(root / "steps" / "step4_backward.py")
    return subprocess.run(
        [sys.executable, "-E", "-S", script, *arguments],
        cwd="/",
        check=False,
        capture_output=True,
        text=True,
    )


def test_a_step_hands_over_to_the_environment_of_its_checkout(tmp_path: Path) -> None:
    python = tmp_path / "a b" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/bash\nprintf "%s|" "$@"\nexit 1\n')
    python.chmod(0o755)

    done = bare_step(tmp_path / "a b", "--set", "settings.size=a b")

    script = tmp_path / "a b" / "steps" / "step4_backward.py"
    assert done.stdout == f"{script}|--set|settings.size=a b|"
    assert done.returncode == 1


def test_a_step_without_an_environment_says_what_to_do(tmp_path: Path) -> None:
    done = bare_step(tmp_path)

    assert done.returncode == 2
    assert "has no portalign" in done.stderr
    assert f"make -C '{tmp_path}' setup" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_environment_that_lacks_portalign_does_not_restart_for_ever(tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/bash\nexec "{sys.executable}" -E -S "$@"\n')
    python.chmod(0o755)

    done = bare_step(tmp_path)

    assert done.returncode == 2
    assert "has no portalign" in done.stderr


@pytest.mark.parametrize("module", PLAIN)
def test_examples_in_docstrings_are_true(module: str) -> None:
    assert doctest.testmod(importlib.import_module(module)).failed == 0
