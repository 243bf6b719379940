#!/usr/bin/env bash
# The Debian packages build, lintian has nothing to say, and they hold what they should.
# limit: 2400
# usage: package.sh OUT
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
out=$(realpath "$1")
built=$root/build/package

fail() {
  printf 'fail: %s\n' "$*"
  exit 1
}

"$root/scripts/package" --no-tests
tree=$out/tree
mkdir -p "$tree"
for name in dom1 libdom1-lend1 libdom1-lend-dev python3-dom1; do
  archive=$(compgen -G "$built/${name}_*.deb") || fail "there is no package $name"
  dpkg-deb -x "$archive" "$tree"
done
version=$(sed -n "s/^  version: '\(.*\)',$/\1/p" "$root/meson.build")
[[ $("$tree/usr/bin/dom1" --version) == "dom1 $version" ]] || fail "dom1 says it is $("$tree/usr/bin/dom1" --version)"
grep -qx "version = \"$version\"" "$root/python/pyproject.toml" || fail "python/pyproject.toml has another version"
for file in bash-completion/completions/dom1 zsh/vendor-completions/_dom1 fish/vendor_completions.d/dom1.fish \
  man/man1/dom1.1.gz man/man3/dom1-lend.3.gz doc/dom1/ci/slurm.sh; do
  [[ -s $tree/usr/share/$file ]] || fail "there is no /usr/share/$file"
done
# A manual for each program.
for program in "$tree"/usr/bin/* "$tree"/usr/sbin/*; do
  [[ ! -e $program || -e $tree/usr/share/man/man1/${program##*/}.1.gz ]] || fail "${program##*/} has no manual"
done
# What is loaded only when it is needed.
depends=$(dpkg-deb -f "$built"/dom1_*.deb Depends Recommends)
[[ $depends == *libarchive* && $depends == *libnbd* ]] || fail "the package needs neither libarchive nor libnbd: $depends"

# A lender against the development files, shared and static.
cat >"$out/lender.c" <<'END'
#include <dom1/lend.h>
int main(void) { struct lend *lend; return lend_open("/nowhere", &lend) == 0; }
END
lib=$(dirname "$(find "$tree/usr/lib" -name libdom1-lend.so)")
gcc -Wall -Werror -o "$out/shared" "$out/lender.c" -I"$tree/usr/include" -L"$lib" -ldom1-lend
LD_LIBRARY_PATH=$lib "$out/shared" || fail "the lender with the shared library fails"
gcc -Wall -Werror -static -o "$out/static" "$out/lender.c" -I"$tree/usr/include" -L"$lib" -ldom1-lend -pthread
"$out/static" || fail "the lender with the static library fails"
grep -q '^Libs: .*-ldom1-lend' "$lib/pkgconfig/dom1-lend.pc" || fail "pkg-config does not know the library"
PYTHONPATH=$tree/usr/lib/python3/dist-packages python3 -B -c 'import dom1' || fail "the Python package cannot be imported"
rm -rf "$tree"
