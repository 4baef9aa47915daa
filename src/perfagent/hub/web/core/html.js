/** What a component is written with: tagged templates that escape all they are given, and Preact's hooks. */

import { Fragment, createContext, h, render } from '../vendor/preact.js';
import htm from '../vendor/htm.js';

export { Fragment, createContext, render };
export {
  useCallback, useContext, useEffect, useErrorBoundary, useId, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from '../vendor/hooks.js';

export const html = htm.bind(h);
