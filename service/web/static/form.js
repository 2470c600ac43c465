// The form: editor, examples, drafts, the strip of releases, the estimate. The plain form works without any of it.
"use strict";

const form = document.getElementById("ask");
const area = document.getElementById("snippet");
const DRAFT = "draft";

function stored(action) {
  try { return action(localStorage); } catch { return null; }
}

// Drafts: what is typed survives a closed tab.
// Who comes back by the browser's button finds what was sent last.
const cameBack = performance.getEntriesByType("navigation")[0]?.type === "back_forward";
const sentLast = cameBack ? stored(() => JSON.parse(sessionStorage.getItem(DRAFT) ?? "null")) : null;
const draft = stored((storage) => JSON.parse(storage.getItem(DRAFT) ?? "null")) ?? sentLast;
const isBlank = !area.value.trim() && !document.getElementById("problem");
if (draft && isBlank) {
  for (const [name, value] of Object.entries(draft)) {
    const field = form.elements[name];
    if (field && typeof value === "string" && !(field instanceof RadioNodeList && !value)) field.value = value;
  }
}
let saving = 0;
function saveDraft() {
  clearTimeout(saving);
  saving = setTimeout(keepDraft, 300);
}
function keepDraft() {
  const kept = {};
  for (const name of ["snippet", "name", "probe", "releases", "hardware", "input_shape", "package", "with"]) kept[name] = form.elements[name].value;
  for (const field of document.querySelectorAll("[data-parameters] [name]")) if (field.type !== "checkbox") kept[field.name] = field.value;
  stored((storage) => storage.setItem(DRAFT, JSON.stringify(kept)));
}

// The estimate follows what is typed, at a distance.
let estimating = 0;
let asked = new AbortController();
function estimate(delay = 600) {
  clearTimeout(estimating);
  estimating = setTimeout(askEstimate, delay);
}

async function askEstimate() {
  asked.abort();
  asked = new AbortController();
  const typed = [...new FormData(form)].filter(([, value]) => typeof value === "string");
  const place = document.getElementById("estimate");
  try {
    const answer = await fetch("/estimate", { method: "POST", body: new URLSearchParams(typed), signal: asked.signal });
    place.innerHTML = answer.ok ? await answer.text() : "";
  } catch (error) {
    if (error.name !== "AbortError") place.textContent = "";
  }
}

function counted(count, one) {
  return count === 1 ? `1 ${one}` : `${count} ${one}s`;
}

function sizeOf(text) {
  const bytes = new TextEncoder().encode(text).length;
  const element = document.querySelector("[data-size]");
  element.classList.remove("field-error");
  element.textContent = text ? `${counted(text.split("\n").length, "line")}, ${(bytes / 1024).toFixed(1)} of 64 KiB` : "Python source, at most 64 KiB";
}

function changed() {
  sizeOf(area.value);
  saveDraft();
  estimate();
}

const editor = window.tfbisectEditor.mount(area, {
  label: "Snippet",
  onChange: () => { editor.clearMarks(); changed(); },
  onSubmit: () => form.requestSubmit(),
});
document.querySelector("label[for=snippet]").addEventListener("click", () => editor.focus());
document.querySelector("[data-editor-hint]").hidden = false;
const problem = document.getElementById("problem");
if (problem?.dataset.line) editor.markLine(Number(problem.dataset.line), problem.innerText);
sizeOf(area.value);

// Examples and files are loaded into the editor.
for (const link of document.querySelectorAll("[data-example]")) {
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    editor.setText(await (await fetch(link.dataset.example)).text());
    probe.value = link.dataset.probe;
    form.elements.package.value = link.dataset.package;
    releases.value = link.dataset.releases;
    nameIt(link.textContent);
    form.elements.package.dispatchEvent(new Event("change", { bubbles: true }));
    form.scrollIntoView();
    if (probe.selectedIndex > 0) probe.closest("details").open = true;
    probe.dispatchEvent(new Event("change", { bubbles: true }));
    editor.focus();
  });
}
document.querySelector("[data-file]").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (file) await takeSource(file);
  event.target.value = "";
});
function nameIt(name) {
  form.elements.name.value = name;
  document.querySelector("[data-named]").textContent = name;
}
async function takeSource(file) {
  try {
    editor.setText(await sourceOf(file));
    nameIt(file.name.slice(0, 80));
  } catch (error) {
    refuse(error.message);
  }
}
// Where the page says what is wrong with a file, before anything is sent.
function refuse(words) {
  const place = document.querySelector("[data-size]");
  place.textContent = words;
  place.classList.add("field-error");
}

// As the command line does: what is no UTF-8 is refused, not altered.
async function textOf(file) {
  const bytes = await file.arrayBuffer();
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`${file.name} is not UTF-8 text; save it as UTF-8.`);
  }
}

// A notebook becomes a script; what its cells printed is not sent.
async function sourceOf(file) {
  const text = await textOf(file);
  if (!file.name.endsWith(".ipynb")) return text;
  try {
    const notebook = JSON.parse(text);
    for (const cell of notebook.cells ?? []) { delete cell.outputs; delete cell.attachments; }
    const answer = await fetch("/script", { method: "POST", body: JSON.stringify(notebook) });
    return answer.ok ? await answer.text() : text;
  } catch { return text; }
}

// Several files: a script that is dropped on an empty editor goes there, the others lie beside it.
const beside = document.querySelector("[data-files]");
const listed = document.querySelector("[data-files-listed]");
const listedAtFirst = listed.textContent;
function listFiles() {
  const files = [...beside.files];
  const bytes = files.reduce((sum, file) => sum + file.size, 0);
  listed.textContent = files.length ? `${counted(files.length, "file")}, ${(bytes / 1024).toFixed(1)} KiB: ${files.map((file) => file.name).join(", ")}` : listedAtFirst;
}
async function takeFiles(dropped) {
  const rest = new DataTransfer();
  for (const file of [...beside.files, ...dropped]) {
    const isSource = /\.(py|ipynb)$/.test(file.name) && !area.value.trim() && !form.elements.command.value.trim();
    if (isSource) await takeSource(file);
    else rest.items.add(file);
  }
  beside.files = rest.files;
  if (rest.files.length) beside.closest("details").open = true;
  listFiles();
}
beside.addEventListener("change", listFiles);
const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
// Before the editor, which would insert the text of each file.
document.addEventListener("dragover", (event) => { if (holdsFiles(event)) event.preventDefault(); }, true);
document.addEventListener("drop", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  event.stopPropagation();
  takeFiles([...event.dataTransfer.files]);
}, true);

// The probe's question beside its name, and its own parameters; those of the others are out of the way.
const probe = document.getElementById("probe");
function showParameters() {
  for (const group of document.querySelectorAll("[data-parameters]")) group.hidden = group.dataset.parameters !== probe.value;
}
showParameters();
if (probe.selectedIndex > 0) probe.closest("details").open = true; // as in a draft
probe.addEventListener("change", () => {
  showParameters();
  const hint = document.querySelector("p[data-question]");
  hint.firstChild.textContent = `${probe.selectedOptions[0].dataset.question} `;
  document.querySelector("[data-probe-link]").href = `/probes/${encodeURIComponent(probe.value)}`;
});

// The strip: the first press begins a range, the second ends it; the text field stays the truth.
const strip = document.querySelector("[data-strip]");
const releases = document.getElementById("releases");
let readStrip = () => {};
releases.addEventListener("input", () => readStrip());
function mountStrip() {
  const shelf = strip.querySelector(".pick");
  strip.hidden = !shelf.querySelector("button");
  shelf.scrollLeft = shelf.scrollWidth; // the newest releases first to hand
  const buttons = [...strip.querySelectorAll("button")];
  const names = buttons.map((button) => button.value);
  let first = -1;
  const paint = (from, to) => buttons.forEach((button, i) => {
    button.setAttribute("aria-pressed", String(i >= from && i <= to && from >= 0));
    button.classList.toggle("end", i === from || i === to);
  });
  const say = (words) => { strip.querySelector("[data-strip-says]").textContent = words; };
  const minor = (text) => text.split(".").slice(0, 2).join(".");
  const read = () => {
    const match = releases.value.trim().match(/^([\d.]*?)\.\.([\d.]*)$/);
    if (!match) return releases.value.trim() ? paint(-1, -1) : paint(-1, -1);
    const from = match[1] ? names.indexOf(minor(match[1])) : 0;
    const to = match[2] ? names.indexOf(minor(match[2])) : names.length - 1;
    paint(from, from < 0 ? -1 : to);
  };
  buttons.forEach((button, i) => button.addEventListener("click", () => {
    if (first < 0) {
      first = i;
      paint(i, i);
      say(`From ${names[i]} to …`);
      return;
    }
    const [from, to] = [Math.min(first, i), Math.max(first, i)];
    first = -1;
    releases.value = `${names[from]}..${names[to]}`;
    say(`${counted(to - from + 1, "minor")}, ${names[from]} to ${names[to]}. Press again to choose others.`);
    read();
    changed();
  }));
  buttons.forEach((button, i) => button.addEventListener("mouseenter", () => {
    if (first >= 0) paint(Math.min(first, i), Math.max(first, i));
  }));
  shelf.firstElementChild.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const at = buttons.indexOf(document.activeElement);
    if (step && at >= 0) { event.preventDefault(); buttons[at + step]?.focus(); }
  });
  readStrip = read;
  read();
}
mountStrip();
form.elements.package.addEventListener("change", async (event) => {
  const answer = await fetch(`/strip?package=${encodeURIComponent(event.target.value.trim())}`);
  if (!answer.ok) return;
  strip.querySelector(".pick").innerHTML = await answer.text();
  mountStrip();
});

form.addEventListener("input", (event) => { if (event.target !== area) changed(); });
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.defaultPrevented) form.requestSubmit();
});
const key = document.querySelector("[data-submit-key]");
key.textContent = /Mac|iP/.test(navigator.platform) ? "⌘ ⏎" : "Ctrl ⏎";
key.hidden = false;
form.addEventListener("submit", (event) => {
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
  clearTimeout(saving);
  keepDraft();
  stored((storage) => {
    sessionStorage.setItem(DRAFT, storage.getItem(DRAFT));
    storage.removeItem(DRAFT);
  });
});
addEventListener("pageshow", () => { delete form.dataset.sent; });
estimate(50);
