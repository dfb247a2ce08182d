/** Names that a mistyped one may have meant. */

/** The nearest of `names`, best first; none where nothing is near. */
export function similar(given: string, names: readonly string[], most = 3): string[] {
  const wanted = given.toLowerCase();
  return names
    .map((name) => {
      const other = name.toLowerCase();
      const part = wanted.length > 2 && (other.includes(wanted) || wanted.includes(other));
      const edits = editDistance(wanted, other) / Math.max(wanted.length, other.length);
      return { name, distance: part ? Math.min(edits, 0.3) : edits };
    })
    .filter(({ distance }) => distance <= 0.45)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, most)
    .map(({ name }) => name);
}

/** `did you mean "a" or "b"?`; undefined where nothing is near. */
export function didYouMean(given: string, names: readonly string[]): string | undefined {
  const near = similar(given, names);
  return near.length === 0 ? undefined : `did you mean ${near.join(' or ')}?`;
}

/** Levenshtein distance with transpositions of neighbours. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap =
        a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? (before[j - 2] ?? Infinity) + 1 : Infinity;
      const change = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, change, swap));
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
