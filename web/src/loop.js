/** Pictures are drawn when something changed, at most one for each of the screen's, and their rate is counted. */

const COUNTED = 500; // milliseconds

export class Loop {
  /**
   * @param {(now: number) => boolean} draw gives whether another picture has to follow
   * @param {(rate: number | null) => void} tell frames per second while pictures follow each other, null at rest
   */
  constructor(draw, tell) {
    this.draw = draw;
    this.tell = tell;
    this.asked = 0;
    this.drawn = 0;
    this.since = 0;
    this.rest = 0;
    this.frame = this.#frame.bind(this);
    this.still = () => {
      if (this.asked) return; // slow, not at rest
      this.since = 0;
      this.tell(null);
    };
  }

  /** Something changed. */
  request() {
    if (!this.asked) this.asked = requestAnimationFrame(this.frame);
  }

  /** @param {number} now milliseconds */
  #frame(now) {
    this.asked = 0;
    this.#count(now);
    if (this.draw(now)) this.request();
  }

  #count(now) {
    clearTimeout(this.rest);
    this.rest = setTimeout(this.still, COUNTED);
    if (!this.since) [this.since, this.drawn] = [now, 0];
    else this.drawn += 1;
    if (now - this.since < COUNTED) return;
    this.tell((1000 * this.drawn) / (now - this.since));
    [this.since, this.drawn] = [now, 0];
  }
}
