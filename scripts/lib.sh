# shellcheck shell=bash disable=SC2034
# Common to scripts/test, scripts/demo and scripts/bench: finding cargo under sudo, installing what is missing.
# Sourced, never run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*"; }
skipped() { printf 'SKIPPED %s: %s\n' "$1" "$2"; }
is_root() { [ "$(id -u)" = 0 ]; }

# Under plain `sudo` the toolchain of the calling user is used, and the files that it writes belong to that user.
as_caller() {
  if is_root && [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ]; then
    sudo -u "$SUDO_USER" -H env PATH="$PATH" ${CARGO_TARGET_DIR:+CARGO_TARGET_DIR="$CARGO_TARGET_DIR"} "$@"
  else
    "$@"
  fi
}

find_cargo() {
  local home
  home=$(getent passwd "${SUDO_USER:-$(id -un)}" | cut -d: -f6)
  # Cargo sets CARGO for the programs that it runs.
  for place in ${CARGO:+"${CARGO%/*}"} "${CARGO_HOME:-}/bin" "$home/.cargo/bin" /usr/local/cargo/bin /root/.cargo/bin; do
    [ -x "$place/cargo" ] && PATH=$place:$PATH && break
  done
  export PATH
  as_caller cargo --version >/dev/null 2>&1 || { say "no Rust toolchain: cargo was not found for ${SUDO_USER:-$(id -un)}"; exit 1; }
}

# Finds the program that packs the package of scripts/package, or installs it, which takes some minutes the first time.
CARGO_DEB_VERSION=3.8.0
find_cargo_deb() {
  local tools=${CARGO_TARGET_DIR:-$ROOT/target}/tools
  for CARGO_DEB in "$tools/bin/cargo-deb" cargo-deb; do
    [ "$("$CARGO_DEB" --version 2>/dev/null)" != "cargo-deb $CARGO_DEB_VERSION" ] || return 0
  done
  say "installing cargo-deb $CARGO_DEB_VERSION below $tools" >&2
  as_caller cargo install --quiet --locked --root "$tools" --target-dir "$tools/build" \
    --version "$CARGO_DEB_VERSION" cargo-deb >&2 || { say "cargo-deb could not be installed" >&2; return 1; }
  as_caller rm -rf "$tools/build"
  CARGO_DEB=$tools/bin/cargo-deb
}

# need PACKAGE...: installs Debian packages that are missing. The legacy daemon must not be started by its package.
need() {
  local missing=() package guard=/usr/sbin/policy-rc.d
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! is_root; then say "not root: cannot install ${missing[*]}"; return 1; fi
  command -v apt-get >/dev/null || { say "no apt-get: cannot install ${missing[*]}"; return 1; }
  say "installing: ${missing[*]}"
  local code=0
  # In a subshell with its own trap: however it ends, the services of other packages are not left forbidden.
  (
    if [ ! -e "$guard" ]; then
      trap 'rm -f "$guard"' EXIT
      printf '#!/bin/sh\nexit 101\n' >"$guard"
      chmod 755 "$guard"
    fi
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
  ) </dev/null >"${TMPDIR:-/tmp}/systole-apt.$$.log" 2>&1 || code=$?
  if [ $code != 0 ]; then tail -5 "${TMPDIR:-/tmp}/systole-apt.$$.log"; fi
  rm -f "${TMPDIR:-/tmp}/systole-apt.$$.log"
  return $code
}

# A C compiler for the crates that build C or assembly.
need_compiler() { command -v cc >/dev/null || need gcc libc6-dev || say "no C compiler"; }

LAB_PACKAGES=(dpkg dpkg-dev binutils iproute2 util-linux nftables tcpdump procps iputils-ping iputils-arping libfaketime)
LEGACY_PACKAGES=(heartbeat cluster-glue resource-agents net-tools)
