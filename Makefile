# Holdfast. `make` alone lists the targets.
include .ci/tools

GO    ?= go
BUILD := build
# The state of version control is not stamped: a clone that belongs to another user must build, too.
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false)

# Fyne is compiled with one set of flags only and never with -race: every other set costs four more minutes.
GUI := ./app/window ./cmd/holdfast ./cmd/lab/screenshots
# Everything else, without the end-to-end tests. Listing needs cgo or the windows would be missing.
REST = $(filter-out $(patsubst ./%,holdfast/%,$(GUI)) holdfast/cmd/e2e holdfast/cmd/e2e/clients,$(shell CGO_ENABLED=1 $(GO) list ./...))

.PHONY: help run demo build package package-check package-test packages test check unit gui e2e clients fuzz soak bench bench-parts screenshots install lint clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: programs tray ## a private server and companion, one real upload through the relay; stays until Ctrl-C
	@$(BUILD)/demo -dir $(BUILD)/run -bin $(BUILD) -stay

demo: programs tray ## the same, and ends: exit code 0 if the downloaded bytes are identical
	@$(BUILD)/demo -dir $(BUILD)/run -bin $(BUILD)

.PHONY: programs tray
programs:
	@echo "Building holdfast-server, holdfastctl and the demo into $(BUILD)/. The first time this fetches Go modules and takes a few minutes."
	@mkdir -p $(BUILD)
	@CGO_ENABLED=0 $(GO) build -o $(BUILD)/ ./cmd/holdfast-server ./cmd/holdfastctl ./cmd/lab/demo

# The tray needs a display to show itself and C headers to be built; without either the companion runs headless.
tray:
	@rm -f $(BUILD)/holdfast
	@if [ -z "$$DISPLAY$$WAYLAND_DISPLAY" ]; then :; \
	elif .ci/install gui; then echo "Building the tray (four minutes the first time)."; $(GO) build -o $(BUILD)/holdfast ./cmd/holdfast; \
	else echo "Going on without the tray."; fi

build: ## all programs into build/
	@mkdir -p $(BUILD)
	CGO_ENABLED=0 $(GO) build -o $(BUILD)/ ./cmd/holdfast-server ./cmd/holdfastctl
	@.ci/install gui
	$(GO) build -o $(BUILD)/holdfast ./cmd/holdfast

PACKAGES ?= server desktop

package: ## Debian packages and rpm of holdfast-server and holdfast into build/packages
	@case "$(PACKAGES)" in *desktop*) .ci/install gui ;; esac
	@packaging/build $(BUILD)/packages $(PACKAGES)

package-check: package ## lintian and the like on them, and that two builds are identical (FULL=1: from an empty cache)
	@.ci/install package
	@packaging/check $(BUILD)/packages $(PACKAGES)

package-test: package ## the server package in a clean Debian 12: install, upload, upgrade, remove, purge (root, network)
	@.ci/install test package
	HOLDFAST_PACKAGES=$(abspath $(BUILD)/packages) $(GO) test -count=1 -timeout 20m ./cmd/e2e/packages

packages: ## the packages of the server, built twice and tried in a clean Debian (root, network)
	@$(MAKE) --no-print-directory package-check PACKAGES=server
	@[ "$$(id -u)" != 0 ] || $(MAKE) --no-print-directory package-test PACKAGES=server

# Every lane runs, also after one has failed, so that one run tells everything.
LANES := check fuzz unit gui e2e clients packages

test: ## installs what is missing, then check, short fuzzing and every test
	@$(MAKE) --no-print-directory install
	@failed=; for lane in $(LANES); do \
		begun=$$(date +%s); \
		$(MAKE) --no-print-directory $$lane || failed="$$failed $$lane"; \
		echo "lane $$lane took $$(($$(date +%s) - begun)) s"; \
	done; \
	[ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

# Without the packages a developer's tests are skipped, one by one and with the reason; CI stops here.
install:
	@.ci/install gui test screen clients || { [ -z "$$CI" ] && echo "Going on; tests that need them are skipped."; }

check: lint ## format, vet, lint, import arrows
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo "gofmt: run gofmt -w on the files above"; exit 1; }
	$(GO) vet ./...
	$(GO) test .

lint:
	$(GO) run $(GOLANGCI_LINT) run ./...

unit: ## every package but the windows and the end-to-end tests, with the race detector
	$(GO) test -race -timeout 20m $(REST)

gui: ## the windows and the tray, on a screen of their own
	$(GO) test -p 1 -timeout 20m $(GUI)
	@if [ "$$(id -u)" = 0 ]; then mkdir -p $(BUILD) && $(GO) run ./cmd/lab/screenshots -out $(BUILD)/screenshots; \
	else echo "Without root the tray is not tried on a real panel."; fi

e2e: ## real XMPP servers, clients and curl against the programs (root)
	$(GO) test -count=1 -timeout 20m ./cmd/e2e

clients: ## the real Gajim, Dino and Chromium in windows on a private screen, pictures in build/clients (root)
	$(GO) test -count=1 -timeout 20m ./cmd/e2e/clients

fuzz: ## every fuzz test for FUZZTIME (5s)
	@.ci/fuzz $(or $(FUZZTIME),5s)

soak: ## the long runs: a minute of fuzzing each, a thousand kills
	@$(MAKE) --no-print-directory install
	HOLDFAST_SOAK=1 $(GO) test -count=1 -timeout 120m $(REST)
	HOLDFAST_SOAK=1 $(GO) test -count=1 -timeout 60m ./cmd/e2e
	@$(MAKE) --no-print-directory fuzz FUZZTIME=60s

# BENCHFLAGS=-short takes two minutes and leaves the disk and docs/performance.md alone.
bench: programs ## the benchmark tables beside nginx, into docs/performance.md (ten minutes; root)
	@.ci/install test || echo "Going on with what is there."
	@CGO_ENABLED=0 $(GO) build -o $(BUILD)/measure ./cmd/lab/bench
	@$(BUILD)/measure -bin $(BUILD) -dir $(BUILD)/bench -doc docs/performance.md $(BENCHFLAGS)

bench-parts: ## the benchmarks of single packages
	$(GO) test -run '^$$' -bench . -benchmem ./relay/... ./app/agent ./detect/network

screenshots: ## takes the pictures in docs/screenshots again
	@.ci/install gui screen
	$(GO) run ./cmd/lab/screenshots

clean: ## removes build/
	rm -rf $(BUILD)
