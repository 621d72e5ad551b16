#!/usr/bin/env bash
# Installs the packages of packaging/apt-packages.txt that are missing; says nothing and needs no
# network when all are there.
#
#   scripts/bootstrap.sh [build|ci]
#
# build (the default): what compiling, testing and running need. ci: also what .ci/run needs.
set -euo pipefail
cd "$(dirname "$0")/.."

die() {
  echo "bootstrap: $*" >&2
  exit 1
}

case ${1:-build} in
  build) sections="build" ;;
  ci) sections="build ci" ;;
  *) die "unknown argument '$1'; known: build, ci" ;;
esac

wanted=$(awk -v sections="$sections" '
  BEGIN { split(sections, names, " "); for (i in names) keep["[" names[i] "]"] = 1 }
  /^\[/ { on = $0 in keep; next }
  on && NF && !/^#/' packaging/apt-packages.txt)

if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null; then
  die "this needs apt (Debian 12, Ubuntu 24.04 or later). Elsewhere install the equivalents of:
$wanted
and go on with: cmake --workflow --preset release"
fi

# shellcheck disable=SC2086  # a list of words
missing=$({ dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2> /dev/null || true; } |
  awk -v wanted="${wanted//$'\n'/ }" '
    $1 == "installed" { have[$2] = 1 }
    END { n = split(wanted, names, " "); for (i = 1; i <= n; i++) if (!have[names[i]]) print names[i] }')
[ -n "$missing" ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo > /dev/null || die "not root and no sudo. As root run: apt-get install ${missing//$'\n'/ }"
  as_root=(sudo)
fi
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" > /dev/null
}

echo "bootstrap: installing ${missing//$'\n'/ }"
apt update || die "apt-get update failed; is there a network?"
# shellcheck disable=SC2086
apt install -y --no-install-recommends $missing || die "apt-get could not install: ${missing//$'\n'/ }"
