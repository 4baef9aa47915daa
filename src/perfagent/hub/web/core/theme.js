/** Light or dark: the system's choice, unless this browser remembers another; and the colours for what draws on canvas. */

import { cell, remember, remembered } from './cell.js';

const system = matchMedia('(prefers-color-scheme: dark)');

/** "system", "light" or "dark". */
export const theme = cell(remembered('theme', 'system'));
/** Counts how often the colours have changed: what is drawn on canvas is drawn again. */
export const palette = cell(0);

function apply() {
  if (theme.value === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
  resolved.clear();
  palette.set(palette.value + 1);
}

/** Whether it is dark now. */
export const dark = () => (theme.value === 'system' ? system.matches : theme.value === 'dark');

/** From dark to light or back; what the system says too is not remembered. */
export function switchTheme() {
  const next = dark() ? 'light' : 'dark';
  theme.set((next === 'dark') === system.matches ? 'system' : next);
}

const resolved = new Map();

/** The colour behind a variable of the style sheet, such as '--accent', as a canvas takes it. */
export function colour(name) {
  if (!resolved.has(name)) {
    const probe = document.body.appendChild(document.createElement('i'));
    probe.style.color = `var(${name})`;
    resolved.set(name, getComputedStyle(probe).color);
    probe.remove();
  }
  return resolved.get(name);
}

theme.follow((value) => {
  remember('theme', value === 'system' ? null : value);
  apply();
});
system.addEventListener('change', apply);
apply();
