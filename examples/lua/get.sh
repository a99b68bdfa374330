#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# get.sh PACKAGE FOLDER - the source of a Debian package, unpacked into FOLDER, without touching the machine's own list of
# sources: the lists are made and kept beside FOLDER. Does nothing when FOLDER is there.
set -eu
package=$1 folder=$2
[ -d "$folder" ] && exit 0
case $folder in /*) ;; *) folder=$PWD/$folder ;; esac # apt takes other paths to be below /etc/apt
lists=$folder.apt
mkdir -p "$lists/state/lists/partial" "$lists/cache/archives/partial" "$lists/out"
# Where this machine gets its packages from, it can get their sources from.
apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u |
	grep ' main$' | while read -r uri release component; do
	echo "deb-src $uri ${release:-stable} $component"
done >"$lists/sources.list"
options="-o Dir::Etc::sourcelist=$lists/sources.list -o Dir::Etc::sourceparts=- -o Dir::State::Lists=$lists/state/lists
-o Dir::Cache=$lists/cache -o APT::Sandbox::User="
# shellcheck disable=SC2086
apt-get $options update -qq
# shellcheck disable=SC2086
(cd "$lists/out" && apt-get $options source -qq --download-only "$package")
mkdir "$folder.new"
tar -C "$folder.new" --strip-components=1 -xf "$(ls "$lists"/out/*.orig.tar.* | grep -v '\.asc$' | head -n 1)"
mv "$folder.new" "$folder"
