#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deps - install the Debian packages that osier builds and tests with, if any is missing. `deps.sh bench` adds the peers.
set -eu
build="gcc make meson ninja-build pkg-config protobuf-c-compiler libprotobuf-c-dev libuv1-dev libsqlite3-dev zlib1g-dev
libmicrohttpd-dev libgnutls28-dev libssl-dev libsodium-dev libsecp256k1-dev libcurl4-openssl-dev libpq-dev libmosquitto-dev mosquitto libjansson-dev libyaml-dev libgmp-dev libcmocka-dev"
check="clang-14 clang-tidy-14 clang-format-14 llvm-14 libclang-rt-14-dev libmpfr-dev curl jq python3 python3-yaml strace tmux libfaketime python3-opentimestamps dpkg-dev man-db mandoc zsh postgresql openssh-client openssh-server openmpi-bin libopenmpi-dev"
bench="parallel gearman-job-server gearman-tools libgearman-dev python3-distributed"
want="$build"
[ "${1:-}" = check ] && want="$want $check"
[ "${1:-}" = bench ] && want="$want $bench"
missing=
for p in $want; do
	case "$(dpkg-query -W -f='${Status}' "$p" 2>/dev/null)" in
	"install ok installed") ;;
	*) missing="$missing $p" ;;
	esac
done
[ -z "$missing" ] && exit 0
sudo=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "deps: missing:$missing; install them as root, or install sudo" >&2; exit 1; }
	sudo=sudo
fi
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# Tests start PostgreSQL servers of their own: nothing is to be up here because of us.
case "$missing" in
*postgresql*)
	[ -e /etc/postgresql-common/createcluster.conf ] || {
		$sudo mkdir -p /etc/postgresql-common
		printf 'create_main_cluster = false\n' | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
	}
	;;
esac
# A hub runs a mosquitto of its own, and tests an sshd: those that Debian's packages would start, now or at the next boot, are not wanted. Who
# had them keeps them.
quiet=
case "$missing " in *" mosquitto "*|*" openssh-server "*)
	quiet=/usr/sbin/policy-rc.d
	if [ -e "$quiet" ]; then quiet=; else
		printf '#!/bin/sh\nexit 101\n' | $sudo tee "$quiet" >/dev/null
		$sudo chmod 755 "$quiet"
		trap '$sudo rm -f "$quiet"' EXIT
	fi ;;
esac
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 ||
	{ $sudo apt-get update -qq && $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null; }
for daemon in mosquitto:mosquitto openssh-server:ssh; do
	case "$missing " in *" ${daemon%:*} "*)
		if command -v update-rc.d >/dev/null; then $sudo update-rc.d "${daemon#*:}" disable >/dev/null 2>&1 || true; fi ;;
	esac
done
