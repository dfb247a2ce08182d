const CODE_SECTION = 10;

/** The bodies of a module's functions, locals included, in order (WebAssembly core specification, 5.5.13). */
export function functionBodies(module: Uint8Array): Uint8Array[] {
  let at = 8;
  const unsigned = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = module[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < module.length) {
    const id = module[at++];
    const size = unsigned();
    if (id === CODE_SECTION) {
      return Array.from({ length: unsigned() }, () => {
        const length = unsigned();
        at += length;
        return module.subarray(at - length, at);
      });
    }
    at += size;
  }
  return [];
}
