// Puts the chosen theme on before the first paint; src/state/theme.ts does the rest.
try {
  const theme = localStorage.getItem('tally.theme');
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden: then the system's theme holds.
}
