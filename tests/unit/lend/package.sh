#!/usr/bin/env bash
# Programs outside of the tree build with libdom1-lend as it is installed, with the shared library and with the static one,
# and find it by pkg-config.
# usage: package.sh BUILD [COMPILER-FLAG...]
set -euo pipefail

build=$1
shift
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
root=$scratch/root

meson install -C "$build" --no-rebuild --quiet --destdir "$root" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
pc=$(find "$root" -name dom1-lend.pc)
[[ $pc ]] || { echo "no dom1-lend.pc is installed"; exit 1; }
export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$root
libs=$(cd "${pc%/*}/.." && pwd)

# As the manual says, in C and with C++'s eyes; what it connects to is not there.
cat >"$scratch/lender.c" <<'PROGRAM'
#include <dom1/lend.h>
#include <errno.h>
#include <stddef.h>

int main(void)
{
	struct lend *lend = NULL;
	int fd = lend_memory_new(LEND_MEMORY_MEMFD, LEND_PAGE_BYTES);

	if (fd < 0 || lend_memory_new(LEND_MEMORY_MEMFD, 1) != -EINVAL)
		return 1;
	lend_close(NULL);
	return lend_open("/nonexistent/lend.sock", &lend) == -ENOENT ? 0 : 2;
}
PROGRAM
cp "$scratch/lender.c" "$scratch/lender.cc"

# build_and_run NAME COMPILER SOURCE FLAG...
build_and_run() {
  local name=$1 compiler=$2 source=$3
  shift 3
  "$compiler" -Wall -Wextra -Werror -o "$scratch/$name" "$scratch/$source" "$@"
  LD_LIBRARY_PATH=$libs "$scratch/$name" || { echo "$name: status $?"; exit 1; }
}

read -r -a cflags <<<"$(pkg-config --cflags dom1-lend)"
read -r -a shared <<<"$(pkg-config --libs dom1-lend)"
read -r -a static <<<"$(pkg-config --static --libs dom1-lend)"
build_and_run shared cc lender.c "$@" "${cflags[@]}" "${shared[@]}"
readelf -d "$scratch/shared" | grep -q 'NEEDED.*libdom1-lend\.so\.1\]' || { echo "the shared library is not used"; exit 1; }
build_and_run static cc lender.c "$@" "${cflags[@]}" -Wl,-Bstatic "${static[@]}" -Wl,-Bdynamic
if readelf -d "$scratch/static" | grep -q libdom1-lend; then
  echo "the static library is not used"
  exit 1
fi
if command -v c++ >/dev/null; then
  build_and_run plus c++ lender.cc "$@" "${cflags[@]}" "${shared[@]}"
fi
# Nothing but the interface is seen from outside.
strange=$(nm -D --defined-only "$libs/libdom1-lend.so" | awk '$2 != "A" { print $3 }' | grep -v '^lend_' || true)
[[ ! $strange ]] || { printf 'exported: %s\n' "$strange"; exit 1; }
[[ -s $(find "$root" -name 'dom1-lend.3*') ]] || { echo "the manual is not installed"; exit 1; }
