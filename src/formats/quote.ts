// Text of a file as it may stand in a message. Guarantees: short whatever the file holds, and nothing in it that a
// terminal would take for a command.

/** Cut, in quotes, without control characters. */
export function quoted(value: string): string {
  return JSON.stringify(cut(value, 40)).replace(/[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '\ufffd')
}

/** Cuts between characters, and looks at no more of a long text than it needs. */
export function cut(value: string, most: number): string {
  const characters = [...value.slice(0, 2 * most + 2)]
  return characters.length > most ? `${characters.slice(0, most - 1).join('')}…` : value
}
