/** The version in package.json; a test compares the two. */
export const VERSION = '0.1.0';

// What a report names as the version of its format: raised when a field changes its meaning or goes away. Beside the schemas
// they would make every report load the validator.

export const AUDIT_VERSION = 1;
export const DIFF_VERSION = 1;
export const REWRITE_VERSION = 1;
export const BENCH_VERSION = 3;
