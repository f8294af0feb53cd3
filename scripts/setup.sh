#!/usr/bin/env bash
# Brings a fresh clone to the point where everything runs: .venv with the pinned packages, and a browser for the tests.
# Quick when nothing has changed. Needs: Python 3.11 to 3.14, and PyPI (and, for the browser, what the messages say).
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=.venv
PYTHON=$VENV/bin/python
STAMP=$VENV/setup-stamp
BROWSER=$VENV/chromium-path

say() { printf 'setup: %s\n' "$*" >&2; }

# Whether $1 is a Python that the pinned packages exist for.
fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' >/dev/null 2>&1
}

find_python() {
    local name
    for name in "${PYTHON_FOR_SETUP:-}" python3 python3.11 python3.12 python3.13 python3.14 python; do
        if [ -n "$name" ] && fits "$name"; then
            command -v "$name"
            return
        fi
    done
    say "no Python 3.11 to 3.14 was found. Install one (Debian: apt-get install python3 python3-venv; macOS:"
    say "brew install python@3.13), or name it: PYTHON_FOR_SETUP=/path/to/python3 make setup"
    return 1
}

# What the environment depends on. The folder is part of it: a virtual environment cannot be moved.
fingerprint() {
    { pwd; cat requirements.txt pyproject.toml scripts/setup.sh; } | cksum
}

may_apt() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update && apt-get install -y --no-install-recommends "$@"; } >&2
}

make_venv() {
    local python
    if [ -x $PYTHON ] && fits $PYTHON && $PYTHON -m pip --version >/dev/null 2>&1; then return; fi
    python=$(find_python)
    say "creating $VENV with $("$python" --version)"
    rm -rf $VENV
    if "$python" -m venv $VENV >&2; then return; fi
    rm -rf $VENV
    if may_apt; then
        apt_install python3-venv && "$python" -m venv $VENV >&2 && return
    fi
    say "$python cannot make virtual environments. Install its venv package (Debian: apt-get install python3-venv)."
    return 1
}

install_packages() {
    say "installing the pinned packages (minutes, the first time)"
    $PYTHON -m pip install --quiet --disable-pip-version-check -r requirements.txt >&2
    # "compat" puts the folder itself on the path, so that a package added later is found without a new setup.
    $PYTHON -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
        --config-settings editable_mode=compat -e . >&2
}

starts() { [ -n "$1" ] && "$1" --version >/dev/null 2>&1; }

installed_browser() {
    local name
    for name in chromium chromium-browser google-chrome google-chrome-stable \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" "/Applications/Chromium.app/Contents/MacOS/Chromium"; do
        if name=$(command -v "$name") && starts "$name"; then printf '%s\n' "$name"; return; fi
    done
    return 1
}

downloaded_browser() {
    local path
    export PLAYWRIGHT_BROWSERS_PATH="$PWD/$VENV/browsers"
    timeout 600 $PYTHON -m playwright install chromium >&2 || return 1
    path=$($PYTHON -c 'from playwright.sync_api import sync_playwright as p
with p() as started: print(started.chromium.executable_path)')
    if ! starts "$path" && may_apt; then $PYTHON -m playwright install-deps chromium >&2 || true; fi
    starts "$path" && printf '%s\n' "$path"
}

packaged_browser() {
    may_apt && apt_install chromium && installed_browser
}

find_browser() {
    local path
    if [ -s $BROWSER ] && starts "$(cat $BROWSER)"; then return; fi
    if ! path=$(installed_browser); then
        say "no Chromium or Chrome is installed: getting one for the browser tests"
        path=$(downloaded_browser) || path=$(packaged_browser) || {
            rm -f $BROWSER
            say "no browser could be had, so the browser tests cannot run here; everything else works."
            say "To get them, install Chromium or Chrome and call 'make setup' again."
            return
        }
    fi
    printf '%s\n' "$path" >$BROWSER
}

if [ ! -f $STAMP ] || [ "$(cat $STAMP)" != "$(fingerprint)" ] || ! fits $PYTHON; then
    rm -f $STAMP
    make_venv
    install_packages
    find_browser
    fingerprint >$STAMP
    say "done"
elif [ ! -s $BROWSER ]; then
    # It could not be had last time. CI tries everything again; people are only asked to have installed one since.
    if [ "${CI:-}" = true ]; then find_browser; else installed_browser >$BROWSER || rm -f $BROWSER; fi
fi
