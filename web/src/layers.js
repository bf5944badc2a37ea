/**
 * Layered representation: surfaces with colours and occupancies, drawn unlit from the innermost to the outermost
 * over the background. Like the network, it composites sRGB values without any conversion.
 */
import { BufferAttribute, BufferGeometry, Group, Mesh, ShaderMaterial, Vector2, Vector3 } from "three";

import { positions } from "./data.js";

const SPREAD = 0.042; // maximum distance added between neighbours

const VERTEX = /* glsl */ `
  attribute float place;
  uniform vec3 axis;
  uniform float spread;
  uniform mat4 front;
  varying vec2 at;
  varying vec3 point;
  varying vec3 framed;

  void main() {
    at = uv;
    framed = (front * vec4(position, 1.0)).xyw;
    point = position;
    gl_Position = projectionMatrix * modelViewMatrix * vec4(position + spread * place * axis, 1.0);
  }`;

const FRAGMENT = /* glsl */ `
  uniform sampler2D first;
  uniform sampler2D second;
  uniform float mixed;
  uniform vec2 visible;
  uniform float frame;
  varying vec2 at;
  varying vec3 point;
  varying vec3 framed;

  vec4 look(sampler2D atlas) {
    return vec4(texture2D(atlas, at).rgb, texture2D(atlas, at + vec2(0.0, 0.5)).r);
  }

  void main() {
    float t = distance(cameraPosition, point);
    if (t < visible.x || t > visible.y) discard;
    vec2 place = abs(framed.xy) / framed.z;
    float off = max(place.x, place.y);
    float inside = 0.7 * (frame - off) / fwidth(off); // about pixels to the frame
    if (inside < 0.0) discard;
    vec4 surface = mixed > 0.0 ? mix(look(first), look(second), mixed) : look(first);
    gl_FragColor = mix(vec4(vec3(0.5), 0.75), surface, min(inside, 1.0));
  }`;

/** Surfaces that are pulled apart are cropped to the frontal image. */
const FRAMED = 0.2; // spread at which they are
const UNFRAMED = 1e4;

export class Layers {
  /**
   * @param {import("./data.js").Layers} layers
   * @param {import("three").Matrix4} front projection from the world to the frontal image
   */
  constructor(layers, front) {
    this.layers = layers;
    this.shared = {
      first: { value: null },
      second: { value: null },
      mixed: { value: 0 },
      spread: { value: 0 },
      axis: { value: new Vector3(...layers.axis) },
      front: { value: front },
      frame: { value: UNFRAMED },
    };
    this.three = new Group();
    this.surfaces = this.#mesh(surfaces(layers), new Vector2(layers.near, layers.far));
    this.surfaces.renderOrder = 1;
    this.plane = layers.plane && this.#mesh(plane(layers, layers.plane), new Vector2(0, Infinity));
  }

  #mesh(geometry, visible) {
    const mesh = new Mesh(
      geometry,
      new ShaderMaterial({
        uniforms: { ...this.shared, visible: { value: visible } },
        vertexShader: VERTEX,
        fragmentShader: FRAGMENT,
        transparent: true,
        depthTest: false,
        depthWrite: false,
      }),
    );
    mesh.frustumCulled = false;
    this.three.add(mesh);
    return mesh;
  }

  /**
   * Show a blend of two neighbouring latents.
   * @param {import("three").Texture} first
   * @param {import("three").Texture} second
   * @param {number} mixed weight of the second
   */
  blend(first, second, mixed) {
    this.shared.first.value = first;
    this.shared.second.value = second;
    this.shared.mixed.value = mixed;
  }

  /** @param {import("./panel.js").Settings} settings visible surfaces, and their spread */
  apply({ shown, from, to, background, spread }) {
    const each = 6 * (this.layers.side - 1) ** 2;
    this.three.visible = shown === "layers";
    this.surfaces.geometry.setDrawRange((this.layers.count - 1 - to) * each, (to - from + 1) * each);
    if (this.plane) this.plane.visible = background;
    this.shared.spread.value = spread * SPREAD;
    this.shared.frame.value = spread ? Math.max(1, FRAMED / spread) : UNFRAMED;
  }
}

/** All surfaces as one geometry, the innermost first. */
function surfaces(layers) {
  const { count, side } = layers;
  const geometry = new BufferGeometry();
  const uv = new Float32Array(2 * count * side ** 2);
  const place = new Float32Array(count * side ** 2);
  const index = new Uint32Array(6 * count * (side - 1) ** 2);
  for (let i = 0, vertex = 0; i < count; i++)
    for (let row = 0; row < side; row++)
      for (let column = 0; column < side; column++, vertex++) {
        uv.set(tileUv(layers.atlas, i, column / (side - 1), row / (side - 1)), 2 * vertex);
        place[vertex] = (count + 1) / 2 - i;
      }
  for (let i = count - 1, k = 0; i >= 0; i--)
    for (let row = 0; row < side - 1; row++)
      for (let column = 0; column < side - 1; column++, k += 6) {
        const a = (i * side + row) * side + column;
        index.set([a, a + 1, a + side, a + 1, a + side + 1, a + side], k);
      }
  geometry.setAttribute("position", new BufferAttribute(positions(layers.positions), 3));
  geometry.setAttribute("uv", new BufferAttribute(uv, 2));
  geometry.setAttribute("place", new BufferAttribute(place, 1));
  return geometry.setIndex(new BufferAttribute(index, 1));
}

/** Background plane, a rectangle. */
function plane(layers, { z, extent }) {
  const geometry = new BufferGeometry();
  const corners = [0, 1, 2, 3].map((i) => [i % 2, i >> 1]);
  const points = corners.flatMap(([u, v]) => [(2 * u - 1) * extent[0], (2 * v - 1) * extent[1], z]);
  const uv = corners.flatMap(([u, v]) => tileUv(layers.atlas, layers.count, u, v));
  const place = corners.map(() => (1 - layers.count) / 2);
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(points), 3));
  geometry.setAttribute("uv", new BufferAttribute(new Float32Array(uv), 2));
  geometry.setAttribute("place", new BufferAttribute(new Float32Array(place), 1));
  return geometry.setIndex([0, 1, 2, 1, 3, 2]);
}

/** Coordinates in the atlas of a tile's (u, v); 0 and 1 are the centres of the tile's outermost pixels. */
function tileUv({ resolution, columns, rows }, tile, u, v) {
  const x = (tile % columns) * resolution + 0.5 + u * (resolution - 1);
  const y = Math.floor(tile / columns) * resolution + 0.5 + v * (resolution - 1);
  return [x / (columns * resolution), y / (2 * rows * resolution)];
}
