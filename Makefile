# slotsync. `make help` says what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
BIN ?= bin/slotsync
IMAGE ?= bin/slotsync.oci.tar
FUZZTIME ?= 10s
TIMEOUT ?= 20m
BENCH ?= .
PACKAGES ?= ./...
SEEDS ?= 20000
SEED ?= 1

# A program with the race detector waits 1 s at its end, for goroutines that may still race; the tests run hundreds of commands.
export GORACE ?= atexit_sleep_ms=50

# When the sources were changed last: what is packaged has this time.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

# The same bytes from the same sources, in whatever folder they lie. The version carries what -buildvcs would.
build_flags = -trimpath -buildvcs=false -ldflags '-s -w -buildid= -X main.version=$(VERSION)'
lint_tool = go tool -modfile=tools/lint/go.mod
release_tool = go tool -modfile=tools/release/go.mod

.PHONY: help deps deps-demo build image demo test test-container test-nomad test-long packages release test-systemd test-packages simulate mutate lint fuzz bench clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

deps: ## unpack HAProxy 2.6, 3.0, 3.2, 3.4, Consul and three DNS servers, promtool into .cache/deps
	@tools/deps.sh

deps-demo: # the demo needs one HAProxy and no C compiler
	@tools/deps.sh haproxy-2.6

build: ## bin/slotsync, one static file
	CGO_ENABLED=0 go build $(build_flags) -o $(BIN) ./cmd/slotsync

image: build ## bin/slotsync.oci.tar, an image FROM scratch, without a daemon; the same bytes from the same sources
	go run -C tools/image . -binary $(abspath $(BIN)) -o $(abspath $(IMAGE)) -arch $$(go env GOARCH) -version $(VERSION)

demo: deps-demo build ## the main job in under a minute, with two real HAProxies
	@$(BIN) demo

test: deps ## go vet and every test, with the race detector and the real HAProxy, Consul and DNS servers
	go vet ./...
	@tools/test.sh $(TIMEOUT)

test-container: deps image ## the pod of examples/sidecar under load, by podman, as root; its manifest against the schema
	@tools/deps.sh podman
	go run -C tools/manifest . $(abspath examples/sidecar/kubernetes.yaml)
	SLOTSYNC_CONTAINER=1 go test -count 1 -timeout 10m -run '^(TestImage|TestContainer)$$' -v ./cmd/slotsync

test-nomad: deps build ## the jobs of examples/nomad* under load on a Nomad and a Consul with ACLs, as root; builds Nomad first, for minutes
	@tools/build-nomad.sh
	SLOTSYNC_NOMAD=1 go test -count 1 -timeout 20m -run '^TestNomad$$' -v ./cmd/slotsync

test-long: deps ## the same with the long variants
	SLOTSYNC_LONG=1 SLOTSYNC_SEEDS=100 tools/test.sh 60m
	$(MAKE) simulate
	$(MAKE) test-nomad
	go run ./tools/mutate -tests

packages: build ## .deb, .rpm and .apk in bin/packages, for this architecture or $GOARCH
	@rm -rf bin/packages
	@tools/packaging/build.sh $(BIN) $(VERSION) bin/packages

release: ## what a release has, in bin/release: programs, packages, what they are made of (SBOM) and checksums
	@rm -rf bin/release
	@for arch in amd64 arm64; do \
		GOARCH=$$arch $(MAKE) -s build BIN=bin/release/slotsync-linux-$$arch; \
		GOARCH=$$arch tools/packaging/build.sh bin/release/slotsync-linux-$$arch $(VERSION) bin/release; \
		$(release_tool) cyclonedx-gomod bin -json -noserial -notimestamp -version $(VERSION) -output bin/release/slotsync-linux-$$arch.cdx.json bin/release/slotsync-linux-$$arch 2>/dev/null; \
	done
	@cd bin/release && sha256sum * >SHA256SUMS

test-systemd: deps ## the unit of examples/systemd, on a machine that is booted for it; as root
	SLOTSYNC_MACHINE=1 go test -count=1 -timeout $(TIMEOUT) -run TestSystemd ./tools/packaging

test-packages: deps ## the packages: what they hold, and installing, upgrading and removing them on such a machine; as root
	SLOTSYNC_MACHINE=1 go test -count=1 -timeout $(TIMEOUT) -run TestPackage ./tools/packaging

simulate: ## SEEDS (20000) seeds of the simulation in each mode, from SEED (1) on; says what they reached
	@tools/simulate.sh $(SEED) $(SEEDS) cover

mutate: deps ## break each safety rule in turn: a test has to fail; writes docs/proof.md
	go run ./tools/mutate -write docs/proof.md

lint: ## gofmt, go vet, staticcheck, deadcode; a linter of OpenAPI
	@unformatted=$$(gofmt -l $$(find . -name '*.go' -not -path './.cache/*')); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	$(lint_tool) staticcheck ./...
	go run -C tools/oapi ./lint $(abspath agent/web/openapi.json)
	@dead=$$($(lint_tool) deadcode -test ./...); \
	if [ -n "$$dead" ]; then echo "$$dead"; exit 1; fi

fuzz: ## every fuzz target for FUZZTIME (10s) each
	@tools/fuzz.sh $(FUZZTIME)

bench: deps ## every benchmark once, the speed against two scripts among them
	go test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 30m $(PACKAGES)

clean: ## remove bin; .cache/deps stays
	rm -rf bin
