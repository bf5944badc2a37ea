/** Surface meshes, with their colours as they are or as clay lit from the camera's upper left. */
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

/** As the pictures of meshes beside the export are lit. */
const FRAGMENT = /* glsl */ `
  uniform bool clay;
  uniform sampler2D picture;
  varying vec3 facing;
  varying vec3 painted;
  varying vec2 at;

  void main() {
    float light = 0.18 + 0.82 * max(dot(normalize(facing), normalize(vec3(-0.4, 0.6, 1.0))), 0.0);
    #ifdef TEXTURED
    vec3 color = texture2D(picture, at).rgb;
    #else
    vec3 color = painted;
    #endif
    gl_FragColor = vec4(clay ? light * vec3(0.82, 0.80, 0.77) : color, 1.0);
  }`;

export class Surfaces {
  /**
   * @param {import("./data.js").Surface[]} surfaces
   * @param {() => void} arrived called when a picture is there
   */
  constructor(surfaces, arrived) {
    this.clay = { value: false };
    this.three = new Group();
    for (const surface of surfaces) this.three.add(this.#mesh(surface, arrived));
  }

  #mesh(surface, arrived) {
    const uniforms = { clay: this.clay, picture: { value: null } };
    if (surface.picture)
      decode(surface.picture).then((texture) => {
        uniforms.picture.value = texture;
        arrived();
      });
    return new Mesh(
      geometry(surface),
      new ShaderMaterial({
        uniforms,
        defines: surface.picture ? { TEXTURED: "" } : {},
        vertexShader: VERTEX,
        fragmentShader: FRAGMENT,
        side: DoubleSide,
      }),
    );
  }

  /** @param {number} chosen which of them is seen */
  show(chosen) {
    this.three.children.forEach((mesh, i) => (mesh.visible = i === chosen));
  }
}

function geometry(surface) {
  const made = new BufferGeometry();
  made.setAttribute("position", new BufferAttribute(positions(surface.positions), 3));
  made.setAttribute("normal", new BufferAttribute(numbers(surface.normals), 3, true));
  if (surface.uv) made.setAttribute("uv", new BufferAttribute(numbers(surface.uv), 2, true));
  if (surface.colors) made.setAttribute("paint", new BufferAttribute(numbers(surface.colors), 3, true));
  return made.setIndex(new BufferAttribute(numbers(surface.faces), 1));
}
