// The playground: runs without leaving the page, shows errors at their fields, takes dropped and pasted files, keeps the
// code up to date. It asks the server for everything, by the same posts that the form sends without it.
import { ask, el, follow, page, shown as fileUrl, signIn } from "./run.js";

const form = () => document.querySelector("form[data-play]");
const say = (...said) => document.querySelector("[data-play-said]").replaceChildren(...said);
const entries = (of) => new Map([...of.elements].filter((one) => one.name && one.type !== "file").map((one) => [one, one.type === "checkbox" ? one.checked : one.value]));
const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1000)} KB` : `${(bytes / 1e6).toFixed(1)} MB`);

// put the server's form in place of ours, with what was typed since it was sent
function swap(next, sent, button) {
  const [old, said] = [form(), document.querySelector("[data-play-said]")];
  const { id, selectionStart } = document.activeElement;
  next.querySelector("[data-play-said]").replaceWith(said);
  for (const [control, value] of entries(old)) {
    const now = control.name && sent.has(control) && sent.get(control) !== value && next.elements.namedItem(control.name);
    if (now && "value" in now) { if (control.type === "checkbox") now.checked = value; else now.value = value; }
  }
  for (const drawer of old.querySelectorAll("details[open] > summary")) {
    const same = [...next.querySelectorAll("details > summary")].find((one) => one.textContent === drawer.textContent);
    if (same) same.parentElement.open = true;
  }
  old.replaceWith(next);
  const problems = next.querySelector("#problems");
  const again = button?.name && [...next.elements].find((one) => one.name === button.name && one.value === button.value);
  const added = button?.name.startsWith("add.") && again?.closest("fieldset").querySelectorAll("input:not([type=hidden]), textarea, select");
  const place = problems ?? (added?.length ? added[added.length - 1] : again) ?? document.getElementById(id);
  place?.focus();
  if (place?.id === id && selectionStart != null) place.setSelectionRange?.(selectionStart, selectionStart);
  preview(next);
}

// Whether a run is a part of the last one: a double click or Enter that the server took, or an answer is still to come. The
// server makes one prediction of a form that is sent twice, so after ten seconds without an answer it may be sent again.
let last = { since: -1e9 };
function isDouble(sent) {
  const passed = performance.now() - last.since;
  return passed < (last.isSending ? 10000 : last.isTaken && [...sent].every(([control, value]) => control.name === "once" || last.sent?.get(control) === value) ? 400 : 0);
}

// A control of a number or a time has no value while it cannot read what is typed: the input would be another one.
function isUnread(now, button) {
  const gone = button?.name.startsWith("remove.") ? button.closest(".item") : null; // only what it takes away may stay unread
  const odd = [...now.elements].find((one) => one.validity?.badInput && !gone?.contains(one));
  if (!odd) return false;
  for (let at = odd.closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
  say(`${odd.labels[0]?.firstChild.textContent ?? "A field"} is not complete: what is typed there cannot be read.`);
  return !odd.reportValidity(); // it goes there, and says more
}

async function send(button, isAgain) {
  const now = form();
  if (isUnread(now, button)) return;
  const body = new FormData(now, button);
  const sent = entries(now);
  const isRun = !button?.name || button.name === "run";
  if (isRun && !isAgain) {
    if (isDouble(sent)) return;
    last.ending?.abort();
    last = { since: performance.now(), sent, isSending: true, ending: new AbortController() };
  }
  const mine = isRun ? last : {};
  say(isRun ? "Sending" : "");
  now.setAttribute("aria-busy", "true");
  try {
    const answer = await ask(button?.hasAttribute("formaction") ? button.formAction : now.action, { method: "POST", body, signal: mine.ending?.signal });
    if (answer.status === 401) { say("You are signed out, or your key was revoked. Nothing typed is lost: ", signIn(), ", then run it again."); return; }
    if (answer.status === 403 && !isAgain) { // signed in again meanwhile: the form has a token of the old sign-in
      const { value } = (await page(await ask(location.href))).querySelector("form[data-play] [name=csrf]") ?? {};
      const token = now.querySelector("[name=csrf]");
      if (value && value !== token.value) { token.value = value; await send(button, true); return; }
    }
    if (!answer.headers.get("content-type").startsWith("text/html")) { say((await answer.json()).detail ?? `The server answered ${answer.status}.`); return; }
    const fresh = await page(answer);
    const next = fresh.querySelector("form[data-play]");
    const note = fresh.querySelector("[data-notice]")?.textContent.trim() ?? "";
    if (answer.redirected) {
      history.pushState(null, "", answer.url);
      if (isRun) {
        mine.isTaken = true;
        show(fresh);
        for (const fault of form().querySelectorAll("#problems, .error")) fault.remove(); // of a run before
        for (const control of form().querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
      }
      if (next) form().elements.once.value = next.elements.once.value; // another press is another run
      say(isRun ? "" : "The address of this page is the link to this input.");
    } else if (next) {
      swap(document.adoptNode(next), sent, button);
      say(note);
    } else say(note || `The server answered ${answer.status}.`);
    code();
  } catch {
    if (!mine.ending?.signal.aborted) say("No connection. Nothing typed is lost: run it again.");
  } finally {
    mine.isSending = false;
    if (mine === last || !isRun) form().removeAttribute("aria-busy");
  }
}

function show(fresh) {
  const region = fresh.getElementById("result");
  if (!region) return;
  document.getElementById("result").replaceWith(document.adoptNode(region));
  follow();
  if (innerWidth < 900) region.scrollIntoView({ block: "nearest" });
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-play]")) return;
  event.preventDefault();
  if (event.submitter?.closest("#code")) code(event.submitter);
  else send(event.submitter);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.target.closest?.("form[data-play]")) return;
  const isRun = event.ctrlKey || event.metaKey;
  if (isRun || (event.repeat && event.target.localName !== "textarea")) event.preventDefault();
  if (event.repeat || !isRun) return; // held down: one press
  form().requestSubmit(form().querySelector("button.primary[name=run]:enabled"));
});
addEventListener("popstate", async () => {
  try { const answer = await ask(location.href); if (answer.ok) show(await page(answer)); else location.reload(); } catch { location.reload(); }
});

// code that follows the form
let turn = 0;
let soon = 0;
async function code(button) {
  const drawer = document.getElementById("code");
  if (!drawer?.open) return;
  const mine = ++turn;
  const body = new FormData(form(), button);
  for (const [name, value] of [...body]) if (value instanceof File) { // it is sent when the form runs: a link stands for it
    body.delete(name);
    if (!value.name) continue;
    body.set(name.replace("file", "input"), `https://example.com/${encodeURIComponent(value.name)}`);
    body.append("local", name);
  }
  try {
    const answer = await ask(drawer.dataset.code, { method: "POST", body });
    const fresh = answer.ok && (await page(answer)).getElementById("code");
    if (!fresh || mine !== turn) return;
    const { name, value } = document.activeElement;
    drawer.replaceChildren(...fresh.childNodes);
    if (button) [...drawer.querySelectorAll("button")].find((one) => one.name === name && one.value === value)?.focus();
  } catch { /* it stays as it is; the next change asks again */ }
}
const later = () => { clearTimeout(soon); soon = setTimeout(code, 400); };
document.getElementById("code")?.addEventListener("toggle", later);
document.addEventListener("input", (event) => { if (event.target.form === form()) later(); });

// files: dropped, pasted, chosen
const spot = (event) => event.target.closest?.("[data-file]");
function put(place, file) {
  const input = place.querySelector("input[type=file]");
  const one = new DataTransfer();
  one.items.add(file);
  input.files = one.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}
async function take(place, [file, ...others]) {
  const add = place.closest("fieldset[data-widget=list]")?.querySelector("button.add")?.name;
  put(place, file);
  for (const other of add ? others : []) { // into items that are added
    const list = () => form().elements.namedItem(add).closest("fieldset");
    const before = list().querySelectorAll("[data-file]").length;
    await send(form().elements.namedItem(add));
    const places = list().querySelectorAll("[data-file]");
    if (places.length === before) return;
    put(places[places.length - 1], other);
  }
}
function preview(within) {
  for (const place of within.querySelectorAll("[data-file]")) {
    const [link, input] = [place.querySelector("input:not([type=file])"), place.querySelector("input[type=file]")];
    const file = input.files[0];
    place.querySelector(".preview")?.remove();
    const url = file ? URL.createObjectURL(file) : link.value.startsWith(`${location.origin}/`) && link.value;
    if (!url) continue;
    const shown = el("p", { className: "preview row soft" });
    if (file ? file.type.startsWith("image/") && !file.type.includes("svg") : /\.(png|jpe?g|webp|gif|avif)$/i.test(url)) {
      const picture = el("img", { src: fileUrl(url), alt: "", className: "thumb" });
      picture.onload = picture.onerror = () => { if (file) URL.revokeObjectURL(url); if (!picture.naturalWidth) picture.remove(); };
      shown.append(picture);
    }
    if (file) {
      const none = el("button", { type: "button", className: "small", textContent: "Remove the file" });
      none.onclick = () => { input.value = ""; preview(place.parentElement); input.focus(); };
      shown.append(`${file.name}, ${size(file.size)}`, none);
    }
    if (shown.childNodes.length) place.append(shown);
  }
}
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    const place = spot(event);
    if (!place || !event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    place.toggleAttribute("data-over", name.startsWith("drage") || name === "dragover");
    if (name === "drop" && event.dataTransfer.files.length) take(place, event.dataTransfer.files);
  });
}
document.addEventListener("paste", (event) => {
  const all = form()?.querySelectorAll("[data-file]") ?? [];
  const place = spot(event) ?? (all.length === 1 ? all[0] : null);
  if (!place || !event.clipboardData.files.length) return;
  event.preventDefault();
  take(place, event.clipboardData.files);
});
document.addEventListener("change", (event) => { const place = spot(event); if (place) { preview(place.parentElement); later(); } });
if (form()) preview(form());
