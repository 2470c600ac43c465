// Runs before the first paint, so that the page does not flash in the other theme.
"use strict";
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* storage may be forbidden; then the system's theme holds */ }
