/** Names from a model file, made fit for a message: control characters replaced, length bounded. */
export function printable(name: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
  const clean = name.slice(0, 200).replace(/[\u0000-\u001f\u007f-\u009f]/g, '�');
  return name.length > 120 ? `${clean.slice(0, 117)}…` : clean;
}

/** `a, b, c and 4 more`. */
export function listed(names: readonly string[], most = 4): string {
  const shown = names.slice(0, most).map(printable).join(', ');
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}
