/** How numbers are written for people. */

const NARROW_SPACE = ' ';
export const UNKNOWN = '–';

/** `300,774,272`. */
export function grouped(n: number | null): string {
  if (n === null) return UNKNOWN;
  const [whole = '', ...decimals] = String(n).split('.');
  return [whole.replace(/\B(?=(\d{3})+$)/g, ','), ...decimals].join('.');
}

const LARGEST_DENOMINATOR = 64;

/** Shifts and strides below 1 come from upsampling: `1/2`. As decimals where no small denominator fits. */
export function fraction(n: number): string {
  for (let denominator = 1; denominator <= LARGEST_DENOMINATOR; denominator++) {
    const numerator = Math.round(n * denominator);
    // sums of thirds are off by a few units in the last place
    if (Math.abs(n * denominator - numerator) < 1e-9 * denominator) {
      return denominator === 1 ? String(numerator) : `${numerator}/${denominator}`;
    }
  }
  return n.toFixed(3);
}

/** `1 call`, `3 calls`. */
export const counted = (n: number, noun: string): string => `${grouped(n)} ${noun}${n === 1 ? '' : 's'}`;

/** Three significant digits with an SI prefix: `301 M`, `3.49 M`, `864`. */
export function short(n: number | null): string {
  if (n === null) return UNKNOWN;
  if (n < 1000) return String(n);
  const prefixes = ['k', 'M', 'G', 'T', 'P'];
  // the exponent after rounding: 999,999 is 1.00 M
  const exponent = Number(n.toExponential(2).split('e')[1]);
  const step = Math.min(Math.floor(exponent / 3), prefixes.length);
  return `${significant(n / 1000 ** step)}${NARROW_SPACE}${prefixes[step - 1]}`;
}

/** `3.35 MiB`. */
export function bytes(n: number | null): string {
  if (n === null) return UNKNOWN;
  if (n < 1024) return `${n} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let step = 0;
  let size = n;
  while (Math.round(size) >= 1000 && step < units.length) {
    size /= 1024;
    step++;
  }
  return step === 0 ? `${n} B` : `${significant(size)} ${units[step - 1]}`;
}

/** `3.6 %`; what is there but rounds to nothing is `<0.1 %`. */
export function percent(part: number | null): string {
  if (part === null) return UNKNOWN;
  if (part === 0) return '0 %';
  return part < 0.0005 ? '<0.1 %' : `${(100 * part).toFixed(1)} %`;
}

/** Three significant digits. */
export function significant(n: number): string {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(Number(n.toPrecision(3))))));
  return n.toFixed(Math.min(digits, 3));
}
