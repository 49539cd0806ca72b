// Start: unpack the data, choose the step that needs looking at, keep tabs, theme and shortcuts.

function chooseTheme(theme) {
  document.documentElement.dataset.theme = theme;
  document.getElementById("theme").textContent = t(theme === "dark" ? "light" : "dark");
  redraw();
}

function startTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const preferred = () => (system.matches ? "dark" : "light");
  let isChosen = false;
  chooseTheme(preferred());
  system.addEventListener("change", () => { if (!isChosen) chooseTheme(preferred()); });
  document.getElementById("theme").addEventListener("click", () => {
    isChosen = true;
    chooseTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  });
}

function startTabs(steps) {
  const host = document.getElementById("step");
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const choose = (at, focus) => {
    tabs.forEach((tab, other) => {
      tab.setAttribute("aria-selected", String(other === at));
      tab.tabIndex = other === at ? 0 : -1;
    });
    if (focus) tabs[at].focus();
    host.setAttribute("aria-labelledby", tabs[at].id);
    new StepView(steps[at], host);
  };
  tabs.forEach((tab, at) => {
    tab.addEventListener("click", () => choose(at, false));
    tab.addEventListener("keydown", (event) => {
      const goes = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (goes === undefined) return;
      event.preventDefault();
      choose((goes + tabs.length) % tabs.length, true);
    });
  });
  const severity = ["fail", "error", "inconclusive", "pass"];
  const worst = steps.map((step) => (step.outcome ? severity.indexOf(step.outcome) : severity.length));
  choose(worst.indexOf(Math.min(...worst)), false);
}

document.addEventListener("keydown", (event) => {
  const search = document.getElementById("search");
  if (!search) return;
  if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(event.target.tagName)) {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "Escape" && event.target === search) {
    search.value = "";
    search.dispatchEvent(new Event("input"));
  }
});

function tooOld() {
  const text = t("This browser is too old to unpack the rest of this page.");
  document.getElementById("step").replaceChildren(el("p", { class: "notice" }, text));
}

startTheme();
if (typeof DecompressionStream === "undefined") tooOld();
else unpacked("data").then((text) => {
  const data = JSON.parse(text);
  words = data.words ?? {};
  startTabs(data.steps);
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
});
