/**
 * Content of a page, as encoded by pipeline/export/viewer/packing.py, and its decoding.
 *
 * World: y up, faces look at +z. Angles are in radians; a pose is [pitch, yaw], both pi/2 at the front.
 */

/**
 * @typedef {object} Packed numbers as little-endian bytes in base64
 * @property {string} bytes
 * @property {"uint8" | "int8" | "uint16" | "uint32"} type
 */

/**
 * @typedef {object} Box positions: `low + step * numbers`, three after three
 * @property {Packed} numbers
 * @property {number[]} low
 * @property {number[]} step
 */

/**
 * @typedef {object} View range of cameras on the unit sphere, looking at the origin
 * @property {number} fov between the outermost pixel centres
 * @property {[number, number]} start
 * @property {[number, number]} low smallest pitch and yaw of the training data
 * @property {[number, number]} high largest pitch and yaw
 * @property {boolean} around true if the training data has all yaws
 */

/**
 * @typedef {object} Layers geometry of the surfaces, outermost first; the same for all latents
 * @property {number} count
 * @property {number} side vertices along one side of a surface
 * @property {Box} positions (count, side, side)
 * @property {number[]} axis direction in which they are pulled apart
 * @property {number} near smallest distance of surfaces from the camera
 * @property {number} far largest distance
 * @property {{z: number, extent: [number, number]} | null} plane background plane; null is white
 * @property {Atlas} atlas
 */

/**
 * @typedef {object} Atlas layout of the tiles of surfaces, and last the plane: colours in the upper half,
 *   occupancies at the same positions of the lower half
 * @property {number} resolution pixels along one side of a tile
 * @property {number} columns
 * @property {number} rows of tiles in one half
 */

/**
 * @typedef {object} Surface mesh of one latent
 * @property {Box} positions
 * @property {Packed} normals
 * @property {Packed} faces
 * @property {Packed | null} colors sRGB, by vertex
 * @property {Packed | null} uv
 * @property {string | null} texture image in place of `colors`
 */

/**
 * @typedef {object} Content
 * @property {View} view
 * @property {Layers | null} layers null without surfaces
 * @property {string[]} atlases one per latent, in the order of the slider
 * @property {string[]} labels names of every `stride`-th latent
 * @property {number} stride number of latents from one label to the next
 * @property {Surface[]} meshes one per label, or none
 */

const TYPES = { uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, uint32: Uint32Array };

/** @param {string} base64 */
export function bytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** @param {Packed} packed */
export function numbers(packed) {
  return new TYPES[packed.type](bytes(packed.bytes).buffer);
}

/**
 * Positions in the world.
 * @param {Box} box
 */
export function positions(box) {
  const steps = numbers(box.numbers);
  return Float32Array.from(steps, (step, i) => box.low[i % 3] + box.step[i % 3] * step);
}
