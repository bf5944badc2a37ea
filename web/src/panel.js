/** Form beside the image: reads its settings, and labels them. */

/**
 * @typedef {object} Settings
 * @property {"layers" | "mesh" | "clay"} shown
 * @property {number} latent position on the slider; whole numbers are baked latents
 * @property {number} from outermost surface shown, from 0
 * @property {number} to
 * @property {boolean} background
 * @property {number} spread in [0, 1]
 * @property {boolean} turning
 * @property {boolean} free
 */

export class Panel {
  /**
   * @param {HTMLFormElement} form
   * @param {import("./data.js").Content} content
   * @param {(settings: Settings) => void} changed
   */
  constructor(form, content, changed) {
    this.form = form;
    this.content = content;
    this.changed = changed;
    this.fields = /** @type {Record<string, HTMLInputElement & RadioNodeList>} */ (form.elements);
    form.addEventListener("input", () => this.update());
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const button of form.querySelectorAll("[data-latent]"))
      button.addEventListener("click", () => this.#go(Number(button.dataset.latent)));
  }

  #go(latent) {
    this.fields.latent.value = String(latent);
    this.update();
  }

  set turning(on) {
    if (this.fields.turning.checked === on) return;
    this.fields.turning.checked = on;
    this.update();
  }

  get turning() {
    return this.fields.turning.checked;
  }

  /** Read the form, label its values, and call `changed`. */
  update() {
    const settings = this.#read();
    this.form.dataset.shown = settings.shown;
    if (this.content.layers) this.#labelSurfaces();
    if (this.fields.latent) this.#write("who", this.#latentLabel(settings));
    this.changed(settings);
  }

  #labelSurfaces() {
    const range = this.fields.range.value;
    this.fields.layer.disabled = range === "all";
    this.#write("which", surfacesLabel(range, Number(this.fields.layer.value), this.content.layers.count));
  }

  /** @returns {Settings} */
  #read() {
    const { fields } = this;
    const layer = Number(fields.layer?.value ?? 1) - 1;
    const range = fields.range?.value ?? "all";
    return {
      shown: fields.shown?.value ?? "layers",
      latent: Number(fields.latent?.value ?? 0),
      from: range === "one" || range === "inner" ? layer : 0,
      to: range === "one" || range === "outer" ? layer : (this.content.layers?.count ?? 1) - 1,
      background: range === "all" || range === "inner",
      spread: Number(fields.spread?.value ?? 0) / 100,
      turning: fields.turning.checked,
      free: fields.free.checked,
    };
  }

  #write(name, text) {
    this.form.querySelector(`output[name=${name}]`).textContent = text;
  }

  #latentLabel({ shown, latent }) {
    const { labels, stride } = this.content;
    const at = latent / stride;
    const nearest = Math.round(at);
    if (shown !== "layers") return labels[nearest];
    const low = Math.floor(at);
    const percent = Math.round(100 * (at - low));
    return percent ? `${labels[low]} → ${labels[low + 1]}, ${percent} %` : labels[nearest];
  }
}

/**
 * @param {string} range
 * @param {number} layer from 1
 * @param {number} count
 */
function surfacesLabel(range, layer, count) {
  if (range === "all") return `all ${count}`;
  if (range === "one") return `${layer} of ${count}`;
  return range === "outer" ? `1 to ${layer} of ${count}` : `${layer} to ${count}, background`;
}
