// Starts the daemon and the mock provider on free ports, and ends what it started.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const binary = process.env.SENTINEL_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "debug/sentinel");

export const TOKEN = "an-admin-token-for-tests";
export const SECRET = "sk-browser-test";
/** Names that would do harm if they ever became markup. */
export const EVIL_KEY = '<img src=x onerror="window.harm=1">';
export const EVIL_MODEL = "<script>window.harm=1</script>";

export function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function until(what, check, ms = 15_000) {
  const end = Date.now() + ms;
  for (;;) {
    if (await check().catch(() => false)) return;
    if (Date.now() > end) throw new Error(`${what} did not happen within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function run(args) {
  const child = spawn(binary, args, { stdio: ["ignore", "ignore", "pipe"], env: { PATH: process.env.PATH } });
  let words = "";
  child.stderr.on("data", (bytes) => { words = (words + bytes).slice(-4000); });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  return {
    signal: (name) => child.kill(name),
    stop: async () => { child.kill("SIGINT"); await ended; },
    kill: async () => { child.kill("SIGKILL"); await ended; },
    words: () => words,
  };
}

export async function startMock() {
  const port = await freePort();
  const process_ = run(["mock", "--listen", `127.0.0.1:${port}`]);
  await until("the mock's start", async () => (await fetch(`http://127.0.0.1:${port}/`)).status > 0);
  return { port, ...process_ };
}

/** A daemon in front of the mock. `guarded` sets an admin token and demands keys. */
export async function startDaemon(mock, { guarded, port = null, folder = null }) {
  const listen = port ?? await freePort();
  const place = folder ?? mkdtempSync(join(tmpdir(), "sentinel-browser-"));
  const file = join(place, "sentinel.toml");
  const hash = createHash("sha256").update(SECRET).digest("hex");
  const text = (extra = "") => `
[auth]
mode = "${guarded ? "keys" : "none"}"
${guarded ? `admin_token = "${TOKEN}"` : ""}
[[auth.keys]]
name = '${EVIL_KEY}'
sha256 = "${hash}"
rpm = 6000
budget_usd_day = 0.05
[server]
listen = "127.0.0.1:${listen}"
lame_duck = "0s"
[store]
path = "${place}/data"
[[providers]]
name = "openai"
kind = "openai"
base_url = "http://127.0.0.1:${mock.port}/v1"
api_keys = ["sk-mock"]
[providers.retry]
base_delay = "10ms"
[providers.breaker]
open_for = "30s"
[[providers]]
name = "anthropic"
kind = "anthropic"
base_url = "http://127.0.0.1:${mock.port}/v1"
api_keys = ["sk-ant-mock"]
[[routes]]
model = "assistant"
targets = [ { provider = "openai", model = "gpt-4o!500" }, { provider = "anthropic", model = "claude-sonnet-4-5" } ]
[telemetry]
log_level = "error"
${extra}`;
  writeFileSync(file, text());
  const child = run(["serve", "--config", file]);
  const url = `http://127.0.0.1:${listen}`;
  await until("the daemon's start", async () => (await fetch(`${url}/health/live`)).ok).catch((error) => {
    throw new Error(`${error.message}: ${child.words()}`);
  });
  return {
    url, port: listen, folder: place, ...child,
    /** Sends a chat request and reads the answer to its end. */
    chat: async (model, content, more = {}) => {
      const answer = await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${SECRET}` },
        body: JSON.stringify({ model, messages: [{ role: "user", content }], ...more }),
      });
      await answer.text();
      return answer.status;
    },
    /** Reloads a configuration that is wrong in a way that quotes markup. */
    spoil: () => { writeFileSync(file, text(`"<img src=x onerror='window.harm=1'>" = 1`)); child.signal("SIGHUP"); },
    clean: () => rmSync(place, { recursive: true, force: true }),
  };
}

export { until };
