/** The methods of factorisation. */
import { cp } from './cp.ts';
import { depthwise } from './depthwise.ts';
import type { FactorizationName, Method } from './family.ts';
import { group } from './group.ts';
import { spatial } from './spatial.ts';
import { tucker } from './tucker.ts';

export const METHODS: { readonly [N in FactorizationName]: Method } = {
  depthwise,
  spatial,
  tucker,
  cp,
  group,
};
