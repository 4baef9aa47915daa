/** Dialogs: the browser's own, which keeps the focus inside and gives it back. */

import { html, useEffect, useRef } from '../core/html.js';
import { Icon } from './icon.js';

/** @param {function} close called on Escape, on the cross and on a click beside it */
export function Dialog({ title, close, children }) {
  const dialog = useRef(null);
  useEffect(() => {
    dialog.current.showModal();
  }, []);
  const beside = (event) => event.target === dialog.current && close();
  return html`<dialog ref=${dialog} onClose=${close} onClick=${beside} aria-label=${title}>
    <div class="dialog"><header><h2>${title}</h2>
          <button type="button" class="ghost" onClick=${close}><${Icon} name="close" label="Close" /></button></header>
              ${children}</div></dialog>`;
}

/** Asks before something is changed. */
export function Confirm({ title, action, onConfirm, close, children }) {
  return html`<${Dialog} title=${title} close=${close}>${children}
    <p class="row-of-buttons end"><button type="button" onClick=${close}>Cancel</button>
    <button type="button" class="primary" onClick=${onConfirm}>${action}</button></p></${Dialog}>`;
}
