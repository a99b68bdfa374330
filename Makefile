# SPDX-License-Identifier: Apache-2.0
# All a newcomer types: `make run`, `make check`. Everything else is meson and ninja underneath.
B ?= build
export CC ?= gcc

all: $(B)/build.ninja
	@ninja -C $(B) -n | grep -q 'no work to do' || \
		if [ -t 1 ] || [ -n "$(V)" ]; then ninja -C $(B); else ninja -C $(B) --quiet; fi

$(B)/build.ninja: | deps
	@meson setup $(B) >/dev/null

# Debian packages that are missing are installed (as root or with sudo); nothing is fetched when all are there.
deps:
	@tools/deps.sh

run: all
	@$(B)/osier run examples/pi/pi.yaml
	@$(B)/osier receipt last/report/0 -o $(B)/pi.tlog-proof
	@echo 'its receipt: $(B)/pi.tlog-proof'

check: all
	@tools/check.sh

bench: all
	@tools/deps.sh bench
	@bench/run.sh $(ONLY)

# A fleet in network namespaces while everything fails, for an hour (SOAK_S=N: for N seconds), and ten gigabytes from a node that means ill. As root.
soak: all
	@FLOOD_MIB=10240 BUILD=$(B) test/e2e/hub_hostile.sh
	@SOAK_S=$${SOAK_S:-3600} test/fleet/test_soak.sh

install: all
	@meson install -C $(B) --no-rebuild

# What the last `make install` of this build folder wrote.
uninstall:
	@ninja -C $(B) uninstall

clean:
	@rm -rf build build-*

.PHONY: all deps run check soak bench install uninstall clean
