/** A mistake in the code that drives the encoder: a wrong operand type, a foreign local, a missing memory. Always our bug. */
export class EncoderError extends Error {
  override readonly name = 'EncoderError';
}
