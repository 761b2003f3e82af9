# shellcheck shell=bash
# The dashboard in a real Chromium, in front of the real daemon with its charts embedded.

stage_browser() {
  apt_install node=nodejs npm=npm chromium=chromium
  (cd src/dashboard && npm ci --no-audit --no-fund --silent)
  (cd tests/browser && npm ci --no-audit --no-fund --silent)
  cargo build --locked --bin sentinel
  (cd tests/browser && SENTINEL_BIN="${SENTINEL_BIN:-$(cd ../.. && realpath "$target")/debug/sentinel}" npm test --silent)
}
all+=(browser)
