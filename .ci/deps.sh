#!/bin/sh
# Installs the Debian packages named as arguments that are not there yet.
# Silent when nothing is missing. Asks nothing, starts no service.
set -u

missing=
if command -v dpkg-query >/dev/null 2>&1; then
  for package in "$@"; do
    state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)
    [ "$state" = installed ] || missing="$missing $package"
  done
  [ -z "$missing" ] && exit 0
else
  echo "deps: not a Debian system; needed are, by their Debian names: $*" >&2
  exit 1
fi

manual="apt-get update && apt-get install --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then root=
elif ! command -v sudo >/dev/null 2>&1; then
  echo "deps: run as root: $manual" >&2
  exit 1
elif sudo -n true 2>/dev/null; then root="sudo -n"
elif [ -t 2 ] && echo "deps: sudo is needed to install$missing" >&2 && sudo -v </dev/tty; then
  root="sudo -n" # the password holds for some minutes
else
  echo "deps: run as root: $manual" >&2
  exit 1
fi

log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

apt() {
  $root env DEBIAN_FRONTEND=noninteractive apt-get -y -q \
    -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold "$@" \
    </dev/null >>"$log" 2>&1
}

echo "deps: installing$missing"
# bare images come without package lists, old ones with stale lists
apt install --no-install-recommends $missing ||
  { apt update && apt install --no-install-recommends $missing; } ||
  { tail -n 15 "$log" >&2
    echo "deps: could not install$missing" >&2
    exit 1; }
