"""The HTML report in a real browser: from disk, without a network, by mouse and by keyboard."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

import sample_ports
from portalign.compare.pairs import compare
from portalign.records import Kind, Step, TensorKey
from portalign.report import html
from portalign.report.aggregate import Recorded, summarise
from portalign.report.samples import Sample, sample

pytestmark = [pytest.mark.browser]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PORTS: dict[str, Callable[[], Recorded]] = {
    "passing": sample_ports.passing_port,
    "deep": sample_ports.deep_port,
    "large": sample_ports.large_port,
    "odd": sample_ports.odd_port,
}
# What is asked for: interactive within three seconds. Processor time of the page's own thread, for
# the tests may share a machine with other work; it was 0.5 to 0.8 s on two busy cores.
INTERACTIVE_SECONDS = 3.0


@dataclass
class Opened:
    """A report in a page, with everything the page complained about or asked the network for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    named = filter(None, (os.environ.get("CHROMIUM"), *map(shutil.which, BROWSERS)))
    executable = next(named, None)
    assert executable, "no Chromium: `make browser` installs one"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name of a port -> its report on disk, made when it is first asked for."""
    folder = tmp_path_factory.mktemp("reports")

    def file(name: str) -> Path:
        path = folder / f"{name}.html"
        if not path.exists():
            found = PORTS[name]()
            text = html.render(summarise(found), found.reports, samples=_samples(name))
            path.write_text(text, encoding="utf-8")
        return path

    return file


@pytest.fixture
def open_port(browser: Browser, files: Callable[[str], Path]) -> Iterator[Callable[..., Opened]]:
    """Open a port's report; when the test ends, the page must not have complained or fetched."""
    opened: list[Opened] = []

    def open_one(name: str, *, scheme: str = "light", plots: bool = False) -> Opened:
        path = files(name)
        context = browser.new_context(
            viewport={"width": 1440, "height": 900}, color_scheme=scheme, offline=True
        )
        page = context.new_page()
        if not plots:  # nothing comes into sight: starting the plot library costs two seconds
            page.add_init_script("IntersectionObserver.prototype.observe = () => {}")
        found = Opened(page)
        page.on("console", lambda message: found.complaints.append(message.text))
        page.on("pageerror", lambda error: found.complaints.append(str(error)))
        page.on("request", lambda request: found.requests.append(request.url))
        page.on("dialog", lambda dialog: found.complaints.append(dialog.message))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        opened.append(found)
        return found

    yield open_one
    for each in opened:
        assert each.complaints == []
        assert [url for url in each.requests if not url.startswith(("file:", "data:"))] == []
        assert len([url for url in each.requests if url.startswith("file:")]) == 1
        each.page.context.close()


def _samples(name: str) -> dict[Step, dict[str, Sample]]:
    """Values of the deep port's origin; nothing was kept of the others."""
    if name != "deep":
        return {}
    reference = np.linspace(-1, 1, 8 * 22 * 64).reshape(8, 22, 64)
    key = TensorKey(Kind.ACTIVATION, "value", "out.0")
    one = compare(reference, reference**2, key=key, label=sample_ports.ORIGIN)
    return {Step.FORWARD: {one.label: sample(one, reference, reference**2)}}


def busy_seconds(session: CDPSession) -> float:
    """Processor time that the page's main thread has spent so far."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(each["value"] for each in metrics if each["name"] == "TaskDuration")


def test_a_passing_port_shows_its_verdict_plots_and_every_step(
    open_port: Callable[..., Opened],
) -> None:
    page = open_port("passing", plots=True).page

    assert page.inner_text("h1").split() == ["bert", "aligned"]
    assert "4 of 4 steps pass" in page.inner_text("header")
    page.wait_for_selector(".plot[data-drawn] .trace")
    assert page.locator(".spot").count() == 0
    page.focus("#tab-forward")
    for step in ("metric", "lr_scheduler", "backward"):
        page.keyboard.press("ArrowRight")
        assert page.get_attribute(f"#tab-{step}", "aria-selected") == "true"
        assert page.inner_text("#step .big") == "aligned"
    page.locator(".curves").scroll_into_view_if_needed()
    page.wait_for_selector(".curves .plot[data-drawn] .trace")
    assert page.locator(".curves figure").count() == 3  # loss, gradient norm, learning rate


def test_the_origin_is_reached_in_two_clicks(open_port: Callable[..., Opened]) -> None:
    page = open_port("deep").page

    page.click(".spot >> nth=1")  # glue before layer 20
    page.click(".spot >> nth=0")

    assert page.inner_text(".detail-name") == sample_ports.ORIGIN
    assert "it begins here" in page.inner_text(".detail")
    for side, name in (("reference", "value"), ("candidate", "v_proj")):
        chosen = page.locator(f"[role=tree][aria-label={side}] [aria-selected=true]")
        assert chosen.locator(".name").inner_text() == name
        assert "l-origin" in (chosen.get_attribute("class") or "")


def test_values_that_were_kept_are_drawn_and_missing_ones_are_named(
    open_port: Callable[..., Opened],
) -> None:
    page = open_port("deep", plots=True).page

    page.click(".spot >> nth=0")
    for plot in page.locator(".detail .plot").all():
        plot.scroll_into_view_if_needed()
    page.wait_for_selector(".detail .plot[data-drawn] .bars")
    page.wait_for_selector(".detail .plot[data-drawn] .heatmaplayer image")

    rows = page.locator(".detail .values >> nth=1").inner_text()
    assert "[0]" in rows
    assert "-1" in rows
    page.click(".spot >> nth=1")
    assert "No values were kept of this tensor" in page.inner_text(".detail")


def test_a_finding_shows_cause_evidence_and_remedy(open_port: Callable[..., Opened]) -> None:
    page = open_port("deep").page

    text = page.inner_text(".findings")

    for said in (
        "confirmed by its repair",
        "The reference computes GELU with erf, the candidate with tanh.",
        "With erf in place of tanh",
        "Use nn.GELU()",
        "ruled out: transposed weight, missing bias, scale",
    ):
        assert said in text
    page.click(".findings .link >> nth=0")
    assert page.inner_text(".detail-name") == "encoder.layer.20.output.dense in.0"


def test_search_finds_modules_and_tensors_and_can_be_left(open_port: Callable[..., Opened]) -> None:
    page = open_port("deep").page
    everything = page.inner_text(".tensor-list .count")

    page.keyboard.press("/")
    page.keyboard.type("layer.3.output.LayerNorm")

    assert page.inner_text(".tensor-list .count") == "3"
    names = page.locator("[role=tree][aria-label=candidate] .name").all_inner_texts()
    assert names == ["(root)", "encoder", "layers", "3", "norm2"]
    page.keyboard.press("Escape")
    assert page.inner_text(".tensor-list .count") == everything


def test_trees_and_lists_are_walked_with_the_keyboard(open_port: Callable[..., Opened]) -> None:
    page = open_port("deep").page
    tree = "[role=tree][aria-label=reference]"

    page.focus(tree)
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    assert page.inner_text(f"{tree} .active .name") == "encoder"
    page.keyboard.press("ArrowLeft")
    assert page.get_attribute(f"{tree} .active", "aria-expanded") == "false"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.inner_text(f"{tree} .active .name") == "layer"
    active = page.get_attribute(tree, "aria-activedescendant")
    assert page.get_attribute(f"{tree} .active", "id") == active
    page.keyboard.press("Enter")
    assert page.inner_text(".scope") == "encoder.layer ✕"

    page.focus("[role=listbox]")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    assert page.inner_text(".detail-name") == page.inner_text("[role=listbox] .active .name")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_inherited_parts_are_dimmed_and_origins_are_not(open_port: Callable[..., Opened]) -> None:
    page = open_port("deep").page

    def opacity(kind: str) -> float:
        found = page.locator(f"[role=listbox] .l-{kind} .name").first
        return float(found.evaluate("element => getComputedStyle(element).opacity"))

    assert opacity("origin") == 1.0
    assert opacity("inherited") < 0.7


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_system_and_can_be_switched(
    open_port: Callable[..., Opened], scheme: str
) -> None:
    page = open_port("passing", scheme=scheme, plots=True).page

    def is_dark() -> bool:
        color = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        return sum(map(int, color.removeprefix("rgb(").removesuffix(")").split(", "))) < 3 * 128

    assert is_dark() is (scheme == "dark")
    page.wait_for_selector(".plot[data-drawn]")
    page.click("#theme")
    assert is_dark() is (scheme == "light")


def test_fifty_thousand_tensors_are_interactive_within_three_seconds(
    open_port: Callable[..., Opened],
) -> None:
    page = open_port("large", plots=True).page
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    page.click(".spot >> nth=0")

    assert busy_seconds(session) <= INTERACTIVE_SECONDS
    assert page.inner_text(".detail-name") == sample_ports.ORIGIN
    assert page.inner_text(".tensor-list .count") == "50,016"
    assert page.locator("[role=treeitem]").count() < 200  # only what is in sight exists
    page.fill("#search", "layer.2083.output.LayerNorm")
    assert page.inner_text(".tensor-list .count") == "3"
    page.wait_for_selector(".plot[data-drawn]")


def test_names_that_want_to_be_obeyed_are_only_shown(open_port: Callable[..., Opened]) -> None:
    page = open_port("odd", plots=True).page

    page.locator(".curves").scroll_into_view_if_needed()
    page.wait_for_selector(".curves .plot[data-drawn]")
    for summary in page.locator("summary").all():
        summary.click()
    page.fill("#search", "<script>")

    text = page.inner_text("body")
    assert page.title().endswith(": diverged")
    assert page.locator("img, body script script").count() == 0
    assert text.count(sample_ports.EVIL) > 10
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_the_guard_against_foreign_scripts_works(open_port: Callable[..., Opened]) -> None:
    """Its twin: a script that did get into the page would be stopped, and be noticed."""
    opened = open_port("passing")

    opened.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), "
        "{text: 'document.title = \"broken in\"'}))"
    )
    opened.page.evaluate("fetch('https://example.org/').catch(() => 0)")

    assert opened.page.title() != "broken in"
    assert len(opened.complaints) >= 2
    assert all("Content Security Policy" in each for each in opened.complaints)
    opened.complaints.clear()
    opened.requests[:] = opened.requests[:1]
