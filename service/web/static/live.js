// The result page: follows the events of a running bisection, and opens a drawer for a release.
"use strict";

const live = document.getElementById("live");
const drawer = document.getElementById("drawer");
let opened = { release: "", variant: "" };

// Every event means: the page is behind. Bursts are gathered, so that one request brings all of them.
let refreshing = 0;
function refresh() {
  if (refreshing) return;
  refreshing = setTimeout(() => {
    refreshing = 0;
    window.htmx.trigger(live, "refresh");
  }, 150);
}

// A browser takes a broken stream up again by itself, but gives up on one that is refused; then we ask again, later and
// later. The page is brought up to date first, since its bisection may have ended meanwhile.
let patience = 1000;
let wasBroken = false;
function follow() {
  const source = new EventSource(`${live.dataset.events}?after=${live.dataset.lastEvent}`);
  for (const kind of ["observation", "progress", "verdict"]) source.addEventListener(kind, refresh);
  source.addEventListener("open", () => {
    patience = 1000;
    if (wasBroken) refresh();
    wasBroken = false;
  });
  source.addEventListener("end", () => { source.close(); refresh(); });
  source.addEventListener("error", () => {
    wasBroken = true;
    if (source.readyState !== EventSource.CLOSED || !isLive()) return;
    patience = Math.min(patience * 2, 30000);
    setTimeout(() => { refresh(); follow(); }, patience);
  });
  addEventListener("pagehide", () => source.close());
}

function isLive() {
  return ["queued", "running"].includes(live.querySelector(".verdict")?.dataset.status);
}

if (live.dataset.events) follow();

function duration(seconds) {
  if (seconds === 1) return "1 second";
  const [size, unit] = seconds < 90 ? [1, "seconds"] : seconds < 5400 ? [60, "minutes"] : [3600, "hours"];
  const count = seconds / size;
  return [size === 3600 ? count.toFixed(1) : Math.round(count), unit].join(" ");
}

// The time left counts down between two answers, and never below what can still be said.
setInterval(() => {
  const place = live.querySelector("[data-seconds-left]");
  if (!place) return;
  const left = Math.max(1, Number(place.dataset.secondsLeft) - 1);
  place.dataset.secondsLeft = left;
  place.textContent = `about ${duration(left)} left`;
}, 1000);

// What the reader did to the page outlives a refresh: how far the timeline is scrolled, what is unfolded.
let scrolled = [];
let unfolded = new Map();
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target !== live) return;
  scrolled = [...live.querySelectorAll(".timeline-scroll")].map((element) => element.scrollLeft);
  unfolded = new Map([...live.querySelectorAll("details")].map((element) => [nameOf(element), element.open]));
});

function nameOf(details) {
  return `${details.closest("section")?.id} ${details.className}`;
}

function restore() {
  live.querySelectorAll(".timeline-scroll").forEach((element, i) => { element.scrollLeft = scrolled[i] ?? 0; });
  for (const element of live.querySelectorAll("details")) element.open = unfolded.get(nameOf(element)) ?? element.open;
}

// For screen readers: only what the title says, and only when it changes.
function announce(title) {
  const status = document.getElementById("announcement");
  if (title && status.textContent !== title) status.textContent = title;
}

function mark() {
  for (const cell of live.querySelectorAll(".cell[aria-current]")) cell.removeAttribute("aria-current");
  openedCell()?.setAttribute("aria-current", "true");
}

function openedCell() {
  const cells = [...live.querySelectorAll(".cell[data-release]")];
  return cells.find((cell) => cell.dataset.release === opened.release && (cell.dataset.variant ?? "") === opened.variant);
}

// By hand, since a key may come before htmx has looked over what was just put in.
function open(link) {
  if (link) window.htmx.ajax("GET", link.getAttribute("href"), { target: drawer, swap: "innerHTML" });
}

function close() {
  const cell = openedCell();
  drawer.hidden = true;
  drawer.replaceChildren();
  opened = { release: "", variant: "" };
  mark();
  cell?.focus();
}

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target === live) {
    const title = live.querySelector("h1")?.textContent;
    if (title) document.title = `${title} · tfbisect`;
    announce(title);
    restore();
    mark();
  }
  if (event.detail.target !== drawer) return;
  const record = drawer.querySelector("[data-record]")?.dataset;
  opened = { release: record?.record ?? "", variant: record?.variant ?? "" };
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
