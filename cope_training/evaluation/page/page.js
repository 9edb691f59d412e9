"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const frames = data.frames, find = (id) => document.getElementById(id);
  if (!frames.length) return;
  const KINDS = ["right", "wrong", "unknown"], FAST = 150;  // ms per frame while it plays
  const picture = find("picture"), overlay = find("overlay"), place = find("place");
  const boxes = { est: find("show-est"), gt: find("show-gt"), id: find("show-id"), ell: find("show-ell") };
  const spreads = frames.some((f) => f.est.some((e) => e.ell));
  let now = 0, timer = null;

  find("viewer").hidden = false;
  place.max = frames.length - 1;
  if (!data.truth) document.querySelector(".of-truth").remove();
  if (!spreads) document.querySelector(".of-covariance").remove();
  if (window.innerWidth < 700) boxes.id.checked = false;
  const unknown = frames.some((f) => f.est.some((e) => KINDS[e.kind] === "unknown"));
  find("legend").innerHTML = (data.truth
    ? "<span class='key right'>right</span><span class='key wrong'>wrong</span>" +
      "<span class='key truth'>true (dashed: not found)</span>" : "") +
    (unknown || !data.truth
      ? `<span class='key unknown'>${data.truth ? "no ground truth" : "estimated"}</span>` : "");

  const share = (f) => (f.gt.length ? f.gt.filter((g) => g.ok).length / f.gt.length : null);
  const most = Math.max(...frames.map((f) => f.est.length), 1);
  const bars = frames.map((f, index) => {
    const bar = document.createElement("i");
    const value = data.truth ? share(f) ?? 0 : f.est.length / most;
    bar.style.height = `${Math.max(4, 100 * value)}%`;
    bar.title = describe(f);
    bar.addEventListener("click", () => show(index));
    find("bars").append(bar);
    return bar;
  });

  function describe(f) {
    const parts = [`image ${f.name}`, `${f.est.length} poses`];
    if (f.gt.length) parts.push(`${f.gt.filter((g) => g.ok).length} of ${f.gt.length} right`);
    if (f.ms !== null) parts.push(`${f.ms} ms`);
    return parts.join(", ");
  }

  function add(name, attributes, text) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    overlay.append(element);
  }

  function path(polygons) {
    return polygons.map((p) => {
      let text = "";
      for (let i = 0; i < p.length; i += 2) text += `${i ? "L" : "M"}${p[i]} ${p[i + 1]}`;
      return text + "Z";
    }).join("");
  }

  function outline(polygons, kind) {
    if (!polygons.length) return;
    const d = path(polygons);
    add("path", { d, class: "halo" });
    add("path", { d, class: `line ${kind}` });
  }

  function draw(f) {
    overlay.setAttribute("viewBox", `-0.5 -0.5 ${f.w} ${f.h}`);
    overlay.replaceChildren();
    if (boxes.gt.checked) for (const g of f.gt) outline(g.out, g.ok ? "truth" : "truth lost");
    if (boxes.est.checked) for (const e of f.est) outline(e.out, KINDS[e.kind]);
    if (spreads && boxes.ell.checked) {
      for (const e of f.est.filter((item) => item.ell)) {
        const [x, y, rx, ry, turn] = e.ell;
        add("ellipse", { cx: x, cy: y, rx, ry, transform: `rotate(${turn} ${x} ${y})`, class: "spread" });
      }
    }
    if (boxes.id.checked) for (const e of f.est.filter((item) => item.out.length)) tag(f, e);
  }

  function tag(f, e) {
    const points = e.out.flat(), xs = points.filter((_, i) => i % 2 === 0), ys = points.filter((_, i) => i % 2);
    const size = f.w / 58, x = (Math.min(...xs) + Math.max(...xs)) / 2;
    const y = Math.max(Math.min(...ys) - size / 3, size);
    add("text", { x, y, class: "tag", "font-size": size }, `${e.id} ${e.score.toFixed(2)}`);
  }

  function table(f) {
    const head = ["id", "score", "x m", "y m", "z m"];
    if (spreads) head.push("±z mm (2σ)");
    if (data.truth) head.push("");
    const rows = f.est.map((e) => [e.id, e.score.toFixed(2), ...e.at.map((v) => v.toFixed(3)),
      ...(spreads ? [e.dz === undefined ? "" : e.dz] : []), ...(data.truth ? [KINDS[e.kind]] : [])]);
    const element = find("rows");
    element.replaceChildren();
    for (const [index, cells] of [head, ...rows].entries()) {
      const row = element.insertRow();
      for (const cell of cells) {
        const field = document.createElement(index ? "td" : "th");
        field.textContent = cell;
        row.append(field);
      }
    }
  }

  function show(index) {
    now = (index + frames.length) % frames.length;
    const f = frames[now];
    bars.forEach((bar, i) => bar.classList.toggle("now", i === now));
    place.value = now;
    place.setAttribute("aria-valuetext", describe(f));
    picture.src = f.src;
    picture.alt = describe(f);
    picture.width = f.w;
    picture.height = f.h;
    draw(f);
    table(f);
    find("said").textContent = `${now + 1} of ${frames.length}: ${describe(f)}`;
  }

  function play(on) {
    clearInterval(timer);
    timer = on ? setInterval(() => show(now + 1), FAST) : null;
    find("play").textContent = on ? "Pause" : "Play";
    find("play").setAttribute("aria-pressed", String(on));
    find("said").setAttribute("aria-live", on ? "off" : "polite");
  }

  place.addEventListener("input", () => show(Number(place.value)));
  find("previous").addEventListener("click", () => show(now - 1));
  find("next").addEventListener("click", () => show(now + 1));
  find("play").addEventListener("click", () => play(timer === null));
  for (const box of Object.values(boxes)) box.addEventListener("change", () => draw(frames[now]));
  document.querySelector(".stage").addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };
    if (event.key in steps) show(now + steps[event.key]);
    else if (event.key === "Home") show(0);
    else if (event.key === "End") show(frames.length - 1);
    else if (event.key === " ") play(timer === null);
    else return;
    event.preventDefault();
  });
  // A failure's crop leads to its frame, where the frame is among those shown.
  for (const link of document.querySelectorAll("a[data-frame]")) {
    const index = frames.findIndex((f) => f.name === link.dataset.frame);
    if (index < 0) link.removeAttribute("href");
    else link.addEventListener("click", () => show(index));
  }
  show(0);
})();
