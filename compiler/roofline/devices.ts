/** GPUs by their data sheets: peaks that no program reaches. */

export interface Device {
  readonly name: string;
  readonly title: string;
  /** 10⁹ f32 operations per second, and 10⁹ bytes per second of main memory. */
  readonly gflops: number;
  readonly gigabytesPerSecond: number;
  readonly source: string;
  /** What WebGPU runs on there. */
  readonly api: keyof typeof DISPATCH_US;
}

/**
 * Microseconds that a dispatch takes besides its kernel, which no data sheet has: the least of what was measured of WebGPU on
 * each API (Maczan, Characterizing WebGPU Dispatch Overhead, arXiv:2604.02344: 24 to 36 and 32 to 71).
 */
export const DISPATCH_US = { Vulkan: 24, Metal: 32 } as const;

export const DEVICES = [
  {
    name: 'jetson-nano',
    title: 'NVIDIA Jetson Nano',
    gflops: 236,
    gigabytesPerSecond: 25.6,
    source: 'data sheet DS-09366-001: 472 GFLOPs at f16, half of that at f32; LPDDR4 at 25.6 GB/s',
    api: 'Vulkan',
  },
  {
    name: 'jetson-agx-orin',
    title: 'NVIDIA Jetson AGX Orin 64GB',
    gflops: 5300,
    gigabytesPerSecond: 204.8,
    source: 'data sheet DS-10662-001: 5.3 TFLOPs at f32; LPDDR5 at 204.8 GB/s',
    api: 'Vulkan',
  },
  {
    name: 't4',
    title: 'NVIDIA T4',
    gflops: 8100,
    gigabytesPerSecond: 300,
    source: 'data sheet of the T4: 8.1 TFLOPS single precision; GDDR6 at 300 GB/s',
    api: 'Vulkan',
  },
  {
    name: 'a100',
    title: 'NVIDIA A100 40GB PCIe',
    gflops: 19_500,
    gigabytesPerSecond: 1555,
    source: 'data sheet of the A100: 19.5 TFLOPS f32; HBM2 at 1,555 GB/s',
    api: 'Vulkan',
  },
  {
    name: 'rtx-a2000',
    title: 'NVIDIA RTX A2000',
    gflops: 8000,
    gigabytesPerSecond: 288,
    source: 'data sheet of the RTX A2000: 8.0 TFLOPS single precision; GDDR6 at 288 GB/s',
    api: 'Vulkan',
  },
  {
    name: 'rx-6600',
    title: 'AMD Radeon RX 6600',
    gflops: 8930,
    gigabytesPerSecond: 224,
    source: 'specifications of the RX 6600: 8.93 TFLOPs single precision; GDDR6 at up to 224 GB/s',
    api: 'Vulkan',
  },
  {
    name: 'apple-m1',
    title: 'Apple M1, 8-core GPU',
    gflops: 2600,
    gigabytesPerSecond: 66.7,
    source:
      'announcements of the M1: 2.6 teraflops, taken as f32; and of the M2: 100 GB/s, 50 % more than the M1',
    api: 'Metal',
  },
] as const satisfies readonly Device[];

export const deviceNamed = (name: string): Device | undefined => DEVICES.find((one) => one.name === name);
