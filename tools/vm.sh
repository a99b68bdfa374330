#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm - run a command in a clone of this repository's HEAD, on a Debian 12 machine that has seen nothing of osier: systemd, cgroup v2
# with every controller, and of packages only git, make and sudo. Not a test: it shows what the machine at hand may hide.
#
#	tools/vm.sh [--user|--root] [--offline] [--disk NAME] [--chroot] [COMMAND...]
#
# COMMAND is a shell command (none: a login shell); its output comes as it is written and its exit status is ours. It runs in ~/osier
# as the user 'osie', who has sudo, or as root. The machine's disk is thrown away with it, unless --disk names one to keep: then a
# second run finds what the first left, clone included. --offline: the machine has no network but our way in. --chroot: not a virtual
# machine but the same bare Debian in namespaces, on this kernel and without systemd: quick where KVM is not to be had.
# The image is built once, in $OSIER_VM (by default a folder in ~/.cache), from where this machine's apt gets bookworm, in two minutes.
# OSIER_VM_CPUS and OSIER_VM_MIB (2, 4096) size the machine; OSIER_VM_ACCEL=tcg emulates it, ten times slower, where KVM fails.
# Wants: qemu-system-x86, qemu-utils, debootstrap, openssh-client, and root or sudo.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${OSIER_VM:-${XDG_CACHE_HOME:-$HOME/.cache}/osier-vm}
who=osie net=user disk= kind=vm
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
while [ $# -gt 0 ]; do
	case $1 in
	--user) who=osie ;;
	--root) who=root ;;
	--offline) net=user,restrict=on ;;
	--disk) disk=$2 && shift ;;
	--chroot) kind=chroot ;;
	--help | -h) sed -n '3,/^[^#]/s/^# \{0,1\}//p' "$0" && exit ;;
	--) shift && break ;;
	-*) echo "vm: there is no option '$1'; tools/vm.sh --help" >&2 && exit 2 ;;
	*) break ;;
	esac
	shift
done
for tool in qemu-system-x86_64 qemu-img debootstrap ssh ssh-keygen; do
	PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null ||
		{ echo "vm: no '$tool'; apt-get install qemu-system-x86 qemu-utils debootstrap openssh-client" >&2 && exit 1; }
done

# The image: as small as Debian can be and still boot, be reached, and `git clone`.
image() {
	local root=$cache/root.new sources base
	sources=$(apt-get indextargets --format '$(CREATED_BY) $(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' |
		awk '$1 == "Packages" && $2 == "Debian" && $4 ~ /^bookworm/ { print "deb", $3, $4, $5 }' | sort -u)
	base=$(awk '$3 == "bookworm" { print $2; exit }' <<<"$sources")
	[ -n "$base" ] || { echo "vm: this machine's apt knows no bookworm" >&2 && return 1; }
	rm -rf "$root"
	debootstrap --variant=minbase --include=systemd-sysv,udev,dbus,libpam-systemd,sudo,git,make,ca-certificates,iproute2,openssh-server,linux-image-cloud-amd64 \
		bookworm "$root" "$base"
	printf '%s\n' "$sources" >"$root/etc/apt/sources.list"
	apt-config dump | grep -E '^(Acquire::(http|https)::Proxy|Acquire::Check-(Date|Valid-Until)) ' >"$root/etc/apt/apt.conf.d/99host" || :
	echo osie-vm >"$root/etc/hostname"
	printf '127.0.0.1 localhost\n127.0.1.1 osie-vm\n' >"$root/etc/hosts"
	echo 'nameserver 10.0.2.3' >"$root/etc/resolv.conf"
	printf '/dev/vda / ext4 defaults 0 1\n' >"$root/etc/fstab"
	printf '[Match]\nName=en* eth*\n[Network]\nDHCP=ipv4\n' >"$root/etc/systemd/network/all.network"
	chroot "$root" systemctl -q enable systemd-networkd
	chroot "$root" useradd -m -s /bin/bash osie
	echo 'osie ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/osie"
	for home in root home/osie; do
		install -d -m 700 "$root/$home/.ssh"
		cp "$cache/key.pub" "$root/$home/.ssh/authorized_keys"
	done
	chroot "$root" chown -R osie: /home/osie
	echo 'UseDNS no' >>"$root/etc/ssh/sshd_config"
	chroot "$root" apt-get clean
	rm -rf "$cache/root" "$cache"/*.qcow2
	mv "$root" "$cache/root"
}

# The same as a disk to boot from.
disk_image() {
	cp "$cache"/root/boot/vmlinuz-* "$cache/vmlinuz"
	cp "$cache"/root/boot/initrd.img-* "$cache/initrd"
	rm -f "$cache/new.img"
	truncate -s 24G "$cache/new.img"
	mkfs.ext4 -q -d "$cache/root" "$cache/new.img"
	qemu-img convert -O qcow2 "$cache/new.img" "$cache/base.qcow2.new"
	rm -f "$cache/new.img"
	chown "$OWNER" "$cache/vmlinuz" "$cache/initrd" "$cache/base.qcow2.new"
	mv "$cache/base.qcow2.new" "$cache/base.qcow2"
}
made() { # FILE FUNCTION: the function makes the file, as root, unless it is there
	[ ! -e "$1" ] || return 0
	echo "vm: making $1" >&2
	$sudo env cache="$cache" OWNER="$(id -u):$(id -g)" PATH="$PATH:/usr/sbin" bash -euo pipefail -c "$(declare -f "$2"); $2" >"$cache/$2.log" 2>&1 ||
		{ tail -20 "$cache/$2.log" >&2 && echo "vm: the whole story is in $cache/$2.log" >&2 && exit 1; }
}

# In namespaces: the tree with an overlay over it. What runs there ends with this command, or with us.
in_chroot() {
	local upper=$T/upper flags=(--mount --pid --fork --uts --ipc --kill-child)
	[ -z "$disk" ] || upper=$cache/$disk.upper
	[ "$net" = user ] || flags+=(--net)
	$sudo mkdir -p "$upper/tree" "$upper/work" "$T/root"
	$sudo env cache="$cache" upper="$upper" T="$T" who="$who" PATH="$PATH:/usr/sbin:/sbin" unshare "${flags[@]}" bash -euo pipefail -c '
		mount -t overlay overlay -o "lowerdir=$cache/root,upperdir=$upper/tree,workdir=$upper/work" "$T/root"
		mount --rbind /sys "$T/root/sys"
		mount -t proc proc "$T/root/proc"
		mount --rbind /dev "$T/root/dev"
		mount -t tmpfs -o mode=1777 tmpfs "$T/root/dev/shm"
		mount -t tmpfs -o mode=755 tmpfs "$T/root/run"
		cp /etc/resolv.conf "$T/root/etc/resolv.conf"
		hostname osie-vm
		ip link set lo up 2>/dev/null || :
		home=$(awk -F: -v who="$who" "\$1 == who { print \$6 }" "$T/root/etc/passwd")
		[ -d "$T/root$home/osier" ] || {
			cp "$T/bundle" "$T/root/tmp/bundle"
			chroot "$T/root" su - "$who" -c "git clone -q -c advice.detachedHead=false /tmp/bundle osier"
		}
		chroot "$T/root" su - "$who" -c "cd osier && $1" || exit $? # bash stays: what loses its parent has one that waits for it
		' - "${*:-exec bash -l}"
}

mkdir -p "$cache"
[ -f "$cache/key" ] || ssh-keygen -q -t ed25519 -N '' -C osier-vm -f "$cache/key"
made "$cache/root" image
T=$(mktemp -d)
trap 'kill "$(cat "$T/pid" 2>/dev/null)" 2>/dev/null || :; $sudo rm -rf "$T"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
git bundle create -q "$T/bundle" HEAD
if [ "$kind" = chroot ]; then
	in_chroot "$@"
	exit
fi
made "$cache/base.qcow2" disk_image

# The machine.
overlay=$T/disk
[ -z "$disk" ] || overlay=$cache/$disk.qcow2
[ -f "$overlay" ] || qemu-img create -q -f qcow2 -b "$(realpath "$cache/base.qcow2")" -F qcow2 "$overlay"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' 2>/dev/null || echo $((20000 + $$ % 20000)))
qemu-system-x86_64 -machine q35,accel="${OSIER_VM_ACCEL:-kvm:tcg}" -cpu max,la57=off -smp "${OSIER_VM_CPUS:-2}" -m "${OSIER_VM_MIB:-4096}" \
	-kernel "$cache/vmlinuz" -initrd "$cache/initrd" -append 'root=/dev/vda rw console=ttyS0 mitigations=off' \
	-drive "file=$overlay,if=virtio,format=qcow2,cache=unsafe,discard=unmap" -nic "$net,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:$port-:22" \
	-device virtio-rng-pci -display none -serial "file:$T/console" -daemonize -pidfile "$T/pid"
reach() { # USER SSH-ARGUMENT...
	local user=$1
	shift
	ssh -q -i "$cache/key" -p "$port" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes "$user@127.0.0.1" "$@"
}
while :; do
	reach root -o ConnectTimeout=10 systemctl is-system-running --wait >/dev/null 2>&1 </dev/null && break
	[ $? = 255 ] || break # "degraded" is up, too; 255 is ssh's own
	[ $SECONDS -lt 300 ] || { tail -20 "$T/console" >&2 && echo "vm: the machine does not answer" >&2 && exit 1; }
	sleep 0.5
done

reach "$who" 'test -d osier' </dev/null || {
	reach "$who" 'cat >.bundle && git clone -q -c advice.detachedHead=false .bundle osier && rm .bundle' <"$T/bundle"
}
status=0
if [ $# = 0 ]; then reach "$who" -t 'cd osier && exec bash -l' || status=$?
else reach "$who" "cd osier && $*" || status=$?; fi
[ -z "$disk" ] || { reach root 'sync; systemctl poweroff' </dev/null || :; while kill -0 "$(cat "$T/pid")" 2>/dev/null; do sleep 0.2; done; }
exit $status
