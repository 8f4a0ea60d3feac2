# shellcheck shell=bash disable=SC2034
# Common to the scripts of this folder: finding cargo under sudo, installing what is missing.
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

# What scripts/package needs.
PACKAGE_PACKAGES=(build-essential debhelper)
LAB_PACKAGES=(dpkg dpkg-dev binutils iproute2 util-linux nftables tcpdump procps iputils-ping iputils-arping libfaketime logrotate)
LEGACY_PACKAGES=(heartbeat cluster-glue resource-agents net-tools)
