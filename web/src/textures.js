/** The atlases of all latents as textures, decoded when they are needed and kept. */
import { LinearFilter, NoColorSpace, Texture } from "three";

import { bytes } from "./data.js";

/**
 * A picture whose bytes reach the shader as they are: sRGB values, no premultiplied alpha, the first row first.
 * @param {string} base64 of a WebP
 */
export async function decode(base64) {
  const picture = await createImageBitmap(new Blob([bytes(base64)], { type: "image/webp" }), {
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  });
  const texture = new Texture(picture);
  texture.flipY = false;
  texture.colorSpace = NoColorSpace;
  texture.generateMipmaps = false;
  texture.minFilter = texture.magFilter = LinearFilter;
  texture.needsUpdate = true;
  return texture;
}

export class Atlases {
  /**
   * @param {string[]} pictures
   * @param {() => void} arrived called when a texture can be used that was asked for in vain
   */
  constructor(pictures, arrived) {
    this.pictures = pictures;
    this.arrived = arrived;
    /** @type {(Texture | undefined)[]} */
    this.ready = pictures.map(() => undefined);
    /** @type {(Promise<void> | undefined)[]} */
    this.coming = pictures.map(() => undefined);
  }

  /** @param {number} i */
  at(i) {
    if (!this.ready[i]) this.load(i).then(this.arrived);
    return this.ready[i];
  }

  /** @param {number} i */
  load(i) {
    this.coming[i] ??= decode(this.pictures[i]).then((texture) => {
      this.ready[i] = texture;
    });
    return this.coming[i];
  }

  /** All of them, one after the other, so that the slider never waits. */
  async loadAll() {
    for (let i = 0; i < this.pictures.length; i++) await this.load(i);
  }
}
