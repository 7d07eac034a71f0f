# The newcomer's commands; the work is done by scripts/ and meson. `make` alone prints what there is.
# SPDX-License-Identifier: Apache-2.0

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
# Passed to the script behind a target: `make bench ARGS=--json`, `make check ARGS="names opencl"`.
ARGS ?=
# Seconds for each target of `make fuzz`.
TIME ?= 60

.DEFAULT_GOAL := help
.PHONY: help setup setup-clients build isapop demo check soak check-clients bench fuzz lint format deb guest-package install clean

help: ## this list
	@echo 'usage: make TARGET [ARGS="..."]'
	@echo
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/  \1|\2/p' Makefile | while IFS='|' read -r target text; do \
		printf '  %-15s %s\n' "$$target" "$$text"; done
	@echo
	@echo 'On Debian 12 each sets up what it needs, but build, format and install: these expect `make setup` once.'

setup: ## install the Debian packages to build and check with, those missing only
	@scripts/setup build check

setup-clients: ## the same for the full list of clients (some 3 GB)
	@scripts/setup build check clients

build: ## compile everything into build/
	@scripts/build $(BUILD)

isapop: ## compile isapop, which instructions matter (isa/): build-isapop/isa/isapop --help
	@scripts/build build-isapop -Disapop=enabled --targets isa/isapop

demo: ## set up, build, and run an OpenCL program natively and under Hira, side by side
	@scripts/setup build demo
	@scripts/demo $(ARGS)

check: ## set up and run the short form of every test; ARGS="GROUP..." for some (scripts/check --list)
	@scripts/setup build check
	@scripts/check $(ARGS)

soak: ## every test with its full counts; goes on where it was interrupted
	@scripts/setup build check clients
	@scripts/check --soak $(ARGS)

check-clients: ## compare every unmodified client, natively and under Hira; goes on where it was interrupted
	@scripts/setup build check clients
	@scripts/check --clients $(ARGS)

bench: ## time Hira against native, each number beside its physical limit (ARGS="--json FILE")
	@scripts/setup build check
	@scripts/build $(BUILD)
	@python3 bench/run.py --builddir $(BUILD) $(ARGS)
	@python3 bench/policy.py --builddir $(BUILD)

fuzz: ## fuzz what reads untrusted bytes, TIME seconds for each reader (ARGS="TARGET..." for some)
	@scripts/setup build fuzz
	@fuzz/run -t $(TIME) $(ARGS)

lint: ## clang-tidy over src, shellcheck over scripts, the rule on names, the layout
	@scripts/setup build check
	@scripts/lint $(ARGS)

format: ## lay the C sources out as .clang-format says
	@scripts/format --write $(ARGS)

deb: ## make Debian packages, in build-deb/
	@scripts/setup build deb
	@scripts/deb $(ARGS)

guest-package: build ## what a virtual machine needs of Hira, in build-guest/: a .tar.gz and a .deb
	@scripts/guest-package $(BUILD)

install: build ## install below PREFIX (default /usr/local), or below DESTDIR
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@DESTDIR='$(DESTDIR)' meson install -C $(BUILD)

clean: ## remove the build folders
	rm -rf build build-*
