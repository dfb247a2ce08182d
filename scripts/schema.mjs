/** Writes `schema/network.schema.json` from the built library: the JSON Schema of network descriptions. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { networkJsonSchema } from '../dist/index.js';

const folder = join(import.meta.dirname, '../schema');
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'network.schema.json'), `${JSON.stringify(networkJsonSchema(), null, 2)}\n`);
