/** Page of the viewer: a square canvas, and the form with its settings. */
import { ColorManagement, LinearSRGBColorSpace, MathUtils, Scene, WebGLRenderer } from "three";

import { Camera } from "./camera.js";
import { listen } from "./input.js";
import { Layers } from "./layers.js";
import { Loop } from "./loop.js";
import { Panel } from "./panel.js";
import { Surfaces } from "./surface.js";
import { Atlases } from "./textures.js";

const WIDENED = 0.95; // enlargement of the field of view when surfaces are pulled apart
const SWING = 5000; // milliseconds to one side and back to the centre
const MAX_STEP = 50; // maximum milliseconds between two frames while turning
const MAX_RATIO = 2; // maximum number of canvas pixels per CSS pixel

/** @param {HTMLElement} root */
function start(root) {
  const content = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const stage = root.querySelector(".stage");
  let renderer;
  try {
    renderer = new WebGLRenderer({ canvas: stage.querySelector("canvas"), antialias: true, alpha: true });
  } catch {
    stage.dataset.failed = "This browser cannot show 3D content here: WebGL 2 is disabled or missing.";
    return;
  }
  show(root, stage, renderer, content);
}

/**
 * @param {HTMLElement} root
 * @param {HTMLElement} stage
 * @param {WebGLRenderer} renderer
 * @param {import("./data.js").Content} content
 */
function show(root, stage, renderer, content) {
  ColorManagement.enabled = false; // all colours are the network's sRGB values
  renderer.outputColorSpace = LinearSRGBColorSpace;
  const scene = new Scene();
  const camera = new Camera(content.view);
  const request = () => loop.request();
  const layers = content.layers && new Layers(content.layers, camera.matrix());
  const surfaces = new Surfaces(content.meshes, request);
  const atlases = new Atlases(content.atlases, request);
  if (layers) scene.add(layers.three);
  scene.add(surfaces.three);
  const pose = root.querySelector("output[name=pose]");
  const rate = root.querySelector("output[name=rate]");
  /** @type {import("./panel.js").Settings} */
  let settings;
  let swing = 0; // phase in radians, yaw follows its sine
  let before = 0;

  const loop = new Loop(
    (now) => {
      if (settings.turning) turn(now);
      before = now;
      if (settings.shown === "layers" && !setTextures()) return false;
      renderer.render(scene, camera.of(renderer.domElement.width));
      stage.dataset.drawn = "";
      return settings.turning;
    },
    (frames) => (rate.textContent = frames === null ? "at rest" : `${Math.round(frames)} frames/s`),
  );

  function turn(now) {
    const step = (Math.PI / SWING) * Math.min(now - before, MAX_STEP);
    const { start, low, high, around } = content.view;
    if (camera.free || around) camera.turn(0, step / 2);
    else camera.look(camera.pitch, start[1] + ((high[1] - low[1]) / 2) * Math.sin((swing += step)));
    showPose();
  }

  /** Start turning at the current pose. */
  function beginSwing() {
    const { start, low, high } = content.view;
    const out = (2 * (camera.yaw - start[1])) / Math.max(high[1] - low[1], 1e-6);
    swing = Math.asin(MathUtils.clamp(out, -1, 1));
  }

  /** Set the textures of the latent; true if they are loaded. */
  function setTextures() {
    const low = Math.floor(settings.latent);
    const first = atlases.at(low);
    const second = atlases.at(Math.ceil(settings.latent));
    if (first && second) layers.blend(first, second, settings.latent - low);
    return first && second;
  }

  function showPose() {
    const degrees = (angle) => `${((angle * 180) / Math.PI).toFixed(1)}°`;
    pose.textContent = `pitch ${degrees(camera.pitch)}, yaw ${degrees(camera.yaw)}`;
  }

  const panel = new Panel(root.querySelector("form"), content, (changed) => {
    if (changed.turning && !settings?.turning) beginSwing();
    settings = changed;
    const drawsLayers = settings.shown === "layers";
    if (layers) layers.apply(settings);
    camera.widened = drawsLayers ? 1 + settings.spread * WIDENED : 1;
    surfaces.three.visible = !drawsLayers;
    surfaces.show(Math.round(settings.latent / content.stride));
    surfaces.clay.value = settings.shown === "clay";
    renderer.setClearColor(0xffffff, drawsLayers && settings.background && !layers.plane ? 1 : 0);
    camera.unlimited = settings.free;
    showPose();
    loop.request();
  });
  const moved = () => {
    showPose();
    loop.request();
  };
  renderer.domElement.addEventListener("webglcontextrestored", request);
  listen(stage, camera, {
    moved,
    grabbed: () => (panel.turning = false),
    toggled: () => (panel.turning = !panel.turning),
  });
  root.querySelector("[data-reset]").addEventListener("click", () => {
    panel.turning = false;
    camera.reset();
    moved();
  });
  new ResizeObserver(() => {
    renderer.setPixelRatio(Math.min(devicePixelRatio, MAX_RATIO));
    renderer.setSize(stage.clientWidth, stage.clientWidth, false);
    loop.request();
  }).observe(stage);
  panel.update();
  atlases.loadAll();
}

start(document.querySelector(".viewer"));
