/** One page: a square picture that can be turned, and the form that says what it shows. */
import { ColorManagement, LinearSRGBColorSpace, MathUtils, Scene, WebGLRenderer } from "three";

import { Camera } from "./camera.js";
import { listen } from "./hands.js";
import { Layers } from "./layers.js";
import { Loop } from "./loop.js";
import { Panel } from "./panel.js";
import { Surfaces } from "./surface.js";
import { Atlases } from "./textures.js";

const WIDENED = 0.95; // of the picture when surfaces are pulled apart
const SWING = 5000; // milliseconds to the side and back to the middle
const LONGEST = 50; // milliseconds that pass between two pictures as far as turning goes
const SHARPEST = 2; // pixels of the picture for one of the page

/** @param {HTMLElement} root */
function start(root) {
  const content = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const stage = root.querySelector(".stage");
  let renderer;
  try {
    renderer = new WebGLRenderer({ canvas: stage.querySelector("canvas"), antialias: true, alpha: true });
  } catch {
    stage.dataset.failed = "This browser cannot draw in three dimensions here: WebGL 2 is switched off or missing.";
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
  ColorManagement.enabled = false; // colours are the network's sRGB values from end to end
  renderer.outputColorSpace = LinearSRGBColorSpace;
  const scene = new Scene();
  const camera = new Camera(content.view);
  const request = () => loop.request();
  const layers = content.layers && new Layers(content.layers, camera.matrix());
  const surfaces = new Surfaces(content.meshes, request);
  const atlases = new Atlases(content.pictures, request);
  if (layers) scene.add(layers.three);
  scene.add(surfaces.three);
  const pose = root.querySelector("output[name=pose]");
  const rate = root.querySelector("output[name=rate]");
  /** @type {import("./panel.js").Wishes} */
  let wishes;
  let swing = 0; // radians of a pendulum, the yaw follows its sine
  let before = 0;

  const loop = new Loop(
    (now) => {
      if (wishes.turning) turn(now);
      before = now;
      if (wishes.shown === "layers" && !dress()) return false;
      renderer.render(scene, camera.of(renderer.domElement.width));
      stage.dataset.drawn = "";
      return wishes.turning;
    },
    (frames) => (rate.textContent = frames === null ? "at rest" : `${Math.round(frames)} pictures/s`),
  );

  function turn(now) {
    const step = (Math.PI / SWING) * Math.min(now - before, LONGEST);
    const { start, low, high, around } = content.view;
    if (camera.free || around) camera.turn(0, step / 2);
    else camera.look(camera.pitch, start[1] + ((high[1] - low[1]) / 2) * Math.sin((swing += step)));
    tellPose();
  }

  /** Turning goes on from where the camera stands. */
  function beginSwing() {
    const { start, low, high } = content.view;
    const out = (2 * (camera.yaw - start[1])) / Math.max(high[1] - low[1], 1e-6);
    swing = Math.asin(MathUtils.clamp(out, -1, 1));
  }

  /** Whether the textures of the latent are there. */
  function dress() {
    const low = Math.floor(wishes.latent);
    const first = atlases.at(low);
    const second = atlases.at(Math.ceil(wishes.latent));
    if (first && second) layers.wear(first, second, wishes.latent - low);
    return first && second;
  }

  function tellPose() {
    const degrees = (angle) => `${((angle * 180) / Math.PI).toFixed(1)}°`;
    pose.textContent = `pitch ${degrees(camera.pitch)}, yaw ${degrees(camera.yaw)}`;
  }

  const panel = new Panel(root.querySelector("form"), content, (asked) => {
    if (asked.turning && !wishes?.turning) beginSwing();
    wishes = asked;
    const drawsLayers = asked.shown === "layers";
    if (layers) layers.obey(asked);
    camera.widened = drawsLayers ? 1 + asked.spread * WIDENED : 1;
    surfaces.three.visible = !drawsLayers;
    surfaces.show(Math.round(asked.latent / content.stride));
    surfaces.clay.value = asked.shown === "clay";
    renderer.setClearColor(0xffffff, drawsLayers && asked.background && !layers.plane ? 1 : 0);
    camera.unlimited = asked.free;
    tellPose();
    loop.request();
  });
  const moved = () => {
    tellPose();
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
    renderer.setPixelRatio(Math.min(devicePixelRatio, SHARPEST));
    renderer.setSize(stage.clientWidth, stage.clientWidth, false);
    loop.request();
  }).observe(stage);
  panel.tell();
  atlases.loadAll();
}

start(document.querySelector(".viewer"));
