/** What the operating system said, without the code, the call and the path: `no such file or directory`. */
export function systemReason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (message.startsWith('EISDIR')) return 'this is a folder';
  return /^E[A-Z0-9]+: (.+?), \w+( '.*)?$/s.exec(message)?.[1] ?? message;
}
