// Numbers over the training iterations: both sides above, their difference below.

function curvePlot(curve) {
  const side = (name, values, ink, dash) => ({
    name: t(name), x: curve.x, y: values.map(finite), type: "scatter", mode: curve.x.length > 60 ? "lines" : "lines+markers",
    line: { color: color(ink), width: 2, dash }, marker: { size: 5 }, hovertemplate: `%{x}: %{y:.9g}<extra>${t(name)}</extra>`,
  });
  const below = (name, values, ink) => {
    const floor = floorOf([...curve.difference, ...curve.twin]);
    return {
      name: t(name), x: curve.x, y: values.map((value) => (value === 0 ? floor : finite(value))), yaxis: "y2", type: "scatter",
      mode: curve.x.length > 60 ? "lines" : "lines+markers", line: { color: color(ink), width: 1.5 },
      marker: { size: 5, symbol: values.map((value) => (value === 0 ? "circle-open" : "circle")) },
      text: values.map((value) => shown(value, 3)), hovertemplate: `%{x}: %{text}<extra>${t(name)}</extra>`,
    };
  };
  return () => [
    [
      side("reference", curve.reference, "reference"), side("candidate", curve.candidate, "candidate", "dash"),
      below("difference", curve.difference, "ink"),
      ...(curve.twin.length ? [below("float64 difference", curve.twin, "twin")] : []),
    ],
    base(320, {
      xaxis: { title: { text: t("iteration") }, anchor: "y2" },
      yaxis: { domain: [0.46, 1] }, yaxis2: { domain: [0, 0.36], type: "log", nticks: 4 },
    }),
  ];
}

const finite = (value) => (typeof value === "number" ? value : null);
