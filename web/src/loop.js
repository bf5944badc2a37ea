/** Rendering on demand, at most one frame per frame of the screen, with a counter of the frame rate. */

const COUNTED = 500; // milliseconds

export class Loop {
  /**
   * @param {(now: number) => boolean} draw renders a frame, and returns true if another one has to follow
   * @param {(rate: number | null) => void} report receives frames per second, null at rest
   */
  constructor(draw, report) {
    this.draw = draw;
    this.report = report;
    this.requested = 0;
    this.drawn = 0;
    this.since = 0;
    this.rest = 0;
    this.frame = this.#frame.bind(this);
    this.still = () => {
      if (this.requested) return; // slow, not at rest
      this.since = 0;
      this.report(null);
    };
  }

  /** Request a frame. */
  request() {
    if (!this.requested) this.requested = requestAnimationFrame(this.frame);
  }

  /** @param {number} now milliseconds */
  #frame(now) {
    this.requested = 0;
    this.#count(now);
    if (this.draw(now)) this.request();
  }

  #count(now) {
    clearTimeout(this.rest);
    this.rest = setTimeout(this.still, COUNTED);
    if (!this.since) [this.since, this.drawn] = [now, 0];
    else this.drawn += 1;
    if (now - this.since < COUNTED) return;
    this.report((1000 * this.drawn) / (now - this.since));
    [this.since, this.drawn] = [now, 0];
  }
}
