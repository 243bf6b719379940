# shellcheck shell=bash
# shellcheck disable=SC2154  # root and deps are the caller's
# A small Debian for a guest's disk, of the release whose kernel is the guest kernel "old", made once by mmdebstrap from the
# archive that the system uses. build/debian-root then has
#   image      an ext4 file system: systemd, apt, a root without a password, and a network by DHCP
#   archive/   an apt repository with one package, which is not in the image

debian_suite=bookworm
debian_packages=(usr-is-merged systemd-sysv udev e2fsprogs)
debian_package=hello
debian_image_size=512M

# make_debian_root: unless it is there.
make_debian_root() {
  local dir=$root/build/debian-root key made
  key=$(cat "${BASH_SOURCE[0]}" "$deps/apt/sources.list" | sha256sum)
  key=${key:0:16}
  if [[ $(cat "$dir/key" 2>/dev/null) != "$key" ]]; then
    say "making a Debian root file system"
    made=$(mktemp -d "$root/build/debian-root.XXXXXX")
    chmod 755 "$made"
    if ! debian_bootstrap "$made" 2>"$made/log" || ! fakeroot bash -c "$(declare -f debian_make_image)"'; debian_make_image "$@"' \
      - "$made" "$debian_image_size" "$debian_package" 2>>"$made/log"; then
      mv "$made/log" "$dir.log"
      rm -rf "$made"
      die "mmdebstrap and mke2fs made no Debian root: see $dir.log"
    fi
    rm -rf "$made"/{tree,tar} "$dir"
    echo "$key" >"$made/key"
    mv "$made" "$dir"
  fi
}

# debian_bootstrap DIR: all files as DIR/tar. Without privileges mmdebstrap works in a user namespace.
debian_bootstrap() {
  # A package beside the others: by the same apt, so it is one of the same archive and its signature was looked at.
  # shellcheck disable=SC2016  # for mmdebstrap
  local get='mkdir "$1/archive" && cd "$1/archive" && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get download '$debian_package
  # Nobody reads it, and what is lost in a crash is made again: no waiting for the disk.
  grep -E " $debian_suite(-security)? " "$deps/apt/sources.list" |
    PATH=/usr/sbin:/usr/bin:/sbin:/bin mmdebstrap --variant=apt --architectures=amd64 --format=tar \
      --include="$(IFS=,; echo "${debian_packages[*]}")" --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
      --aptopt='APT::Sandbox::User "root"' --dpkgopt=force-unsafe-io --customize-hook="$get" "$debian_suite" "$1/tar" -
}

# debian_make_image DIR SIZE PACKAGE: DIR/image and DIR/archive of DIR/tar. Under fakeroot, which remembers owners.
debian_make_image() {
  set -e
  local dir=$1 size=$2 tree=$1/tree deb
  mkdir "$tree"
  tar -xf "$dir/tar" -C "$tree" --exclude='./dev/*'
  mv "$tree/archive" "$dir/archive"
  deb=$(cd "$dir/archive" && echo "$3"_*.deb)
  {
    dpkg-deb --field "$dir/archive/$deb"
    printf 'Filename: %s\nSize: %s\nSHA256: %s\n' "$deb" "$(stat -c %s "$dir/archive/$deb")" \
      "$(sha256sum <"$dir/archive/$deb" | cut -d ' ' -f 1)"
  } >"$dir/archive/Packages"

  rm -rf "$tree"/usr/share/{doc,man,locale}
  rm -f "$tree"/etc/dpkg/dpkg.cfg.d/99mmdebstrap "$tree"/etc/apt/apt.conf.d/99mmdebstrap "$tree"/etc/apt/sources.list \
    "$tree"/etc/resolv.conf
  sed -i 's/^root:[^:]*:/root::/' "$tree/etc/shadow"
  # Its own at the first boot, which is not asked any questions.
  : >"$tree/etc/machine-id"
  echo guest >"$tree/etc/hostname"
  echo '127.0.0.1 localhost guest' >"$tree/etc/hosts"
  echo '/dev/xvda / ext4 errors=remount-ro 0 1' >"$tree/etc/fstab"
  printf '%s\n' '[Match]' 'Type=ether' '[Network]' 'DHCP=ipv4' >"$tree/etc/systemd/network/dhcp.network"
  # An emulated machine, which others use too, may need longer than it waits by itself; and then there is no login prompt.
  mkdir "$tree/etc/systemd/system.conf.d"
  printf '%s\n' '[Manager]' 'DefaultDeviceTimeoutSec=15min' 'DefaultTimeoutStartSec=15min' >"$tree/etc/systemd/system.conf.d/slow.conf"
  mkdir -p "$tree/etc/systemd/system/multi-user.target.wants"
  ln -s /lib/systemd/system/systemd-networkd.service "$tree/etc/systemd/system/multi-user.target.wants/"
  truncate -s "$size" "$dir/image"
  mke2fs -q -F -t ext4 -d "$tree" "$dir/image"
}
