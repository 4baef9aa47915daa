/** Text that others sent, made safe to look at: markup is escaped by the templates, tricks with direction here. */

// Controls, and the marks that turn the direction of what follows: shown by their numbers, since a name that holds one
// could pass for another. The joiners that emoji and Persian need stay.
const TRICKS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;
const LONGEST = 300;

const spelled = (found) => `⟨U+${found.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`;

/** The whole text, with what cannot be seen spelled out; line ends stay. */
export function plain(text) {
  return text === null || text === undefined ? '' : String(text).replaceAll('\r\n', '\n').replace(TRICKS, spelled);
}

/** One line of it, cut to what a table can show. */
export function line(text, longest = LONGEST) {
  const whole = plain(typeof text === 'string' && text.length > longest * 4 ? text.slice(0, longest * 4) : text)
    .replace(/\s+/g, ' ').trim();
  return whole.length > longest ? `${whole.slice(0, longest)}…` : whole;
}

/** An attribute's value as text: strings as they are, the rest as JSON. */
export function valueText(value) {
  return typeof value === 'string' ? plain(value) : plain(JSON.stringify(value));
}

/** Attributes in the order of their keys; nothing where there are none. */
export function sorted(attributes) {
  return Object.entries(attributes ?? {}).sort(([one], [other]) => (one < other ? -1 : 1));
}
