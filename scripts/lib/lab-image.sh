# shellcheck shell=bash
# shellcheck disable=SC2154  # root, deps, scripts, lab_dir, run_dir and with are the caller's
# What the lab boots from and what it sees, each made once and kept in build/lab by content:
#   initrd-KEY   busybox, the agent, kernel modules
#   base-KEY     file system of tools, libraries, guest kernels and the shim
#   payload-KEY  file system of the project (without objects and archives) and of --with PATHs
# An image in use may be removed by another lab: callers link it into their own folder first.

# Tools of the host that the lab has beside busybox's. Those that are missing here are missing there.
lab_tools=(sh bash env timeout stat date sort head tail tee od dd sha256sum mktemp realpath readlink numfmt stdbuf truncate
  ls cp mv ln df du cmp diff grep sed find xargs awk tar gzip xz zstd cpio
  setsid taskset unshare nsenter prlimit script setpriv flock lsns mount umount losetup blockdev
  tmux readelf pgrep
  mke2fs e2fsck debugfs dumpe2fs mkfs.xfs xfs_repair mkfs.btrfs btrfs fio qemu-img qemu-nbd qemu-storage-daemon nbdkit dtc ip passt passt.avx2 iperf3 curl
  xenstore-ls xenstore-read xenstore-write xenstore-rm xenstore-chmod xenstore-watch xenstore-exists xenstore-list)
# Modules that init loads, as far as the kernel has not built them in.
lab_modules=(irqbypass kvm kvm-amd virtio_blk overlay tun loop)

# hash: of what comes on standard input, short enough for a file name.
hash() {
  local sum
  sum=$(sha256sum)
  printf '%s\n' "${sum:0:16}"
}

# identity PATH...: what tells whether files or trees changed, without reading them.
identity() {
  find "$@" -printf '%p %l %y %s %T@ %m\n'
}

# prune KIND KEY NUMBER: of a kind of images, the newest NUMBER and the one in use stay.
prune() {
  local kind=$1 used=$2 number=$3 file
  find "$lab_dir" -maxdepth 1 -name "$kind-*" ! -name "*-$used" -printf '%T@ %p\n' | sort -rn | cut -d ' ' -f 2- |
    tail -n "+$number" | while read -r file; do rm -f "$file"; done
}

# publish FILE KIND KEY: a finished image gets its name; another lab may have been quicker.
publish() {
  mv -f "$1" "$lab_dir/$2-$3"
  prune "$2" "$3" 4
}

initrd_key() {
  {
    cat "$scripts/lib/lab-agent.c" "$scripts/lib/lab-init.sh" "$scripts/lib/lab-mount.sh"
    printf '%s\n' "${lab_modules[@]}"
    identity "$(realpath "$deps/lab/modules")" "$(command -v busybox)"
  } | hash
}

make_initrd() {
  local tree=$run_dir/initrd module
  mkdir -p "$tree/bin" "$tree/modules" "$tree/dev"
  gcc -std=gnu11 -O2 -Wall -static -o "$tree/bin/lab-agent" "$scripts/lib/lab-agent.c" >&2 ||
    die -125 "the lab's agent does not compile: see the message above"
  cp "$(command -v busybox)" "$tree/bin/busybox"
  install -m 755 "$scripts/lib/lab-init.sh" "$tree/init"
  install -m 755 "$scripts/lib/lab-mount.sh" "$tree/lab-mount"
  for module in "${lab_modules[@]}"; do
    if [[ -e $deps/lab/modules/$module.ko ]]; then
      cp "$deps/lab/modules/$module.ko" "$tree/modules/"
      printf '%s\n' "$module.ko" >>"$tree/modules/order"
    fi
  done
  (cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet) >"$run_dir/initrd.new"
  rm -rf "$tree"
}

# libraries FILE...: the shared libraries that programs among FILEs need, as the loader finds them.
libraries() {
  local file magic
  for file in "$@"; do
    [[ -f $file && -r $file ]] || continue
    IFS= read -r -N 4 magic <"$file" 2>/dev/null || continue
    [[ $magic == $'\x7fELF' ]] || continue
    # The loader fails for a static program, and even crashes, which the shell would tell. By --list it would also end at a
    # library that is not installed: unpacked packages bring some of theirs along.
    { LD_TRACE_LOADED_OBJECTS=1 /lib64/ld-linux-x86-64.so.2 "$file" | sed -n 's/^.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p'; } 2>/dev/null || true
  done | sort -u
}

# stage TREE PATH...: puts PATHs and what is below them into TREE at the same place; links on the way and at the
# end are kept as links, and what they point to is staged as well.
stage() {
  local tree=$1 path rest name at target
  shift
  for path in "$@"; do
    rest=${path#/}
    at=
    while [[ $rest ]]; do
      name=${rest%%/*}
      if [[ $rest == */* ]]; then rest=${rest#*/}; else rest=; fi
      [[ $name && $name != . ]] || continue
      if [[ $name == .. ]]; then
        at=${at%/*}
        continue
      fi
      at+=/$name
      if [[ -L $at ]]; then
        [[ -L $tree$at ]] || cp -a "$at" "$tree$at"
        target=$(readlink "$at")
        if [[ $target == /* ]]; then at=; else at=${at%/*}; fi
        rest=${target#/}${rest:+/$rest}
      elif [[ $rest && ! -d $tree$at ]]; then
        mkdir "$tree$at"
      fi
    done
    if [[ ! -e $tree$at || -d $tree$at ]]; then
      mkdir -p "$tree${at%/*}"
      cp -a --reflink=auto --no-target-directory "$at" "$tree$at"
    fi
  done
}

# stage_tree TREE PATH...: as stage, and what links below PATHs lead to.
stage_tree() {
  local tree=$1 link
  shift
  stage "$tree" "$@"
  while IFS= read -r -d '' link; do
    stage "$tree" "$link"
  done < <(find -H "$@" -type l -exec test -e {} \; -print0)
}

# make_image TREE FILE: a file system of TREE. Its size is one of few, since a saved state knows its disks' sizes.
make_image() {
  local used size=2048
  used=$(du -sm --apparent-size "$1" | cut -f 1)
  while ((used * 10 / 9 + 64 > size)); do
    size=$((size * 2))
  done
  rm -f "$2"
  truncate -s "${size}M" "$2"
  mke2fs -q -F -t ext4 -b 4096 -m 0 -O ^has_journal,^resize_inode -E root_owner=0:0,lazy_itable_init=1 \
    -N $(($(find "$1" | wc -l) + 4096)) -d "$1" "$2" ||
    die -125 "mke2fs failed: see its message above"
}

# The programs of the project that the lab should be able to run, for their libraries.
project_programs() {
  local dir
  for dir in "$root/build/host" "$root/build/asan"; do
    if [[ -d $dir ]]; then
      find "$dir" -name '*.p' -prune -o -type f -perm -u+x -print
    fi
  done
}

# What dom1 loads only when it unpacks a kernel: no list of libraries has it, but its name is in the program.
loaded_libraries() {
  local name
  name=$(grep -a -o -m 1 'libarchive\.so\.[0-9]*' "$root/build/host/dom1" | head -n 1) || return 0
  ldconfig -p | sed -n "s/^[[:space:]]*${name//./\\.} (.*x86-64.*) => //p" | head -n 1
}

# Sets base_files: tools, and libraries of tools and of the project.
list_base() {
  local tool path programs
  mapfile -t base_files < <(loaded_libraries)
  for tool in "${lab_tools[@]}"; do
    path=$(PATH=$PATH:/usr/sbin:/sbin type -P "$tool") && base_files+=("$path")
  done
  # Debian's own Python, whatever else PATH has.
  for path in /usr/lib/*/nbdkit /usr/bin/python3 /usr/lib/python3 /usr/lib/python3.* /usr/lib/locale/C.utf8 /lib/terminfo; do
    [[ ! -e $path ]] || base_files+=("$path")
  done
  mapfile -t programs < <(project_programs)
  mapfile -t -O "${#base_files[@]}" base_files < <(libraries "${base_files[@]}" "${programs[@]}")
}

# Finding libraries takes a moment: the list is kept for as long as no program changed.
base_key() {
  local programs cache
  mapfile -t programs < <(project_programs)
  # Sizes and times of the programs, and of the folder where apt notes what is installed.
  programs_key=$({
    cat "$scripts/lib/lab-image.sh"
    identity /var/lib/dpkg/status /dev/null "${programs[@]}"
  } | hash)
  cache=$lab_dir/libraries-$programs_key
  if [[ -e $cache ]]; then
    mapfile -t base_files <"$cache"
  else
    list_base
    printf '%s\n' "${base_files[@]}" >"$run_dir/libraries"
    publish "$run_dir/libraries" libraries "$programs_key"
  fi
  {
    cat "$scripts/lib/lab-image.sh"
    find -L "$deps/guest" "${base_files[@]}" -printf '%p %s %T@\n'
  } | hash
}

make_base() {
  local tree=$run_dir/base applet
  mkdir -p "$tree"/{proc,sys,dev,run,tmp,root,home,mnt,opt,srv,var,etc,usr/bin,usr/sbin,usr/lib,usr/lib64}
  chmod 1777 "$tree/tmp"
  for applet in bin sbin lib lib64; do
    ln -s "usr/$applet" "$tree/$applet"
  done
  ln -s ../run "$tree/var/run"
  ln -s ../tmp "$tree/var/tmp"
  stage "$tree" "${base_files[@]}"
  cp "$(command -v busybox)" "$tree/usr/bin/busybox"
  for applet in $(busybox --list); do
    [[ -e $tree/usr/bin/$applet || -L $tree/usr/bin/$applet || -e $tree/usr/sbin/$applet ]] ||
      ln -s busybox "$tree/usr/bin/$applet"
  done
  # Where Debian's xen-utils has it.
  mkdir -p "$tree/usr/lib/xen-4.17/boot"
  cp -L "$deps/guest/xen-shim" "$tree/usr/lib/xen-4.17/boot/xen-shim"
  stage_tree "$tree" "$deps/guest"
  printf '%s\n' 'root:x:0:0:root:/tmp:/bin/bash' 'nobody:x:65534:65534:nobody:/:/bin/false' >"$tree/etc/passwd"
  printf '%s\n' root:x:0: tty:x:5: nogroup:x:65534: >"$tree/etc/group"
  printf '%s\n' '127.0.0.1 localhost lab' >"$tree/etc/hosts"
  printf '%s\n' 'passwd: files' 'group: files' 'hosts: files' >"$tree/etc/nsswitch.conf"
  printf '%s\n' lab >"$tree/etc/hostname"
  ln -s /proc/mounts "$tree/etc/mtab"
  make_image "$tree" "$run_dir/base.new"
  rm -rf "$tree"
}

# The project's files, NUL-separated, relative to its root: no history, objects, archives or earlier labs.
project_files() {
  (cd "$root" && find . \( -path ./.git -o -path './build/*' ! -path ./build/host ! -path './build/host/*' \
    ! -path ./build/asan ! -path './build/asan/*' \
    -o -name '*.p' -path './build/*' -o -name meson-private -o -name meson-logs -o -name __pycache__ \) -prune \
    -o "$@")
}

payload_key() {
  {
    cat "$scripts/lib/lab-image.sh"
    printf '%s\n' "$root" "${with[@]}" "${base_files[@]}"
    # A folder's time changes with what happens to things that are not taken.
    project_files ! -type d -printf '%p %l %s %T@ %m\n'
    if ((${#with[@]})); then
      find -H "${with[@]}" -printf '%p %l %s %T@ %m\n'
    fi
  } | hash
}

make_payload() {
  local tree=$run_dir/payload file
  mkdir -p "$tree"
  mkdir -p "$tree/tmp" "$tree$root"
  project_files -print0 | (cd "$root" && cpio -0 -pdm --quiet "$tree$root")
  if ((${#with[@]})); then
    local programs libs
    # Merged folders of the base stay links under what is added.
    for file in bin sbin lib lib64; do
      ln -s "usr/$file" "$tree/$file"
    done
    mkdir -p "$tree"/usr/{bin,sbin,lib,lib64}
    stage_tree "$tree" "${with[@]}"
    mapfile -t programs < <(find -H "${with[@]}" -type f \( -perm -u+x -o -name '*.so*' \))
    mapfile -t libs < <(libraries "${programs[@]}" | grep -vxFf <(printf '%s\n' "${base_files[@]}"))
    stage "$tree" "${libs[@]}"
  fi
  chmod 1777 "$tree/tmp"
  make_image "$tree" "$run_dir/payload.new"
  rm -rf "$tree"
}

# obtain KIND KEY: links image KIND-KEY to $run_dir/KIND, made by make_KIND if it is not there.
obtain() {
  if ! ln "$lab_dir/$1-$2" "$run_dir/$1.image" 2>/dev/null; then
    "make_$1"
    ln "$run_dir/$1.new" "$run_dir/$1.image"
    publish "$run_dir/$1.new" "$1" "$2"
  fi
  touch -c "$run_dir/$1.image"
}
