/** Official cases of operators that convolith reads, and that do not pass: why. Each must still not pass. */
const FRACTION =
  'ONNX maps corners by the fractional output size scale·input; PyTorch and onnxruntime, by the whole one, and so does convolith';

export const EXCEPTIONS: Readonly<Record<string, string>> = {
  test_resize_downsample_scales_cubic_align_corners: FRACTION,
  test_resize_downsample_scales_linear_align_corners: FRACTION,
};
