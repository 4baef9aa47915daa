/** A value that components follow: all the state that more than one of them shares. */

import { useEffect, useState } from './html.js';

/** A value with followers; `set` tells them, unless it is the same. */
export function cell(value) {
  const followers = new Set();
  return {
    get value() {
      return value;
    },
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const follower of [...followers]) follower(value);
    },
    follow(follower) {
      followers.add(follower);
      return () => followers.delete(follower);
    },
  };
}

/** The cell's value; the component renders again when it changes. */
export function useCell(source) {
  const [, refresh] = useState(0);
  const shown = source.value;
  useEffect(() => {
    const stop = source.follow(() => refresh((count) => count + 1));
    if (!Object.is(shown, source.value)) refresh((count) => count + 1); // it changed before anybody followed
    return stop;
  }, [source]);
  return shown;
}

/** What is remembered in this browser under a name; `fallback` where it keeps nothing. */
export function remembered(name, fallback) {
  try {
    return localStorage.getItem(`perfagent.${name}`) ?? fallback;
  } catch {
    return fallback;
  }
}

/** Remembers a text under a name; null forgets it. A browser that keeps nothing is no error. */
export function remember(name, text) {
  try {
    if (text === null) localStorage.removeItem(`perfagent.${name}`);
    else localStorage.setItem(`perfagent.${name}`, text);
  } catch {
    // private windows may refuse; the choice then lasts as long as the page
  }
}
