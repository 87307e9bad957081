// Pictures of a patient's time line, drawn as SVG from the values that the page brings. The sentence and the
// table beside each picture say the same; colours come from the theme.
"use strict";

(function () {
  if (!window.echarts) return;
  const drawn = new Map();

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const day = (text) => Date.parse(text + "T00:00:00Z");
  const DAY = 24 * 3600 * 1000;
  const said = (time) => new Date(time).toLocaleDateString("en-GB",
    { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

  const palette = () => ({
    ink: colour("--ink"), quiet: colour("--quiet"), line: colour("--line"), grid: colour("--grid"),
    paper: colour("--paper"), raised: colour("--raised"), dose: colour("--mark-1"), fill: colour("--fill-1"),
    guide: colour("--mark-2"), figure: colour("--mark-4"), overlap: colour("--mark-5"), good: colour("--mark-3"),
  });

  const base = (c) => ({
    animation: false,
    useUTC: true,
    aria: { enabled: false },
    textStyle: { color: c.ink, fontFamily: "Source Sans Pro Web, sans-serif", fontSize: 13 },
    tooltip: {
      renderMode: "richText", trigger: "axis", confine: true,
      backgroundColor: c.paper, borderColor: c.line, textStyle: { color: c.ink, fontSize: 13 },
    },
  });

  const time = (c, first, until, extra) => Object.assign({
    type: "time", min: first, max: until,
    axisLine: { lineStyle: { color: c.quiet } }, axisTick: { lineStyle: { color: c.quiet } },
    axisLabel: { color: c.quiet, hideOverlap: true }, splitLine: { show: false },
  }, extra);

  function dose(data, c, width) {
    const first = day(data.first), until = day(data.until) + DAY;
    // One point at each change; a day without supply ends the line.
    const line = (complete) => {
      const points = [];
      let end = null;
      data.steps.forEach(([from, to, mme, whole]) => {
        const start = day(from), stop = day(to) + DAY;
        if (whole !== complete) return;
        if (end !== null && start > end) points.push([end, null]);
        points.push([start, mme], [stop, mme]);
        end = stop;
      });
      return points;
    };
    const narrow = width < 520;
    const left = narrow ? 8 : 44;
    const laneHeight = Math.max(14, Math.min(24, 130 / Math.max(1, data.lanes.length)));
    const lanesTop = 232;
    const lanesHeight = laneHeight * data.lanes.length;
    const guide = data.guidance.map((mme) => ({
      yAxis: mme, lineStyle: { color: c.guide, type: "dashed", width: 1 },
      label: { formatter: mme + " MME: guidance", position: "insideStartTop", color: c.guide },
    }));
    if (data.figure.value !== null) {
      guide.push({
        yAxis: data.figure.value, lineStyle: { color: c.figure, width: 2, type: "solid" },
        label: {
          formatter: data.figure.label + ": " + (data.figure.complete ? "" : "at least ") + data.figure.value,
          position: "insideEndTop", color: c.figure, fontWeight: "bold",
        },
      });
    }
    const bands = (spans, fill, opacity) => spans.map(([from, to]) => [
      { xAxis: day(from), itemStyle: { color: fill, opacity } }, { xAxis: day(to) + DAY },
    ]);
    const most = Math.max(10, ...data.steps.map((s) => s[2]), data.figure.value || 0, ...data.guidance.slice(0, 1));
    const supplies = data.supplies.map(([lane, from, to, mme, complete, days]) => ({
      value: [day(from), day(to) + DAY, lane, mme, complete ? 1 : 0, days],
    }));
    return Object.assign(base(c), {
      tooltip: Object.assign(base(c).tooltip, {
        formatter(points) {
          const at = points[0].axisValue;
          const here = data.steps.find(([from, to]) => day(from) <= at && at < day(to) + DAY);
          const taken = [...new Set(data.supplies
            .filter(([, from, to]) => day(from) <= at && at < day(to) + DAY)
            .map(([lane]) => data.lanes[lane]))];
          const total = here ? (here[3] ? "" : "at least ") + here[2] + " MME" : "no opioid in hand";
          return [said(at), total].concat(taken).join("\n");
        },
      }),
      axisPointer: { link: [{ xAxisIndex: "all" }] },
      grid: [
        { left, right: 12, top: 22, height: 180, containLabel: narrow },
        { left, right: 12, top: lanesTop, height: lanesHeight, containLabel: narrow },
      ],
      xAxis: [
        time(c, first, until, { gridIndex: 0 }),
        time(c, first, until, { gridIndex: 1, axisLabel: { show: false }, axisTick: { show: false }, axisLine: { show: false } }),
      ],
      yAxis: [
        { type: "value", gridIndex: 0, min: 0, max: Math.ceil(most * 1.15 / 10) * 10, name: data.unit,
          nameTextStyle: { color: c.quiet, align: "left" }, nameGap: 8,
          axisLabel: { color: c.quiet }, splitLine: { lineStyle: { color: c.grid } } },
        { type: "value", gridIndex: 1, min: 0, max: Math.max(1, data.lanes.length), inverse: true, show: false },
      ],
      series: [
        { type: "line", data: line(true), symbol: "none", lineStyle: { color: c.dose, width: 2 },
          areaStyle: { color: c.fill, opacity: 0.7 }, itemStyle: { color: c.dose },
          markLine: { silent: true, symbol: "none", data: guide },
          markArea: { silent: true, data: bands(data.gaps, c.raised, 1).concat(bands(data.overlaps, c.overlap, 0.16)) } },
        { type: "line", data: line(false), symbol: "none", itemStyle: { color: c.dose },
          lineStyle: { color: c.dose, width: 2, type: "dotted" }, areaStyle: { color: c.fill, opacity: 0.3 } },
        { type: "custom", xAxisIndex: 1, yAxisIndex: 1, data: supplies, silent: true,
          encode: { x: [0, 1], y: 2 }, clip: true,
          renderItem(params, api) {
            const lane = api.value(2);
            const start = api.coord([api.value(0), lane]), end = api.coord([api.value(1), lane]);
            return {
              type: "rect",
              shape: { x: start[0] + 0.5, y: start[1] + 2, width: Math.max(2, end[0] - start[0] - 1), height: laneHeight - 5 },
              style: { fill: c.fill, stroke: c.dose, lineWidth: 1, lineDash: api.value(4) ? null : [3, 2] },
            };
          } },
        { type: "custom", xAxisIndex: 1, yAxisIndex: 1, silent: true, tooltip: { show: false },
          data: data.lanes.map((name, lane) => [first, lane]),
          renderItem(params, api) {
            const at = api.coord([first, api.value(1)]);
            return {
              type: "text",
              style: { x: at[0] + 4, y: at[1] + laneHeight / 2, text: data.lanes[api.value(1)], fill: c.ink,
                stroke: c.paper, lineWidth: 3, fontFamily: "Source Sans Pro Web, sans-serif", textVerticalAlign: "middle", fontSize: 12,
                width: width - left - 24, overflow: "truncate" },
            };
          } },
      ],
    });
  }

  function measured(data, c, width, element) {
    const first = day(element.dataset.first), until = day(element.dataset.until) + DAY;
    const from = Math.min(first, ...data.values.map((v) => day(v[0])));
    const narrow = width < 520;
    return Object.assign(base(c), {
      tooltip: Object.assign(base(c).tooltip, {
        formatter: (points) => said(points[0].value[0]) + "\n" + points[0].value[1]
          + (points[0].value[2] ? ", measured here" : ", brought with the record"),
      }),
      grid: { left: narrow ? 8 : 44, right: 12, top: 26, bottom: 28, containLabel: narrow },
      xAxis: time(c, from, until, {}),
      yAxis: { type: "value", min: data.least, max: data.most,
        name: (data.better === "lower" ? "\u2193" : "\u2191") + " is better", nameTextStyle: { color: c.quiet, align: "left" }, nameGap: 8,
        axisLabel: { color: c.quiet }, splitLine: { lineStyle: { color: c.grid } } },
      series: [{ type: "line", symbol: "circle", symbolSize: 8, lineStyle: { color: c.good, width: 2 },
        itemStyle: { color: c.good }, data: data.values.map(([on, value, here]) => [day(on), value, here]) }],
    });
  }

  function draw(element) {
    const data = JSON.parse(element.dataset.chart);
    if (data.kind === "dose") {
      element.style.height = Math.max(260, 250 + Math.max(14, Math.min(24, 130 / data.lanes.length)) * data.lanes.length) + "px";
    }
    const chart = echarts.init(element, null, { renderer: "svg" });
    const width = element.clientWidth;
    chart.setOption(data.kind === "dose" ? dose(data, palette(), width) : measured(data, palette(), width, element));
    // The container is the picture; what is inside it is not read out.
    element.querySelectorAll("svg").forEach((svg) => svg.setAttribute("aria-hidden", "true"));
    drawn.set(element, chart);
  }

  function drawAll() {
    drawn.forEach((chart, element) => {
      chart.dispose();
      drawn.delete(element);
    });
    document.querySelectorAll("[data-chart]").forEach(draw);
  }

  let waiting = 0;
  const soon = () => { clearTimeout(waiting); waiting = setTimeout(drawAll, 120); };
  drawAll();
  window.addEventListener("resize", soon);
  document.addEventListener("themechange", soon);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", soon);
  document.addEventListener("htmx:after:swap", soon);
  window.addEventListener("beforeprint", drawAll);
  window.addEventListener("afterprint", drawAll);
})();
