const modifiers = { Alt: 'altKey', Control: 'ctrlKey', Meta: 'metaKey', Shift: 'shiftKey' } as const;

/** Whether an event is of the keys that a text such as `Alt+Shift+M` names; undefined for an empty text. */
export function parseShortcut(text: string): ((event: KeyboardEvent) => boolean) | undefined {
  if (!text) return undefined;
  const held = text.split('+');
  const key = held.pop()!;
  const known = held.every((name) => name in modifiers);
  // What is typed into a field is no shortcut.
  const typed = key.length === 1 && !held.some((name) => name !== 'Shift');
  if (!key || !known || typed) {
    throw new RangeError(`shortcut: want a key after Alt, Control, Meta or Shift, such as Alt+Shift+M, not ${text}`);
  }
  // With modifiers held many keyboards give another character, but the same code.
  const codes = ['Key' + key.toUpperCase(), 'Digit' + key];
  return (event) =>
    Object.entries(modifiers).every(([name, isHeld]) => event[isHeld] === held.includes(name)) &&
    (event.key.toLowerCase() === key.toLowerCase() || codes.includes(event.code));
}
