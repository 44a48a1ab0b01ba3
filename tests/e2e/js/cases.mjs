// Cases for the official JavaScript client, unmodified: node cases.mjs CASE '{"argument": ...}' prints JSON.
import { createHash, webcrypto } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { EventSource } from "eventsource";
import Replicate, { validateWebhook } from "replicate";
import { createReadableStream } from "replicate/lib/stream.js";

globalThis.crypto ??= webcrypto; // Node.js 18 has none, and validateWebhook needs it

const base = process.env.REPLICATE_BASE_URL;
const replicate = new Replicate({ baseUrl: base.endsWith("/v1") ? base : `${base}/v1` });

async function picture(file) {
  const content = Buffer.from(await (await file.blob()).arrayBuffer());
  return {
    kind: file.constructor.name,
    magic: content.subarray(0, 4).toString("hex"),
    sha: createHash("sha256").update(content).digest("hex"),
    size: content.length,
  };
}

async function latest(model) {
  const [owner, name] = model.split("/");
  return `${model}:${(await replicate.models.get(owner, name)).latest_version.id}`;
}

async function call(wait, seconds = 0.5) {
  if (wait) return replicate.run("demo/sleep", { input: { seconds } });
  const made = await replicate.predictions.create({ model: "demo/sleep", input: { seconds } });
  return (await replicate.wait(made)).output;
}

const ref = async (model, pinned) => (pinned ? latest(model) : model);

// Read a stream as the client does, and come back with the last id until it has ended.
async function readStream(url, seen = []) {
  for (;;) {
    const headers = seen.length ? { "Last-Event-ID": seen.at(-1).id } : {};
    try {
      for await (const event of createReadableStream({ url, fetch, options: { headers } })) seen.push(event);
      if (seen.at(-1)?.event === "done") return told(seen, seen.at(-1).data);
    } catch (error) {
      if (!(error instanceof TypeError)) return told(seen, error.message); // what the network breaks is a TypeError
    }
    await sleep(50);
  }
}

const told = (seen, how) => ({ text: seen.map(String).join(""), ids: seen.map((event) => event.id), how });

// What every browser has: it comes back by itself.
function listen(url) {
  return new Promise((resolve) => {
    const source = new EventSource(url);
    const seen = { text: "", ids: [], cuts: 0 };
    source.addEventListener("output", (event) => {
      seen.text += event.data;
      seen.ids.push(event.lastEventId);
    });
    source.addEventListener("error", (event) => {
      if (event.data === undefined) seen.cuts++;
    });
    source.addEventListener("done", (event) => {
      source.close();
      resolve({ ...seen, how: event.data });
    });
  });
}

const stored = async (id) => {
  const { output } = await replicate.wait(await replicate.predictions.get(id));
  return (output ?? []).join("");
};

const cases = {
  async read_stream({ url }) {
    return readStream(url);
  },
  async listen({ url }) {
    return listen(url);
  },
  async cut_streams({ count, tokens }) {
    const results = [];
    for (let n = 0; n < count; n++) {
      const seen = [];
      const input = { prompt: "A function is", max_tokens: tokens, delay: 0.01 };
      try {
        for await (const event of replicate.stream("demo/text", { input })) seen.push(event);
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
      }
      const made = (await replicate.predictions.list()).results[0];
      const whole = seen.at(-1)?.event === "done";
      const result = whole ? told(seen, seen.at(-1).data) : await readStream(made.urls.stream, seen);
      results.push({ ...result, stored: await stored(made.id) });
    }
    return results;
  },
  // All at once: after each cut it waits for three seconds.
  async cut_listeners({ count, tokens }) {
    return Promise.all(
      [...Array(count)].map(async () => {
        const input = { prompt: "A function is", max_tokens: tokens, delay: 0.01 };
        const made = await replicate.predictions.create({ model: "demo/text", input, stream: true });
        const result = await listen(made.urls.stream);
        return { ...result, stored: await stored(made.id) };
      }),
    );
  },
  async paint({ pinned }) {
    const files = await replicate.run(await ref("demo/paint", pinned), {
      input: { prompt: "misty forest", seed: 7, num_outputs: 2, width: 128, height: 96 },
    });
    return Promise.all(files.map(picture));
  },
  async large() {
    // more than what is ever put into a data: URL
    const [file] = await replicate.run("demo/paint", {
      input: { prompt: "misty forest", seed: 7, width: 1024, height: 1024, output_format: "png" },
    });
    return { ...(await picture(file)), url: String(file.url()) };
  },
  async text({ pinned }) {
    const parts = await replicate.run(await ref("demo/text", pinned), {
      input: { prompt: "A function is", max_tokens: 12, seed: 1 },
    });
    return parts.join("");
  },
  async upscale({ path, pinned }) {
    const image = new Blob([await readFile(path)], { type: "image/png" });
    return picture(await replicate.run(await ref("demo/upscale", pinned), { input: { image, scale: 2 } }));
  },
  async chain() {
    const made = await replicate.wait(
      await replicate.predictions.create({
        model: "demo/paint",
        input: { prompt: "sea", seed: 3, width: 64, height: 64, output_format: "png" },
      }),
    );
    const link = made.output[0];
    return { link, ...(await picture(await replicate.run("demo/upscale", { input: { image: link } }))) };
  },
  async follow({ model, ...input }) {
    const prediction = await replicate.wait(await replicate.predictions.create({ model, input }));
    const { id, status, completed_at: ended } = prediction;
    return { id, status, noticed: Date.now() / 1000, ended };
  },
  async abort({ model, abort_after, ...input }) {
    const controller = new AbortController();
    let [id, aborted] = ["", 0];
    const steps = [];
    setTimeout(() => {
      aborted = Date.now() / 1000;
      controller.abort();
    }, abort_after * 1000);
    const note = (prediction) => {
      id = prediction.id;
      steps.push(prediction.status);
    };
    await replicate.run(model, { input, wait: { mode: "poll" }, signal: controller.signal }, note);
    return { id, steps, noticed: Date.now() / 1000 - aborted };
  },
  async progress({ model, ...input }) {
    const steps = [];
    const note = ({ status, logs }) => steps.push({ status, lines: (logs ?? "").split("\n").length - 1 });
    await replicate.run(model, { input, wait: { mode: "poll" } }, note);
    return { steps };
  },
  async stream() {
    const events = [];
    for await (const event of replicate.stream("demo/text", {
      input: { prompt: "A function is", max_tokens: 12, seed: 1 },
    })) {
      events.push(event);
    }
    const output = events.filter((event) => event.event === "output");
    return { text: output.map((event) => event.data).join(""), events: events.map((event) => event.event) };
  },
  async poll() {
    let prediction = await replicate.predictions.create({ model: "demo/sleep", input: { seconds: 1.2 } });
    const first = prediction.status;
    prediction = await replicate.wait(prediction);
    return {
      first,
      status: prediction.status,
      output: prediction.output,
      percentage: null,
      metrics: prediction.metrics,
    };
  },
  async forgotten() {
    const input = { prompt: "sea", seed: 3, width: 64, height: 64 };
    let prediction = await replicate.wait(await replicate.predictions.create({ model: "demo/paint", input }));
    const [link] = prediction.output;
    const before = { status: (await fetch(link)).status, input: prediction.input, output: prediction.output };
    while (!prediction.data_removed) {
      await sleep(200);
      prediction = await replicate.predictions.get(prediction.id);
    }
    const { output, logs, data_removed } = prediction;
    const after = { output, input: prediction.input, logs, data_removed };
    return { before, after, state: prediction.status, link: (await fetch(link)).status };
  },
  async listing({ count }) {
    const made = [];
    for (let n = 0; n < count; n++) {
      made.push((await replicate.predictions.create({ model: "demo/noop", input: { prompt: String(n) } })).id);
    }
    const seen = [];
    for await (const page of replicate.paginate(replicate.predictions.list)) seen.push(...page.map((item) => item.id));
    return { made, seen };
  },
  async cancel() {
    const made = await replicate.predictions.create({ model: "demo/sleep", input: { seconds: 30 } });
    for (let n = 0; n < 100; n++) {
      if ((await replicate.predictions.get(made.id)).status === "processing") break;
      await sleep(50);
    }
    const after = await replicate.predictions.cancel(made.id);
    const later = await replicate.predictions.get(made.id);
    return { after: after.status, later: later.status, error: later.error };
  },
  async failing() {
    try {
      await replicate.run("demo/fail", { input: { mode: "raise" } });
    } catch (error) {
      return { error: error.message, logs: null };
    }
    return null;
  },
  async wait_runs_out() {
    return String(
      await replicate.run("demo/sleep", { input: { seconds: 1.6 }, wait: { mode: "block", timeout: 1 } }),
    );
  },
  async bad_input() {
    try {
      await replicate.run("demo/paint", { input: { prompt: "x", width: 5, num_outputs: "many" } });
    } catch (error) {
      return { status: error.response.status, text: error.message };
    }
    return null;
  },
  async call({ wait, seconds = 0.5 }) {
    return call(wait, seconds);
  },
  async calls({ wait, at_once, seconds }) {
    if (at_once) return Promise.all([call(wait, seconds), call(wait, seconds)]);
    return [await call(wait, seconds), await call(wait, seconds)];
  },
  async told({ webhook, events }) {
    const made = await replicate.predictions.create({
      model: "demo/text",
      input: { prompt: "A function is", max_tokens: 12, seed: 1 },
      webhook,
      ...(events ? { webhook_events_filter: events } : {}),
    });
    return made.id;
  },
  async secret() {
    return (await replicate.webhooks.default.secret.get()).key;
  },
  async verify({ headers, body }) {
    const secret = (await replicate.webhooks.default.secret.get()).key;
    const request = new Request("http://receiver.example/hook", { method: "POST", headers, body });
    return { secret, valid: await validateWebhook(request, secret) };
  },
  async unknown_model() {
    try {
      await replicate.run("demo/nothing", { input: {} });
    } catch (error) {
      return { status: error.response.status, text: error.message };
    }
    return null;
  },
};

console.log(JSON.stringify(await cases[process.argv[2]](JSON.parse(process.argv[3]))));
