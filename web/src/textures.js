/** Atlases of all latents as textures, decoded on first use and kept. */
import { LinearFilter, NoColorSpace, Texture } from "three";

import { bytes } from "./data.js";

/**
 * Texture with unconverted values: sRGB, no premultiplied alpha, the first row first.
 * @param {string} base64 WebP image
 */
export async function decode(base64) {
  const image = await createImageBitmap(new Blob([bytes(base64)], { type: "image/webp" }), {
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  });
  const texture = new Texture(image);
  texture.flipY = false;
  texture.colorSpace = NoColorSpace;
  texture.generateMipmaps = false;
  texture.minFilter = texture.magFilter = LinearFilter;
  texture.needsUpdate = true;
  return texture;
}

export class Atlases {
  /**
   * @param {string[]} atlases WebP images in base64
   * @param {() => void} loaded called when a texture that `at` did not have is loaded
   */
  constructor(atlases, loaded) {
    this.atlases = atlases;
    this.loaded = loaded;
    /** @type {(Texture | undefined)[]} */
    this.ready = atlases.map(() => undefined);
    /** @type {(Promise<void> | undefined)[]} */
    this.pending = atlases.map(() => undefined);
  }

  /** @param {number} i */
  at(i) {
    if (!this.ready[i]) this.load(i).then(this.loaded);
    return this.ready[i];
  }

  /** @param {number} i */
  load(i) {
    this.pending[i] ??= decode(this.atlases[i]).then((texture) => {
      this.ready[i] = texture;
    });
    return this.pending[i];
  }

  /** Load all of them one after the other, ahead of the slider. */
  async loadAll() {
    for (let i = 0; i < this.atlases.length; i++) await this.load(i);
  }
}
