/** Input by mouse, touch and keyboard that turns and zooms the camera. */

const TURN = 1.6; // radians per drag across the image
const KEY = 0.05; // radians per key press
const NOTCH = 0.0015; // logarithm of the zoom per pixel of the wheel
const ENLARGE = 1.15;

/**
 * @param {HTMLElement} stage
 * @param {import("./camera.js").Camera} camera
 * @param {{moved: () => void, grabbed: () => void, toggled: () => void}} handlers called after a change of the
 *   camera, when a drag begins, and when the key that toggles turning is pressed
 */
export function listen(stage, camera, handlers) {
  listenToPointers(stage, camera, handlers);
  stage.addEventListener("dblclick", () => {
    camera.reset();
    handlers.moved();
  });
  const framed = window.parent !== window;
  stage.addEventListener(
    "wheel",
    (event) => {
      if (framed && document.activeElement !== stage) return; // scrolls the page around the frame
      event.preventDefault();
      camera.magnify(Math.exp(-event.deltaY * NOTCH * (event.deltaMode ? 33 : 1)));
      handlers.moved();
    },
    { passive: false },
  );
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !press(event.key, camera, handlers)) return;
    event.preventDefault();
    handlers.moved();
  });
}

/** Turn with one pointer, zoom with two. */
function listenToPointers(stage, camera, handlers) {
  /** @type {Map<number, {x: number, y: number}>} */
  const held = new Map();
  const distance = () => {
    const [a, b] = held.values();
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    stage.setPointerCapture(event.pointerId);
    held.set(event.pointerId, { x: event.clientX, y: event.clientY });
    handlers.grabbed();
  });
  stage.addEventListener("pointermove", (event) => {
    const pointer = held.get(event.pointerId);
    if (!pointer) return;
    const before = held.size > 1 ? distance() : 0;
    const [x, y] = [event.clientX - pointer.x, event.clientY - pointer.y];
    [pointer.x, pointer.y] = [event.clientX, event.clientY];
    if (held.size > 1) camera.magnify(distance() / Math.max(before, 1));
    else camera.turn((-y * TURN) / stage.clientHeight / camera.zoom, (x * TURN) / stage.clientWidth / camera.zoom);
    handlers.moved();
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
    stage.addEventListener(end, (event) => held.delete(event.pointerId));
}

/** Handle a key; true if it has a function. */
function press(key, camera, handlers) {
  if (key === "ArrowLeft") camera.turn(0, -KEY);
  else if (key === "ArrowRight") camera.turn(0, KEY);
  else if (key === "ArrowUp") camera.turn(KEY, 0);
  else if (key === "ArrowDown") camera.turn(-KEY, 0);
  else if (key === "+" || key === "=") camera.magnify(ENLARGE);
  else if (key === "-") camera.magnify(1 / ENLARGE);
  else if (key === "Home" || key === "0") camera.reset();
  else if (key === " ") handlers.toggled();
  else return false;
  return true;
}
