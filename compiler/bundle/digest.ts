import { fail } from '#ir/diagnostics.ts';

/** The part of Node that is used where there is one. */
interface NodeProcess {
  getBuiltinModule?(name: 'node:crypto'): {
    createHash(name: 'sha256'): { update(bytes: Uint8Array): { digest(encoding: 'hex'): string } };
  };
}

/** SHA-256 in lower-case hexadecimal. @throws CompileError in a page that is neither on https nor on localhost */
export async function sha256(bytes: Uint8Array): Promise<string> {
  // Web Cryptography copies what it is given; Node can do without
  const node = (globalThis as { process?: NodeProcess }).process?.getBuiltinModule?.('node:crypto');
  if (node) return node.createHash('sha256').update(bytes).digest('hex');
  const { subtle } = globalThis.crypto ?? {};
  if (!subtle) {
    fail(
      'usage-invalid',
      'crypto.subtle',
      'this page has no Web Cryptography, by which the files of a bundle are signed',
      'serve the page over https or from localhost',
    );
  }
  const digest = await subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
