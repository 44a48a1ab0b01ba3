// One Chromium for the tests: each line of stdin is a command, each line of stdout its answer. See ../chromium.py.
//
// What a page must never do is collected from its first moment on: messages on the console, errors, dialogs, requests
// to other places, violations of the content security policy, and calls of `probe`, which planted scripts would make.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const AXE = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");
const PATIENCE_MS = 60_000;
const args = ["--disable-dev-shm-usage", "--force-color-profile=srgb", ...(process.getuid() === 0 ? ["--no-sandbox"] : [])];
const browser = await chromium.launch({ executablePath: process.argv[2], args });
const tabs = [];

function watchDocument() {
  window.probe = (name) => console.error(`EXECUTED ${name}`);
  document.addEventListener("securitypolicyviolation", (event) =>
    console.error(`POLICY ${event.effectiveDirective} refused ${event.blockedURI} ${event.sample}`));
}

function watch(tab, origin) {
  const add = (kind, text) => tab.problems.push(`${kind}: ${text}`);
  tab.page.on("console", (message) => add("console", `${message.text()} (${message.location().url})`));
  tab.page.on("pageerror", (error) => add("error", error.stack ?? error));
  tab.page.on("dialog", (dialog) => {
    add("dialog", dialog.message());
    dialog.dismiss();
  });
  tab.page.on("request", (request) => {
    const url = new URL(request.url());
    tab.requests += 1;
    if (url.origin !== origin && !["data:", "blob:", "about:"].includes(url.protocol)) add("foreign request", url.href);
  });
}

const operations = {
  async open({ origin, beside, scheme, width, height, permissions, motion, bypassCSP }) {
    let context = beside === undefined ? undefined : tabs[beside].context;
    if (!context) {
      context = await browser.newContext({
        colorScheme: scheme,
        viewport: { width, height },
        reducedMotion: motion,
        permissions,
        timezoneId: "UTC",
        locale: "en-GB",
        bypassCSP,
      });
      context.setDefaultTimeout(PATIENCE_MS);
      await context.addInitScript(watchDocument);
    }
    const tab = { context, page: await context.newPage(), problems: [], requests: 0 };
    watch(tab, origin);
    tab.session = await context.newCDPSession(tab.page);
    return tabs.push(tab) - 1;
  },
  async close({ tab }) {
    await tabs[tab].context.close();
  },
  problems({ tab }) {
    return tabs[tab].problems.splice(0);
  },
  requests({ tab }) {
    return tabs[tab].requests;
  },
  async axe({ tab, rules }) {
    const { page } = tabs[tab];
    // by the debugger, so that the page's content security policy stays as it is
    if (!(await page.evaluate(() => typeof window.axe === "object"))) await page.evaluate(AXE);
    const found = await page.evaluate(async (only) => {
      const options = { resultTypes: ["violations"], ...(only ? { runOnly: { type: "rule", values: only } } : {}) };
      const { violations } = await window.axe.run(document, options);
      return violations.map(({ id, help, nodes }) => ({ id, help, where: nodes.map((node) => node.target.flat().join(" ")),
        why: nodes[0].failureSummary }));
    }, rules);
    return found;
  },
  async debugger({ tab, method, params }) {
    return tabs[tab].session.send(method, params);
  },
  page: ({ tab, method, args: given }) => tabs[tab].page[method](...given),
  context: ({ tab, method, args: given }) => tabs[tab].context[method](...given),
  keyboard: ({ tab, method, args: given }) => tabs[tab].page.keyboard[method](...given),
  locator: ({ tab, selector, method, args: given }) => tabs[tab].page.locator(selector)[method](...given),
  // where a function is given by its text: our own page may not evaluate text, the debugger may
  evaluate: ({ tab, script, value }) => tabs[tab].page.evaluate(`(${script})(${JSON.stringify(value ?? null)})`),
  async until({ tab, script, value, timeout }) {
    const { page } = tabs[tab];
    const end = Date.now() + (timeout ?? PATIENCE_MS);
    const source = `(${script})(${JSON.stringify(value ?? null)})`;
    for (;;) {
      const found = await page.evaluate(source).catch((error) => {
        if (/context was destroyed|navigat/i.test(String(error))) return null; // asked in the middle of a navigation
        throw error;
      });
      if (found) return found;
      if (Date.now() > end) throw new Error(`never true at ${page.url()}: ${script}`);
      await new Promise((done) => setTimeout(done, 25));
    }
  },
};

function plain(value) {
  if (value && typeof value.status === "function") return { status: value.status(), url: value.url() };
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  return value ?? null;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { op, ...given } = JSON.parse(line);
  let answer;
  try {
    answer = { result: plain(await operations[op](given)) };
  } catch (error) {
    answer = { error: String(error.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
