# Stages of the load tools: the harness's own tests, the SDKs as clients, every fault of the mock through the daemon.
# shellcheck shell=bash disable=SC2154

all+=(harness sdk faults)

stage_harness() { python3 -B -m unittest discover -s load -t load; }

stage_sdk() {
  have npm || apt_install npm=npm
  cargo build --locked -p sentinel -p sentinel-load
  local venv="$target/sdk-venv"
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  "$venv/bin/pip" install -q -r tests/sdk/python/requirements.txt
  (cd tests/sdk/node && npm ci --silent --no-audit --no-fund)
  "$venv/bin/python" tests/sdk/run --profile debug
}

stage_faults() {
  cargo build --locked -p sentinel -p sentinel-load
  load/run --faults --sentinel "$target/debug/sentinel" --tool "$target/debug/sentinel-load" --out "$target/faults"
}
