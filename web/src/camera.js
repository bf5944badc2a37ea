/** Cameras of the network: on the unit sphere, looking at the origin. Zoom changes the field of view. */
import { MathUtils, Matrix4, PerspectiveCamera } from "three";

const POLE = 0.05;
const ZOOM = { low: 0.4, high: 8 };

export class Camera {
  /** @param {import("./data.js").View} view */
  constructor(view) {
    this.view = view;
    this.free = false;
    this.widened = 1; // tangent of the half field of view, relative to the network's
    this.three = new PerspectiveCamera(0, 1, 0.05, 4);
    this.reset();
  }

  /** Return to the frontal view. */
  reset() {
    [this.pitch, this.yaw] = this.view.start;
    this.zoom = 1;
  }

  /**
   * @param {number} pitch radians to add
   * @param {number} yaw radians to add
   */
  turn(pitch, yaw) {
    this.look(this.pitch + pitch, this.yaw + yaw);
  }

  /**
   * Look from a pose, clamped to the range of the training data unless the camera is free.
   * @param {number} pitch
   * @param {number} yaw
   */
  look(pitch, yaw) {
    const { low, high, around } = this.view;
    this.pitch = this.free
      ? MathUtils.clamp(pitch, POLE, Math.PI - POLE)
      : MathUtils.clamp(pitch, low[0], high[0]);
    this.yaw = this.free || around ? yaw : MathUtils.clamp(yaw, low[1], high[1]);
  }

  /** @param {number} factor */
  magnify(factor) {
    this.zoom = MathUtils.clamp(this.zoom * factor, ZOOM.low, ZOOM.high);
  }

  /** @param {boolean} free true to allow poses outside the range of the training data */
  set unlimited(free) {
    this.free = free;
    this.look(this.pitch, this.yaw);
  }

  /**
   * Camera of a square image. Rays pass through pixel centres, the outermost ones on the border of the field
   * of view.
   * @param {number} pixels along one side
   */
  of(pixels) {
    const half = (this.widened * Math.tan(this.view.fov / 2)) / (1 - 1 / Math.max(pixels, 2));
    this.three.fov = MathUtils.radToDeg(2 * Math.atan(half / this.zoom));
    this.three.updateProjectionMatrix();
    const across = Math.sin(this.pitch);
    this.three.position.set(across * Math.cos(this.yaw), Math.cos(this.pitch), across * Math.sin(this.yaw));
    this.three.lookAt(0, 0, 0);
    return this.three;
  }

  /** Projection from the world to the image, whose borders are the centres of its outermost pixels. */
  matrix() {
    const camera = this.of(Infinity);
    camera.updateMatrixWorld();
    return new Matrix4().multiplyMatrices(camera.projectionMatrix, camera.matrixWorldInverse);
  }
}
