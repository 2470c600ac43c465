// The API's page: sends a call with what is typed, and shows the answer as it came. Without it, curl does the same.
"use strict";

const LONGEST = 20000;

for (const box of document.querySelectorAll("[data-try]")) {
  box.hidden = false;
  const form = box.querySelector("form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const place = box.querySelector("[data-answer]");
    place.hidden = false;
    place.textContent = "…";
    place.textContent = await answerTo(form);
  });
}

async function answerTo(form) {
  const { path, query } = addressOf(form);
  const body = form.querySelector("[data-body]")?.value;
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  try {
    const answer = await fetch(path + query, { method: form.dataset.method, headers, body });
    const text = pretty(await answer.text());
    return `${answer.status} ${answer.statusText}\n\n${text.length > LONGEST ? `${text.slice(0, LONGEST)}\n…` : text}`;
  } catch (error) {
    return `No answer: ${error.message}`;
  }
}

function addressOf(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  for (const field of form.querySelectorAll("[data-place]")) {
    if (field.dataset.place === "path") path = path.replace(`{${field.name}}`, encodeURIComponent(field.value));
    else if (field.value) query.set(field.name, field.value);
  }
  return { path, query: query.size ? `?${query}` : "" };
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}
