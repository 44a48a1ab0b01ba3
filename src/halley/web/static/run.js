// Follows the run that a page shows, by its event stream. Without it pages refresh.
import { tellTimes } from "./app.js";

const MOST = 200000; // characters of text, and of the log, shown while it runs
const LOG = 16000;
const FILES = 60;
const TRIES = 40; // about ten minutes
const KINDS = [[/\.(png|jpe?g|webp|gif|avif|bmp)$/i, "img"], [/\.(mp3|wav|og[ga]|flac|m4a|opus)$/i, "audio"], [/\.(mp4|webm|mov|m4v)$/i, "video"]];
const LINK = /^https?:\/\/[^/\\\s]+(\/[^/\\\s]+)*\/d\/[^/\\\s]+\/[^/\\\s]+$/; // of a file here: no "//" or "/\", which would begin another host
const runs = new Set();

export const el = (name, of = {}, ...inside) => { const made = Object.assign(document.createElement(name), of); made.append(...inside); return made; };
export const base = document.documentElement.dataset.base;
export const shown = (url) => (LINK.test(url) ? document.documentElement.dataset.files + url.slice(url.lastIndexOf("/d/") + 3) : url);
export const ask = (url, more = {}) => fetch(url, { cache: "no-store", ...more, headers: { "x-fragment": "1", ...more.headers } });
export const page = async (answer) => new DOMParser().parseFromString(await answer.text(), "text/html");
export const signIn = () => el("a", { href: `${base}/ui/sign-in`, target: "_blank", textContent: "Sign in" });

class Run {
  after = 0; // the last event
  attempt = 0;
  failures = 0;
  log = "";
  words = "";
  constructor(region) { this.region = region; runs.add(this); this.open(); }
  part(name) { return this.region.querySelector(`[data-${name}]`); }
  say(...said) { this.part("said").replaceChildren(...said); }
  get isHere() {
    if (!this.region.isConnected) this.end();
    return this.region.isConnected;
  }
  open() {
    if (this.source || document.hidden || !this.isHere) return;
    const source = this.source = new EventSource(`${this.region.dataset.follow}?after=${this.after}`);
    for (const name of ["status", "output", "logs", "progress", "attempt_lost", "cancel_requested", "data_removed"]) {
      source.addEventListener(name, (event) => { if (source === this.source && this.isHere) this.take(name, JSON.parse(event.data)); });
    }
    source.addEventListener("error", () => { if (source === this.source) this.lost(); });
  }
  close() { this.source?.close(); this.source = null; clearTimeout(this.again); }
  end() { this.close(); runs.delete(this); }
  take(name, { seq, attempt, data }) {
    if (!this.after || attempt > this.attempt) { // the stream gives again what the server has shown
      this.part("output").replaceChildren();
      this.part("log").textContent = this.log = this.words = "";
      this.text = null;
      this.size = this.files = 0;
    }
    [this.after, this.attempt, this.failures] = [seq, attempt, 0];
    this[name](data);
  }

  status({ status }) {
    if (status !== "starting" && status !== "processing") { this.over(); return; }
    const badge = this.region.querySelector(".badge");
    badge.dataset.status = badge.textContent = status;
    if (status === "processing") this.say("Running");
  }
  data_removed() { this.over(); }
  async over() {
    this.close(); // before the server does
    if (await this.show()) this.lost();
  }
  cancel_requested() { this.say("Cancel requested"); }
  attempt_lost({ text }) { this.logs({ text: `${text}\n` }); }
  progress({ fraction, current, total }) {
    const meter = this.part("progress");
    meter.hidden = false;
    meter.value = 100 * fraction;
    const tenths = Math.floor(10 * fraction);
    if (tenths !== this.tenths) this.say(`Running: ${total ? `${current} of ${total}` : `${10 * tenths} %`}`); // it is read aloud
    this.tenths = tenths;
  }
  logs({ text }) {
    this.log = (this.log + text).slice(-LOG);
    if (!this.opened) this.part("log-drawer").open = this.opened = true;
    this.draw();
  }
  output({ value, is_item: isItem, passed }) {
    if (!isItem) { this.part("output").replaceChildren(); this.text = null; this.size = 0; }
    for (const one of !isItem && Array.isArray(value) ? value : [value]) {
      if (typeof one !== "string") this.write(`${JSON.stringify(one, null, 2)}\n`);
      else if (!passed && one.length < 2000 && LINK.test(one)) this.file(shown(one));
      else this.write(one);
    }
  }
  write(text) {
    if (!this.text) this.part("output").append(this.text = el("pre", { className: "block", dir: "auto", tabIndex: 0 }));
    if (this.size > MOST) return;
    this.size += text.length;
    this.words += this.size > MOST ? `${text.slice(0, MOST)}\n… more follows` : text;
    this.draw();
  }
  draw() { // once a frame: a model may print thousands of lines a second
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      const put = (into, change) => {
        const isLow = into.scrollHeight - into.scrollTop - into.clientHeight < 40;
        change();
        if (isLow) into.scrollTop = into.scrollHeight;
      };
      const log = this.part("log");
      if (this.log) put(log, () => {
        const lines = (log.textContent + this.log).slice(-LOG).replace(/\x1b\[[0-9;?]*[ -/]*[@-~]/g, "").split(/\r?\n/);
        log.textContent = lines.map((line) => line.slice(line.lastIndexOf("\r", line.length - 2) + 1)).join("\n"); // as a terminal shows bars
      });
      if (this.words && this.text) put(this.text, () => this.text.append(this.words));
      this.log = this.words = "";
    });
  }
  file(path) {
    if (++this.files > FILES) return;
    let name = path.split("/").pop();
    try { name = decodeURIComponent(name); } catch { /* as it is */ }
    const kind = KINDS.find(([ending]) => ending.test(name))?.[1];
    const figure = el("figure", {}, el("figcaption", {}, el("a", { href: path, textContent: name, download: name, dir: "auto" })));
    const output = this.part("output");
    if (kind !== "img") {
      if (kind) figure.prepend(el(kind, { src: path, controls: true, preload: "metadata" }));
      output.append(figure);
      return;
    }
    const link = el("a", { href: path }, el("img", { src: path, alt: name }));
    link.dataset.zoom = "";
    figure.className = "picture";
    figure.prepend(link);
    let all = output.querySelector(".pictures");
    if (!all) output.prepend(all = el("div", { className: "pictures" }));
    all.append(figure);
    all.classList.toggle("many", all.childElementCount > 1);
  }

  async lost() {
    this.close();
    if (!this.isHere || document.hidden) return;
    if (++this.failures > TRIES) { this.stop("No connection. The prediction continues without this page. ", el("a", { href: location.href, textContent: "Load again" })); return; }
    if (this.failures > 1) this.say("Not live: trying again");
    if (this.failures > 1 && !await this.show()) return;
    this.again = setTimeout(() => this.open(), Math.min(15000, 250 * 2 ** this.failures));
  }
  // put what the server shows now in place; true if there is still something to follow
  async show() {
    let answer;
    try { answer = await ask(this.region.dataset.region); } catch { /* no connection */ }
    if (!this.isHere) return false;
    if (answer?.status === 401) return this.stop("You are signed out, or your key was revoked. ", signIn());
    if (answer?.status === 404 || answer?.status === 403) return this.stop("This prediction cannot be seen any more.");
    const fresh = answer?.ok && (await page(answer)).getElementById("result");
    if (!fresh) return true;
    const { activeElement } = document;
    const said = this.part("said");
    const words = fresh.querySelector("[data-said]");
    const text = words.textContent;
    words.replaceWith(said); // the same element: a screen reader then says what it says
    this.region.replaceChildren(...fresh.childNodes);
    said.textContent = text;
    if (activeElement !== document.activeElement) { this.region.tabIndex = -1; this.region.focus({ preventScroll: true }); }
    tellTimes(this.region);
    this.after = 0;
    if (!fresh.dataset.follow) return this.finish();
    this.failures = 3; // the server answers: ask it every two seconds, as long as it takes
    return true;
  }
  stop(...said) {
    this.say(...said);
    this.part("progress")?.remove();
    const badge = this.region.querySelector(".badge");
    badge.dataset.status = badge.textContent = "unknown";
    return this.finish();
  }
  finish() {
    this.end();
    delete this.region.dataset.follow;
    this.region.dispatchEvent(new CustomEvent("halley:end", { bubbles: true }));
    return false;
  }
}

export function follow() {
  for (const run of runs) if (run.isHere) run.open(); // one whose region was replaced ends
  for (const region of document.querySelectorAll("[data-follow]")) if (![...runs].some((run) => run.region === region)) new Run(region);
}
follow();
document.addEventListener("visibilitychange", () => { for (const run of runs) if (document.hidden) run.close(); else run.open(); });

// cancel without leaving the page
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-cancel]")) return;
  event.preventDefault();
  const said = form.closest("section").querySelector("[data-said]");
  said.textContent = "Asking to cancel";
  try {
    const answer = await ask(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { accept: "application/json" } });
    said.textContent = answer.ok ? "Cancel requested" : (await answer.json()).detail;
  } catch { said.textContent = "Not canceled: no connection"; }
});

// pictures in full size
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-zoom]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const { alt } = link.querySelector("img");
  const close = el("button", { type: "button", textContent: "Close", autofocus: true });
  const dialog = el("dialog", { className: "zoom", ariaLabel: alt }, el("img", { src: link.href, alt }), close);
  dialog.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => { dialog.remove(); link.focus(); });
  document.body.append(dialog);
  dialog.showModal();
});
