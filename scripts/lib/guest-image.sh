# shellcheck shell=bash
# shellcheck disable=SC2154  # root and scripts are the caller's
# The small guest: an initramfs of busybox, guest-init.sh and the guest's tools, made once and kept by content.

# guest_image: its path.
guest_image() {
  local dir=$root/build/guest tools=$root/build/host/tests/tools key file tree
  key=$(cat "$scripts/lib/guest-image.sh" "$scripts/lib/guest-init.sh" "$(command -v busybox)" \
    "$tools"/guest-* 2>/dev/null | sha256sum)
  file=$dir/initrd-${key:0:16}.img
  if [[ ! -e $file ]]; then
    mkdir -p "$dir"
    tree=$(mktemp -d "$dir/tree.XXXXXX")
    chmod 755 "$tree"
    mkdir "$tree"/{bin,dev,mnt,proc,sys}
    cp "$(command -v busybox)" "$tree/bin/busybox"
    install -m 755 "$scripts/lib/guest-init.sh" "$tree/init"
    local applet tool
    for applet in $(busybox --list); do
      [[ $applet == busybox ]] || ln -s busybox "$tree/bin/$applet"
    done
    for tool in "$tools"/guest-*; do
      # Beside each program meson has a folder NAME.p.
      [[ -f $tool && -x $tool ]] || continue
      strip -o "$tree/bin/${tool##*/guest-}" "$tool"
    done
    (cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet) | gzip -1 >"$tree.img"
    rm -rf "$tree"
    rm -f "$dir"/initrd-*.img
    mv "$tree.img" "$file"
  fi
  printf '%s\n' "$file"
}
