/** Mouse, fingers and keys that turn the head. */

const TURN = 1.6; // radians, by a drag across the picture
const KEY = 0.05;
const NOTCH = 0.0015; // of the wheel, by its pixels
const ENLARGE = 1.15;

/**
 * @param {HTMLElement} stage
 * @param {import("./camera.js").Camera} camera
 * @param {{moved: () => void, grabbed: () => void, toggled: () => void}} told what to do after a change, when
 *   a hand takes hold, and when the key of turning is pressed
 */
export function listen(stage, camera, told) {
  listenToPointers(stage, camera, told);
  stage.addEventListener("dblclick", () => {
    camera.reset();
    told.moved();
  });
  const framed = window.parent !== window;
  stage.addEventListener(
    "wheel",
    (event) => {
      if (framed && document.activeElement !== stage) return; // whoever scrolls the page around is let pass
      event.preventDefault();
      camera.magnify(Math.exp(-event.deltaY * NOTCH * (event.deltaMode ? 33 : 1)));
      told.moved();
    },
    { passive: false },
  );
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !press(event.key, camera, told)) return;
    event.preventDefault();
    told.moved();
  });
}

/** One finger turns, two fingers enlarge. */
function listenToPointers(stage, camera, told) {
  /** @type {Map<number, {x: number, y: number}>} */
  const held = new Map();
  const apart = () => {
    const [a, b] = held.values();
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    stage.setPointerCapture(event.pointerId);
    held.set(event.pointerId, { x: event.clientX, y: event.clientY });
    told.grabbed();
  });
  stage.addEventListener("pointermove", (event) => {
    const hand = held.get(event.pointerId);
    if (!hand) return;
    const before = held.size > 1 ? apart() : 0;
    const [x, y] = [event.clientX - hand.x, event.clientY - hand.y];
    [hand.x, hand.y] = [event.clientX, event.clientY];
    if (held.size > 1) camera.magnify(apart() / Math.max(before, 1));
    else camera.turn((-y * TURN) / stage.clientHeight / camera.zoom, (x * TURN) / stage.clientWidth / camera.zoom);
    told.moved();
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
    stage.addEventListener(end, (event) => held.delete(event.pointerId));
}

/** Whether the key means anything. */
function press(key, camera, told) {
  if (key === "ArrowLeft") camera.turn(0, -KEY);
  else if (key === "ArrowRight") camera.turn(0, KEY);
  else if (key === "ArrowUp") camera.turn(KEY, 0);
  else if (key === "ArrowDown") camera.turn(-KEY, 0);
  else if (key === "+" || key === "=") camera.magnify(ENLARGE);
  else if (key === "-") camera.magnify(1 / ENLARGE);
  else if (key === "Home" || key === "0") camera.reset();
  else if (key === " ") told.toggled();
  else return false;
  return true;
}
