/** The entry of `index.js` in a bundle: the compiler writes the two constants before the text of this module. */
import type { ProgramManifest } from './abi.ts';
import { loader } from './session.ts';
import type { BundleFiles } from './wasm.ts';

declare const BUNDLE_MANIFEST: ProgramManifest;
declare const BUNDLE_FILES: BundleFiles;

export const load = loader(BUNDLE_MANIFEST, BUNDLE_FILES);
