/**
 * What a page shows, as Python wrote it (pipeline/export/viewer/packing.py), and how its numbers are read.
 *
 * World: y up, faces look at +z. Angles are radians; a pose is [pitch, yaw], both pi/2 from the front.
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
 * @typedef {object} View where cameras stand: on the unit sphere, looking at its middle
 * @property {number} fov between the outermost pixel centres
 * @property {[number, number]} start
 * @property {[number, number]} low least pitch and yaw that the model was trained on
 * @property {[number, number]} high
 * @property {boolean} around all yaws were
 */

/**
 * @typedef {object} Layers geometry of the surfaces, outermost first; the same for all latents
 * @property {number} count
 * @property {number} side vertices along one side of a surface
 * @property {Box} positions (count, side, side)
 * @property {number[]} axis the way they are pulled apart
 * @property {number} near where the network looks for surfaces, distance from the camera
 * @property {number} far
 * @property {{z: number, extent: [number, number]} | null} plane behind them; none is white
 * @property {Atlas} atlas
 */

/**
 * @typedef {object} Atlas how surfaces, and last the plane, lie in the pictures: colours in the upper half,
 *   occupancies at the same places of the lower half
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
 * @property {string | null} picture texture in place of `colors`
 */

/**
 * @typedef {object} Content
 * @property {View} view
 * @property {Layers | null} layers none of a model that has no surfaces
 * @property {string[]} pictures one atlas for each latent, neighbours on the slider one after the other
 * @property {string[]} labels names of every so many places of the slider
 * @property {number} stride from one label to the next
 * @property {Surface[]} meshes one for each label, or none
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
