// On every page: the theme, relative times, copy buttons, live regions. Every page works without it.
const root = document.documentElement;
const WORDS = document.querySelector("[data-live-words]");

// theme: that of the system, or the other one; a cookie, so that the server's first answer has it already
for (const button of document.querySelectorAll("[data-theme-toggle]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const next = (root.dataset.theme || system) === "dark" ? "light" : "dark";
    if (next === system) delete root.dataset.theme; else root.dataset.theme = next;
    document.cookie = `halley_theme=${next}; path=/; samesite=strict; max-age=${next === system ? 0 : 31536000}`;
  });
}

// times: "12 s ago", with the whole time as the title
const STEPS = [[60, "second", 1], [3600, "minute", 60], [86400, "hour", 3600], [2592000, "day", 86400]];
const relative = new Intl.RelativeTimeFormat("en", { style: "narrow", numeric: "always" });
export function tellTimes(within = document) {
  for (const time of within.querySelectorAll("time[datetime][data-relative]")) {
    const at = new Date(time.dateTime);
    const seconds = Math.round((at - Date.now()) / 1000);
    const step = STEPS.find(([most]) => Math.abs(seconds) < most);
    if (Number.isNaN(seconds)) continue;
    const text = step ? relative.format(Math.trunc(seconds / step[2]), step[1]) : at.toLocaleDateString();
    if (time.textContent !== text) time.textContent = text;
    if (!time.title) time.title = at.toLocaleString();
  }
}

// copy: the text of the element that the button names, or its own text to copy
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const from = button.dataset.copy ? document.getElementById(button.dataset.copy) : button.parentElement.querySelector("pre, code");
  const text = button.dataset.copyText ?? from?.value ?? from?.textContent ?? "";
  const before = button.textContent;
  try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; } catch { button.textContent = "Select and copy"; }
  setTimeout(() => { button.textContent = before; }, 1500);
});

// live regions: a stream says that something has changed, then the page is fetched again and they are swapped
let isGone = false;
const say = (text) => { if (!isGone && WORDS && WORDS.textContent !== text) WORDS.textContent = text; };
// The page cannot be seen any more: loaded again it says why, but that would lose what is typed in it.
function leave() {
  const isTyped = [...document.querySelectorAll("main :is(input:not([type=hidden]), textarea)")].some((one) => one.value !== one.defaultValue);
  if (!isTyped) { location.reload(); return; }
  for (const region of document.querySelectorAll("[data-live][id]")) region.replaceChildren();
  say("You are signed out, or this is gone. What you typed is still here: copy it, then load the page again.");
  isGone = true;
}
// the element of the fresh region that is what the keyboard was at
const same = (one, held) => held.id ? one.id === held.id : one.getAttribute("href") === held.getAttribute("href") && one.textContent === held.textContent;
// What a reader has opened in a region and scrolled to is the same in the fresh one. Returns what scrolls it.
function carry(region, next) {
  const pairs = (where) => {
    const others = next.querySelectorAll(where);
    return [...region.querySelectorAll(where)].slice(0, others.length).map((one, at) => [one, others[at]]);
  };
  for (const [one, other] of pairs("details")) other.open = one.open;
  const scrolled = pairs("pre, .scroll").map(([one, other]) => [other, one.scrollLeft,
    one.scrollTop && one.scrollTop + one.clientHeight > one.scrollHeight - 4 ? 1e9 : one.scrollTop]); // at its end: it stays there
  return () => { for (const [one, left, top] of scrolled) { one.scrollLeft = left; one.scrollTop = top; } };
}
export async function refresh() {
  const answer = await fetch(location.href, { headers: { "x-fragment": "1" }, redirect: "error", cache: "no-store" });
  if ([401, 403, 404, 410].includes(answer.status)) { leave(); return; } // signed out, or it is gone
  if (!answer.ok) throw new Error(`${answer.status}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  tellTimes(); // so that a region in which only time has passed is the same
  tellTimes(fresh);
  for (const region of document.querySelectorAll("[data-live][id]")) {
    const next = fresh.getElementById(region.id);
    if (!next || region.querySelector("form:focus-within, :checked")) continue;
    const scroll = carry(region, next);
    if (next.isEqualNode(region)) continue;
    const held = region.contains(document.activeElement) && document.activeElement;
    region.replaceWith(document.adoptNode(next));
    scroll();
    if (held) [...next.querySelectorAll(held.localName)].find((one) => same(one, held))?.focus({ preventScroll: true });
  }
}

class Live {
  constructor(topic) { this.topic = topic; this.failures = 0; this.due = 0; }
  start() {
    if (this.source || document.hidden || isGone) return;
    const source = this.source = new EventSource(`${root.dataset.base}/ui/live?topic=${encodeURIComponent(this.topic)}`);
    source.addEventListener("open", () => { this.failures = 0; say(""); clearInterval(this.poll); this.poll = 0; });
    source.addEventListener("changed", () => this.changed());
    source.addEventListener("end", () => { this.stop(); leave(); });
    source.addEventListener("error", () => this.lost());
  }
  stop() { this.source?.close(); this.source = null; clearTimeout(this.again); clearInterval(this.poll); this.poll = 0; }
  lost() {
    this.source?.close(); this.source = null; this.failures += 1;
    say("Not live: reconnecting");
    if (!this.poll && this.failures > 1) this.poll = setInterval(() => this.changed(), 2000);
    clearTimeout(this.again);
    this.again = setTimeout(() => this.start(), Math.min(15000, 500 * 2 ** Math.min(this.failures, 6)));
  }
  changed() {
    if (this.due) return;
    const wait = Math.max(0, 1000 - (Date.now() - (this.last ?? 0)));
    this.due = setTimeout(async () => {
      this.last = Date.now();
      try { await refresh(); if (this.source) say(""); } catch { say("Not live: reconnecting"); }
      this.due = 0;
      if (isGone) this.stop();
    }, wait);
  }
}
const topic = document.querySelector("[data-live-topic]")?.dataset.liveTopic ?? (document.querySelector("[data-live][id]") ? "predictions" : "");
if (topic) {
  const live = new Live(topic);
  live.start();
  document.addEventListener("visibilitychange", () => { if (document.hidden) live.stop(); else { live.changed(); live.start(); } });
  addEventListener("pagehide", () => live.stop());
  addEventListener("pageshow", (event) => { if (event.persisted) { live.changed(); live.start(); } });
}

// where a navigation scrolls, the page's own link is in view
for (const here of document.querySelectorAll("nav [aria-current]")) {
  const all = here.parentElement;
  all.scrollLeft += here.getBoundingClientRect().left - all.getBoundingClientRect().left - all.clientWidth / 2;
}
// keys: "/" to the filter
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea, select, [contenteditable]")) return;
  const filter = document.querySelector("[data-filter], .filters input, input[type=search]");
  if (filter) { event.preventDefault(); filter.focus(); }
});
// a one-time link signs in by itself
const atOnce = document.querySelector("form[data-send-at-once]");
if (atOnce) { history.replaceState(null, "", location.pathname); atOnce.requestSubmit(); }
// a form is sent once
addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method !== "post") return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "1";
  setTimeout(() => { delete event.target.dataset.sent; }, 3000);
});
tellTimes();
setInterval(() => { if (!document.hidden) tellTimes(); }, 10000);
