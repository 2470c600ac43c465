// What every page has: the theme switch, copy buttons, moments in the reader's own time. Nothing here is needed to read.
"use strict";

function reveal(root) {
  for (const element of root.querySelectorAll("[data-copy], [data-copy-from], [data-copy-link], [data-theme-switch]")) element.hidden = false;
  for (const element of root.querySelectorAll("time[data-local]")) {
    element.textContent = new Date(element.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    element.removeAttribute("data-local");
  }
}

function toast(words) {
  document.querySelector(".toast")?.remove();
  const element = document.createElement("div");
  element.className = "toast";
  element.setAttribute("role", "status");
  element.textContent = words;
  document.body.append(element);
  setTimeout(() => element.remove(), 2200);
}

async function copy(button) {
  let text = button.dataset.copy ?? location.href.split("#")[0];
  if (button.dataset.copyFrom) text = await (await fetch(button.dataset.copyFrom)).text();
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied");
  } catch {
    toast("The browser does not allow copying here");
  }
}

function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* holds for this page only */ }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from], [data-copy-link], [data-theme-switch]");
  if (!button) return;
  if ("themeSwitch" in button.dataset) switchTheme();
  else copy(button);
});
// A menu closes by a click beside it and by Escape, as menus do.
function closeMenus(but) {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (menu !== but) menu.open = false;
}
document.addEventListener("click", (event) => closeMenus(event.target.closest("details.menu")));
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && event.target.closest("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-pick]")) return;
  const count = document.querySelectorAll("[data-pick]:checked").length;
  document.querySelector("[data-picked]").textContent = `${count} selected`;
});
document.addEventListener("htmx:afterSwap", (event) => reveal(event.detail.target));
reveal(document);
