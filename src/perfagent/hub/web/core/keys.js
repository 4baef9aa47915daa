/** Keyboard shortcuts: single keys and `g` followed by one, never while something is typed. */

import { cell, remember, remembered } from './cell.js';
import { useEffect } from './html.js';

const PAIR = 1200; // ms between `g` and the key that follows
const known = new Map();
let prefix = '';
let timer = 0;

/** Whether single keys do anything; assistive programs that send letters can switch it off (WCAG 2.1.4). */
export const keysOn = cell(remembered('keys', 'on') === 'on');
keysOn.follow((on) => remember('keys', on ? null : 'off'));

/** All shortcuts that work here: [keys, what they do, group]. */
export function shortcuts() {
  return [...known].map(([keys, { label, group }]) => [keys, label, group]);
}

/**
 * Shortcuts for as long as the component is there.
 *
 * @param {[keys: string, label: string, action: function, group?: string][]} list keys such as '?' or 'g o'
 */
export function useShortcuts(list) {
  useEffect(() => {
    const before = list.map(([keys]) => [keys, known.get(keys)]);
    for (const [keys, label, action, group = 'This view'] of list) known.set(keys, { label, action, group });
    return () => {
      for (const [keys, shortcut] of before) shortcut ? known.set(keys, shortcut) : known.delete(keys);
    };
  });
}

/** Whether what has the focus takes letters for itself. */
export function typing(target) {
  return target instanceof HTMLElement
    && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
      && !/^(checkbox|radio|button)$/.test(target.type);
}

document.addEventListener('keydown', (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !keysOn.value) return;
  if (typing(event.target) || document.querySelector('dialog[open]')) return;
  const keys = prefix ? `${prefix} ${event.key}` : event.key;
  clearTimeout(timer);
  prefix = '';
  const shortcut = known.get(keys) ?? known.get(event.key);
  if (shortcut) {
    event.preventDefault();
    shortcut.action(event);
  } else if (event.key === 'g') {
    prefix = 'g';
    timer = setTimeout(() => (prefix = ''), PAIR);
  }
});
