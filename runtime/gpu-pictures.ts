/** Pictures that a kernel reads into the network's input, without JavaScript seeing a pixel. */
import type { GpuPicture } from './gpu-plan.ts';

export type PictureSource =
  | { readonly kind: 'texture'; readonly source: GPUTexture }
  | { readonly kind: 'external'; readonly source: GPUExternalTexture }
  /** Copied into a texture of the model's. */
  | { readonly kind: 'image'; readonly source: GPUCopyExternalImageSource }
  /** Read where it is. */
  | { readonly kind: 'video'; readonly source: VideoFrame | HTMLVideoElement };

/** The kernel for textures, and the one for frames of videos. */
type Reader = 'texture' | 'frame';

const TILE = 8;

export class PictureReader {
  readonly #device: GPUDevice;
  readonly #picture: GpuPicture;
  readonly #code: Readonly<Record<Reader, string>>;
  readonly #arena: GPUBuffer;
  readonly #pipelines: Partial<Record<Reader, GPUComputePipeline>> = {};
  #texture: GPUTexture | undefined;

  constructor(device: GPUDevice, picture: GpuPicture, code: readonly string[], arena: GPUBuffer) {
    const [texture = '', frame = ''] = code;
    this.#device = device;
    this.#picture = picture;
    this.#code = { texture, frame };
    this.#arena = arena;
  }

  /** Everything else that the encoder gets comes after it. */
  encode(encoder: GPUCommandEncoder, { kind, source }: PictureSource): void {
    const device = this.#device;
    const { width, height } = this.#picture;
    // not every engine has them; the others copy
    const shares = 'importExternalTexture' in device;
    const external =
      kind === 'video' && shares
        ? device.importExternalTexture({ source })
        : kind === 'external'
          ? source
          : undefined;
    const pipeline = this.#pipeline(external ? 'frame' : 'texture');
    const entries: GPUBindGroupEntry[] = [{ binding: 0, resource: { buffer: this.#arena } }];
    if (external) {
      entries.push({ binding: 1, resource: external });
      entries.push({
        binding: 2,
        resource: device.createSampler({ magFilter: 'linear', minFilter: 'linear' }),
      });
    } else {
      const texture = kind === 'texture' ? source : this.#copied(source as GPUCopyExternalImageSource);
      entries.push({ binding: 1, resource: texture.createView() });
    }
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(Math.ceil(width / TILE), Math.ceil(height / TILE));
    pass.end();
  }

  /** Made when it is first needed: some devices have no frames of videos in kernels. */
  #pipeline(reader: Reader): GPUComputePipeline {
    this.#pipelines[reader] ??= this.#device.createComputePipeline({
      label: `picture ${reader}`,
      layout: this.#device.createPipelineLayout({ bindGroupLayouts: [this.#layout(reader)] }),
      compute: { module: this.#device.createShaderModule({ code: this.#code[reader] }) },
    });
    return this.#pipelines[reader];
  }

  #layout(reader: Reader): GPUBindGroupLayout {
    const { COMPUTE: visibility } = GPUShaderStage;
    return this.#device.createBindGroupLayout({
      entries: [
        { binding: 0, visibility, buffer: { type: 'storage' } },
        ...(reader === 'texture'
          ? [{ binding: 1, visibility, texture: { sampleType: 'unfilterable-float' } } as const]
          : [
              { binding: 1, visibility, externalTexture: {} },
              { binding: 2, visibility, sampler: {} },
            ]),
      ],
    });
  }

  /** As `getImageData` has the pixels: alpha is not multiplied in. */
  #copied(source: GPUCopyExternalImageSource): GPUTexture {
    const { width, height } = this.#picture;
    this.#texture ??= this.#device.createTexture({
      label: 'picture',
      size: [width, height],
      format: 'rgba8unorm',
      usage: GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT,
    });
    this.#device.queue.copyExternalImageToTexture({ source }, { texture: this.#texture }, [width, height]);
    return this.#texture;
  }

  dispose(): void {
    this.#texture?.destroy();
  }
}
