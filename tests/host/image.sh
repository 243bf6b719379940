#!/usr/bin/env bash
# docs/ci/Containerfile builds, and dom1 and the shim are in the image. Without an engine: buildah, in a chroot.
# limit: 3000
# usage: image.sh OUT
#
# Its base is a Debian 13 by debootstrap, made to look as the one of the registries; with DOM1_BASE=FOLDER one that is there.
# Only root may make one.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  printf 'fail: %s\n' "$*"
  exit 1
}

for tool in buildah debootstrap; do
  type -P "$tool" >/dev/null || fail "$tool is missing: apt-get install buildah debootstrap"
done
((EUID == 0)) || fail "this needs root"

images() {
  local command=$1
  shift
  buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$command" "$@"
}

base=${DOM1_BASE-}
if [[ ! $base ]]; then
  base=$work/base
  # shellcheck disable=SC2016  # apt expands these
  site=$(apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
    sed -n 's/^Debian|\(https\?:.*\)/\1/p' | sort -u | head -n 1)
  debootstrap --variant=minbase trixie "$base" "$site" >"$1/debootstrap" || fail "debootstrap: $(tail -n 1 "$1/debootstrap")"
  rm "$base/etc/apt/sources.list"
  printf '%s\n' 'Types: deb' "URIs: $site" 'Suites: trixie trixie-updates' 'Components: main' \
    'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg' >"$base/etc/apt/sources.list.d/debian.sources"
fi

container=$(images from scratch)
images copy --quiet "$container" "$base" / >/dev/null
images commit --quiet "$container" localhost/base >/dev/null
images rm "$container" >/dev/null
# What git knows, as a checkout has it.
mkdir "$work/source"
(cd "$root" && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -a -t "$work/source")
images bud --isolation chroot --build-arg BASE=localhost/base -f docs/ci/Containerfile -t localhost/dom1 "$work/source" ||
  fail "the image does not build: see above"

container=$(images from localhost/dom1)
inside() {
  images run --isolation chroot "$container" -- "$@"
}
inside dom1 --version || fail "dom1 does not run in the image"
inside sh -c 'ls /usr/lib/xen-*/boot/xen-shim' || fail "the image has no shim"
status=0
inside dom1 check >"$1/check" 2>&1 || status=$?
# 3: this host has no KVM that would do; the image is not to blame.
((status == 0 || status == 3)) || fail "dom1 check: status $status: $(tail -n 1 "$1/check")"
grep -q '^ok *Xen shim' "$1/check" || fail "dom1 does not find the shim: $(cat "$1/check")"
