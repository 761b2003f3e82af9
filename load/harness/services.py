"""Starts and ends everything a run needs: the mocks, nginx, the daemon in several configurations, optionally Redis.

Each service listens on a free loopback port. `Rig` is a context manager, so that nothing outlives the run.
"""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

#: Models of the two mocks. Both are in the daemon's price catalogue, so that pricing is part of what is measured.
UNARY_MODEL = "gpt-4o-mini"
STREAM_MODEL = "gpt-4.1-mini"
#: Stream shape of the second mock: events and the pause between them.
STREAM_CHUNKS = 100
STREAM_DELAY_MS = 20
READY_TIMEOUT = 15.0
#: The daemon's key at the mock, as long as real ones, since it must never come out again.
KEY = "sk-mock-0123456789abcdefghijklmnop"


def target_dir():
    """The directory of the build, as cargo would choose it."""
    workspace = pathlib.Path(__file__).resolve().parents[2]
    return os.environ.get("CARGO_TARGET_DIR", str(workspace / "target"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def children(pid):
    """The processes below one, for services that fork."""
    try:
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in text.split()]


class Service:
    """One process and the addresses on which it serves the unary and the streaming mock."""

    def __init__(self, name, process, unary, stream, started_in=0.0):
        self.name, self.process, self.started_in = name, process, started_in
        self.unary, self.stream = unary, stream

    @property
    def pids(self):
        return [self.process.pid, *children(self.process.pid)] if self.process else []

    def fds(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids if os.path.isdir(f"/proc/{pid}/fd"))

    def rss(self):
        total = 0
        for pid in self.pids:
            with contextlib.suppress(OSError, IndexError, ValueError):
                total += int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
        return total


class Rig:
    """All services of a run."""

    def __init__(self, scratch, args):
        self.scratch, self.args = scratch, args
        self.processes, self.services = [], {}
        self.mocks = {}
        #: Address of the mock whose faults the soak asks for.
        self.faulty = ""

    def __enter__(self):
        try:
            self._start_mocks()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start_mocks(self):
        if not pathlib.Path(self.args.tool).exists():
            raise SystemExit(f"no {self.args.tool}; run `cargo build --release -p sentinel-load`")
        stream_shape = ["--chunks", str(STREAM_CHUNKS), "--chunk-delay", f"{STREAM_DELAY_MS}ms"]
        unary = self._mock("unary", [])
        stream = self._mock("stream", stream_shape)
        self.faulty = self._mock("faulty", [], prebuilt=False)
        self.services["direct"] = Service("direct", None, unary, stream)

    def start_compared(self):
        """Starts what is measured side by side: nginx, and the daemon with and without redaction."""
        unary, stream = self.services["direct"].unary, self.services["direct"].stream
        if self.args.nginx != "none" and shutil.which(self.args.nginx):
            self._nginx(unary, stream)
        if self.args.sentinel != "none":
            if not pathlib.Path(self.args.sentinel).exists():
                raise SystemExit(f"no daemon at {self.args.sentinel}; build it or say --sentinel none")
            redis = self._redis() if self.args.redis != "none" else None
            self.services["sentinel"] = self._sentinel("sentinel", (unary, stream), redis)
            self.services["sentinel-plain"] = self._sentinel("sentinel-plain", (unary, stream), redis, pii="off")

    def limited(self):
        """A daemon that admits few requests, for the saturation scenario of drill."""
        direct = self.services["direct"]
        return self._sentinel("sentinel-limited", (direct.unary, direct.stream), None, rpm=600)

    def for_faults(self):
        """A daemon in front of the faulty mock alone, as both providers, with short limits."""
        address, folder = f"127.0.0.1:{free_port()}", self.scratch / "sentinel-faults"
        folder.mkdir()
        (folder / "sentinel.toml").write_text(faults_config(address, folder / "data", self.faulty))
        process = self._spawn("sentinel-faults", [self.args.sentinel, "serve", "--config", str(folder / "sentinel.toml")])
        self._await(f"http://{address}/health/ready", "sentinel-faults")
        return Service("sentinel-faults", process, address, address)

    def _spawn(self, name, command):
        log = open(self.scratch / f"{name}.log", "wb")
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def _mock(self, name, extra, prebuilt=True):
        address = f"127.0.0.1:{free_port()}"
        kind = ["--prebuilt"] if prebuilt else []
        self.mocks[name] = self._spawn(f"mock-{name}", [self.args.tool, "mock", "--listen", address, *kind, *extra])
        self._await(f"http://{address}/v1/models", f"mock-{name}")
        return address

    def _nginx(self, unary, stream):
        ports = (free_port(), free_port())
        prefix = self.scratch / "nginx"
        prefix.mkdir()
        (prefix / "nginx.conf").write_text(nginx_config(prefix, ports, (unary, stream), self.args.workers))
        command = [self.args.nginx, "-p", str(prefix), "-c", str(prefix / "nginx.conf"), "-e", str(prefix / "error.log")]
        process = self._spawn("nginx", command)
        addresses = [f"127.0.0.1:{port}" for port in ports]
        self._await(f"http://{addresses[0]}/v1/models", "nginx")
        self.services["nginx"] = Service("nginx", process, *addresses)

    def _redis(self):
        port = free_port()
        self._spawn("redis", [self.args.redis, "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(self.scratch)])
        return f"redis://127.0.0.1:{port}/0"

    def _sentinel(self, name, mocks, redis, pii="redact", rpm=100_000_000):
        address = f"127.0.0.1:{free_port()}"
        folder = self.scratch / name
        folder.mkdir()
        config = folder / "sentinel.toml"
        mocks = (*mocks, self.faulty)
        config.write_text(sentinel_config(address, folder / "data", mocks, redis, pii, rpm, self.args.workers))
        start = time.monotonic()
        process = self._spawn(name, [self.args.sentinel, "serve", "--config", str(config)])
        self._await(f"http://{address}/health/ready", name, pause=0.005)
        return Service(name, process, address, address, time.monotonic() - start)

    def _await(self, url, name, pause=0.05):
        deadline = time.monotonic() + READY_TIMEOUT
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(url, timeout=2):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(pause)
        log = (self.scratch / f"{name}.log").read_text(errors="replace")[-2000:]
        raise SystemExit(f"{name} is not ready after {READY_TIMEOUT:.0f} s at {url}\n{log}")


def nginx_config(prefix, ports, mocks, workers):
    """nginx as a plain proxy: kept connections on both sides, no buffering, no log."""
    servers = "".join(
        f"""
  upstream mock{index} {{ server {mock}; keepalive 2048; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://mock{index}; }}
  }}"""
        for index, (port, mock) in enumerate(zip(ports, mocks))
    )
    return f"""daemon off;
worker_processes {workers};
pid {prefix}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {prefix}/body; proxy_temp_path {prefix}/proxy; fastcgi_temp_path {prefix}/fastcgi;
  uwsgi_temp_path {prefix}/uwsgi; scgi_temp_path {prefix}/scgi;
  keepalive_requests 1000000000;
  tcp_nodelay on;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_buffering off;
  proxy_read_timeout 600s;
  client_max_body_size 32m;
  client_body_buffer_size 64k;{servers}
}}
"""


def sentinel_config(listen, data, mocks, redis, pii, rpm, workers):
    """The whole pipeline: limits, redaction, injection score, cache, breaker, cost, audit, metrics."""
    store = f'backend = "redis"\nredis_url = "{redis}"' if redis else 'backend = "embedded"'
    return f"""[server]
listen = "{listen}"
workers = {workers}
[store]
{store}
path = "{data}"
[[providers]]
name = "unary"
kind = "openai"
base_url = "http://{mocks[0]}/v1"
api_keys = ["{KEY}"]
max_in_flight = 4096
[[providers]]
name = "stream"
kind = "openai"
base_url = "http://{mocks[1]}/v1"
api_keys = ["{KEY}"]
max_in_flight = 4096
[[providers]]
name = "faulty"
kind = "openai"
base_url = "http://{mocks[2]}/v1"
api_keys = ["{KEY}"]
first_byte_timeout = "2s"
idle_timeout = "2s"
[[routes]]
model = "fault!*"
targets = [ {{ provider = "faulty" }} ]
[[routes]]
model = "{UNARY_MODEL}"
targets = [ {{ provider = "unary" }} ]
[[routes]]
model = "{STREAM_MODEL}"
targets = [ {{ provider = "stream" }} ]
[limits]
rpm = {rpm}
[guard.pii]
mode = "{pii}"
[guard.injection]
mode = "detect"
[telemetry]
log_level = "warn"
"""


def faults_config(listen, data, mock):
    """One target for bare model names, two for `fo!…`; no cache, so that every call reaches the mock.

    Only models with a route of their own are listed by `GET /v1/models`, which the SDK tests ask for.
    """
    limits = 'first_byte_timeout = "2s"\nidle_timeout = "2s"'
    retry = '[providers.retry]\nmax_attempts = 2\nbase_delay = "20ms"'
    provider = '[[providers]]\nname = "{0}"\nkind = "{0}"\nbase_url = "http://{1}/v1"\napi_keys = ["{2}"]\n'
    providers = "".join(provider.format(kind, mock, KEY) + f"{limits}\n{retry}\n" for kind in ("openai", "anthropic"))
    return f"""[server]
listen = "{listen}"
[store]
path = "{data}"
[cache]
enabled = false
[telemetry]
log_level = "warn"
{providers}[[routes]]
model = "{UNARY_MODEL}"
targets = [ {{ provider = "openai" }} ]
[[routes]]
model = "fo!*"
targets = [ {{ provider = "openai" }}, {{ provider = "anthropic", model = "claude-sonnet-4-5" }} ]
"""
