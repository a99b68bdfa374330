#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deps - install the Debian packages that osier builds and tests with, if any is missing. `deps.sh bench` adds the peers.
set -eu
build="gcc make meson ninja-build pkg-config protobuf-c-compiler libprotobuf-c-dev libuv1-dev libsqlite3-dev zlib1g-dev
libmicrohttpd-dev libssl-dev libsodium-dev libsecp256k1-dev libcurl4-openssl-dev libjansson-dev libyaml-dev libgmp-dev libcmocka-dev"
check="clang-14 clang-tidy-14 clang-format-14 llvm-14 libclang-rt-14-dev libmpfr-dev curl jq python3 python3-yaml strace tmux libfaketime python3-opentimestamps dpkg-dev man-db mandoc zsh"
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
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 ||
	{ $sudo apt-get update -qq && $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null; }
