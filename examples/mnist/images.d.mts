export declare const PIXELS: number;
export declare function testImages(): Promise<{ images: Float32Array; labels: Uint8Array; count: number }>;
