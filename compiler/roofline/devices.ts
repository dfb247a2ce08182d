/** Devices by their data sheets: peaks that no program reaches, so times are at least so long. */

export interface Device {
  readonly name: string;
  readonly title: string;
  /** 10⁹ f32 operations per second, and 10⁹ bytes per second of main memory. */
  readonly gflops: number;
  readonly gigabytesPerSecond: number;
  readonly source: string;
}

export const DEVICES = [
  {
    name: 'jetson-nano',
    title: 'NVIDIA Jetson Nano',
    gflops: 236,
    gigabytesPerSecond: 25.6,
    source: 'data sheet DS-09366-001: 472 GFLOPs at f16, half of that at f32; LPDDR4 at 25.6 GB/s',
  },
  {
    name: 'jetson-agx-orin',
    title: 'NVIDIA Jetson AGX Orin 64GB',
    gflops: 5300,
    gigabytesPerSecond: 204.8,
    source: 'data sheet DS-10662-001: 5.3 TFLOPs at f32; LPDDR5 at 204.8 GB/s',
  },
  {
    name: 't4',
    title: 'NVIDIA T4',
    gflops: 8100,
    gigabytesPerSecond: 300,
    source: 'data sheet of the T4: 8.1 TFLOPS single precision; GDDR6 at 300 GB/s',
  },
  {
    name: 'a100',
    title: 'NVIDIA A100 40GB PCIe',
    gflops: 19_500,
    gigabytesPerSecond: 1555,
    source: 'data sheet of the A100: 19.5 TFLOPS f32; HBM2 at 1,555 GB/s',
  },
] as const satisfies readonly Device[];

export const deviceNamed = (name: string): Device | undefined => DEVICES.find((one) => one.name === name);
