// The result page: follows the events of a running bisection, and opens a drawer for a release.
"use strict";

const live = document.getElementById("live");
const drawer = document.getElementById("drawer");
let opened = "";

// Every event means: the page is behind. Bursts are gathered, so that one request brings all of them.
let refreshing = 0;
function refresh() {
  if (refreshing) return;
  refreshing = setTimeout(() => {
    refreshing = 0;
    window.htmx.trigger(live, "refresh");
  }, 150);
}

if (live.dataset.events) {
  const source = new EventSource(live.dataset.events);
  for (const kind of ["observation", "progress", "verdict"]) source.addEventListener(kind, refresh);
  source.addEventListener("end", () => { source.close(); refresh(); });
  addEventListener("pagehide", () => source.close());
}

function mark() {
  for (const cell of live.querySelectorAll(".cell[aria-current]")) cell.removeAttribute("aria-current");
  if (opened) for (const cell of live.querySelectorAll(`.cell[data-release="${CSS.escape(opened)}"]`)) cell.setAttribute("aria-current", "true");
}

// By hand, since a key may come before htmx has looked over what was just put in.
function open(link) {
  if (link) window.htmx.ajax("GET", link.getAttribute("href"), { target: drawer, swap: "innerHTML" });
}

function close() {
  const cell = opened && live.querySelector(`.cell[data-release="${CSS.escape(opened)}"]`);
  drawer.hidden = true;
  drawer.replaceChildren();
  opened = "";
  mark();
  cell?.focus();
}

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target === live) {
    const title = live.querySelector("h1")?.textContent;
    if (title) document.title = `${title} · tfbisect`;
    mark();
  }
  if (event.detail.target !== drawer) return;
  opened = drawer.querySelector("[data-record]")?.dataset.record ?? "";
  drawer.hidden = false;
  drawer.scrollTop = 0;
  drawer.focus({ preventScroll: true });
  mark();
});
drawer.addEventListener("click", (event) => { if (event.target.closest("[data-close]")) close(); });
document.addEventListener("keydown", (event) => {
  if (drawer.hidden) return;
  if (event.key === "Escape") close();
  const step = { ArrowLeft: "before", ArrowRight: "after" }[event.key];
  if (step && !event.target.closest(".scroll, input, textarea, select, pre")) open(drawer.querySelector(`[data-step=${step}]`));
});
