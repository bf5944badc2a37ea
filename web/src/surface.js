/** Surface meshes, with their colours unlit or as clay lit from the camera's upper left. */
import { BufferAttribute, BufferGeometry, DoubleSide, Group, Mesh, ShaderMaterial } from "three";

import { numbers, positions } from "./data.js";
import { decode } from "./textures.js";

const VERTEX = /* glsl */ `
  #ifndef TEXTURED
  attribute vec3 paint;
  #endif
  varying vec3 facing;
  varying vec3 painted;
  varying vec2 at;

  void main() {
    facing = normalMatrix * normal;
    #ifdef TEXTURED
    at = uv;
    #else
    painted = paint;
    #endif
    gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
  }`;

/** Lit like the images of meshes in the export. */
const FRAGMENT = /* glsl */ `
  uniform bool clay;
  uniform sampler2D image;
  varying vec3 facing;
  varying vec3 painted;
  varying vec2 at;

  void main() {
    float light = 0.18 + 0.82 * max(dot(normalize(facing), normalize(vec3(-0.4, 0.6, 1.0))), 0.0);
    #ifdef TEXTURED
    vec3 color = texture2D(image, at).rgb;
    #else
    vec3 color = painted;
    #endif
    gl_FragColor = vec4(clay ? light * vec3(0.82, 0.80, 0.77) : color, 1.0);
  }`;

export class Surfaces {
  /**
   * @param {import("./data.js").Surface[]} surfaces
   * @param {() => void} loaded called when a texture is loaded
   */
  constructor(surfaces, loaded) {
    this.clay = { value: false };
    this.three = new Group();
    for (const surface of surfaces) this.three.add(this.#mesh(surface, loaded));
  }

  #mesh(surface, loaded) {
    const uniforms = { clay: this.clay, image: { value: null } };
    if (surface.texture)
      decode(surface.texture).then((texture) => {
        uniforms.image.value = texture;
        loaded();
      });
    return new Mesh(
      geometry(surface),
      new ShaderMaterial({
        uniforms,
        defines: surface.texture ? { TEXTURED: "" } : {},
        vertexShader: VERTEX,
        fragmentShader: FRAGMENT,
        side: DoubleSide,
      }),
    );
  }

  /** @param {number} index the visible one */
  show(index) {
    this.three.children.forEach((mesh, i) => (mesh.visible = i === index));
  }
}

function geometry(surface) {
  const buffers = new BufferGeometry();
  buffers.setAttribute("position", new BufferAttribute(positions(surface.positions), 3));
  buffers.setAttribute("normal", new BufferAttribute(numbers(surface.normals), 3, true));
  if (surface.uv) buffers.setAttribute("uv", new BufferAttribute(numbers(surface.uv), 2, true));
  if (surface.colors) buffers.setAttribute("paint", new BufferAttribute(numbers(surface.colors), 3, true));
  return buffers.setIndex(new BufferAttribute(numbers(surface.faces), 1));
}
