"""The HTML report: one file per port that works from disk, without a network.

What the page shows travels as compressed data that the HTML parser never looks into, and only the
page's own two scripts may run (their hashes stand in its security policy): a name can't become
markup or code. The plot library is plotly's own bundle, started when the first plot is drawn.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources

from jinja2 import Environment, StrictUndefined, Template

from portalign import __version__
from portalign.records import Step
from portalign.report.aggregate import RunReport
from portalign.report.codec import Json
from portalign.report.document import WORDS
from portalign.report.page import page_data
from portalign.report.plain import plain
from portalign.report.samples import Sample
from portalign.report.words import Say, english, phrases
from portalign.results import StepReport, Verdict

_SCRIPTS = (
    "dom",
    "list",
    "model",
    "tree",
    "tensors",
    "plots",
    "curves",
    "values",
    "detail",
    "step",
    "main",
)


def render(
    run: RunReport,
    reports: Mapping[Step, StepReport],
    say: Say = english,
    *,
    samples: Mapping[Step, Mapping[str, Sample]] | None = None,
) -> str:
    """The page as text.

    Args:
        run: the verdict over all steps.
        reports: the steps that have one.
        say: puts sentences into the reader's language.
        samples: what was kept of each step's values, by label.
    """
    script = _script()
    plotly = _plotly()
    return _template().render(
        run=run,
        word=WORDS[run.outcome],
        verdicts=[verdict.value for verdict in Verdict],
        frameworks=_frameworks(reports),
        version=__version__,
        plain=plain,
        say=say,
        style=_file("style.css"),
        script=script,
        data=_packed(json.dumps(_data(run, reports, say, samples or {}), allow_nan=False)),
        plotly=_packed(plotly),
        hashes=" ".join(_hash(text) for text in (script, plotly)),
    )


def _data(
    run: RunReport,
    reports: Mapping[Step, StepReport],
    say: Say,
    samples: Mapping[Step, Mapping[str, Sample]],
) -> Json:
    words = {text: say(text) for text in phrases()}
    data: dict[str, Json] = page_data(run, reports, say, samples=samples)
    return {**data, "words": {text: said for text, said in words.items() if said != text}}


def _frameworks(reports: Mapping[Step, StepReport]) -> str:
    """ "torch 2.13.0 → paddle 3.3.1" of the first step that knows both sides."""
    for report in reports.values():
        if len(report.sides) == 2:
            named = (f"{side.framework} {side.framework_version}" for side in report.sides)
            return plain(" → ".join(named))
    return ""


def _packed(text: str) -> str:
    """Text as base64 of gzip: no character in it means anything to HTML."""
    return base64.b64encode(gzip.compress(text.encode("utf-8"), compresslevel=6, mtime=0)).decode(
        "ascii"
    )


def _hash(script: str) -> str:
    """A script's entry in a Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode('utf-8')).digest()).decode()}'"


@cache
def _plotly() -> str:
    """The plot library, as the installed plotly package carries it."""
    place = resources.files("plotly") / "package_data" / "plotly.min.js"
    return place.read_text(encoding="utf-8")


def _script() -> str:
    """All scripts of the page in one scope of their own."""
    parts = "\n".join(_file(f"{name}.js") for name in _SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _file(name: str) -> str:
    place = resources.files("portalign.report") / "page" / name
    return place.read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_file("report.html.j2"))
