# What can be done with this repository; `make help` lists it. `make run` and `make build` need Go alone.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z][a-z0-9-]*\):.*/\1/p' $(lastword $(MAKEFILE_LIST)))

GO ?= go
# The newest release of Go; the library's floor is in go.mod.
NEWEST_GO := go1.27.2
# ./... covers one module, so the others of the workspace are named.
PACKAGES := ./... $(patsubst %/go.mod,./%/...,$(wildcard server/go.mod contrib/*/go.mod))
# Packages whose tests know -long: more toolchains and build modes, larger heaps, more captures.
LONG := $(addprefix ./,$(sort $(dir $(shell git grep -l --untracked 'flag.Bool."long"' -- '*_test.go' ':!tests'))))
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME ?= 5s
# Packages tested at a time: some wait more than they compute.
PARALLEL ?= 3
# How long the soak measures after its warm-up, and the seed of its load; 0 is another one each time.
SOAK ?= 10m
SEED ?= 0
# For the tests of one package; the slowest take a minute with the race detector on two busy cores.
TIMEOUT ?= 5m

help: ## list the targets
	@sed -n 's/^\([a-z][a-z0-9-]*\):.* ## \(.*\)/  \1\t\2/p' Makefile | expand -t 18

run: ## run the service on 127.0.0.1:8080
	$(GO) run ./server/cmd/memwarden serve

build: ## build bin/memwarden
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/memwarden ./server/cmd/memwarden

# --- Tests. `make test` shows all that is promised; its steps are targets of their own.

# The test cache does not know of the programs that tests build and run.
test: export FRESH := -count=1
test: ## run all steps of the test: what CI runs
	@scripts/dev/steps.sh prerequisites check-format vet shellcheck pwsh rules unit unit-newest nested cross web

prerequisites: ## install what the tests need, where that can be done
	@scripts/dev/prerequisites.sh $(NEWEST_GO)

check-format: ## fail if a Go file is not as gofmt writes it
	@scripts/dev/format.sh -l

vet: ## go vet the library and the service
	$(GO) vet $(PACKAGES)

shellcheck: ## shellcheck every shell script
	@scripts/dev/shellcheck.sh

pwsh: ## parse the PowerShell scripts and hold their commands against a list
	@scripts/dev/pwsh.sh

rules: ## test the rules of the repository: imports, modules, documents, API text
	$(GO) test -count=1 ./internal/archtest

# Some packages run once. heapzoo and chaos look from outside at programs that they build: the race detector would watch but
# the test. archtest reads files, and `rules` runs it. soak puts the parts under load for some time, which the race detector
# sees to. tests/start builds the service as users do, with the Go that they have. `vet` has looked at all of it, and at more
# than go test would.
unit: ## test the library and the service with the race detector
	@packages=$$($(GO) list $(PACKAGES) | grep -v -E '/(heapzoo|chaos|archtest)$$'); \
	$(GO) test -race -vet=off -p=$(PARALLEL) $(FRESH) -timeout=$(TIMEOUT) $$packages

# Coverage is taken here, because the race detector makes its counters five times as slow. What waits longest begins first.
unit-newest: ## test the library and the service with the newest Go; fail on low coverage
	@packages=$$($(GO) list $(PACKAGES) | grep -v -E '/(soak|tests/start)$$'); \
	scripts/dev/newest.sh $(NEWEST_GO) -p=$$(($(PARALLEL)+1)) $(FRESH) -timeout=$(TIMEOUT) ./server/tests/heapzoo ./server/tests/chaos $$packages

nested: ## vet and test the modules outside the workspace: examples, benchmarks, leaking programs
	@scripts/dev/nested.sh

cross: ## build and vet for other operating systems and processors
	@for platform in darwin/amd64 windows/amd64 linux/arm64; do \
	  echo "$$platform"; \
	  export CGO_ENABLED=0 GOOS="$${platform%/*}" GOARCH="$${platform#*/}"; \
	  $(GO) build $(PACKAGES); $(GO) vet $(PACKAGES); \
	done

web: ## check and test the browser packages: needs Node.js 20.19, and Chromium for leaks in a real browser
	@scripts/dev/web.sh

test-long: ## every toolchain and build mode, all leaking programs, shuffled repetitions with the race detector, a minute for each fuzz target
	$(GO) test -timeout=120m $(LONG) -long
	@scripts/dev/nested.sh -long
	@scripts/dev/web.sh -long
	$(GO) test -race -run '^TestSelfUnderLoad$$' -timeout=60m ./heap/capture -long
	$(GO) test -race -shuffle=on -count=5 -timeout=60m $(PACKAGES)
	@scripts/dev/fuzz.sh 1m

cover: ## show coverage; fail where it is low
	$(GO) test -cover -timeout=$(TIMEOUT) $(PACKAGES) | scripts/dev/cover.sh

fuzz: ## run each fuzz target for FUZZTIME (5s)
	@scripts/dev/fuzz.sh $(FUZZTIME)

leakzoo: ## real programs that leak, and some that only look like it: all found and named, none blamed; about six minutes
	$(GO) -C tests/leakzoo test -count=1 -timeout=60m . -long

# --- Measurements.

bench: ## measure what the documents promise, beside its goals: about six minutes
	$(GO) -C bench run .

load: ## everything that clients do, by 100 of them, on a service under 256 MiB and two processors: three minutes, and k6 to build once
	$(GO) -C bench run ./cmd/load -script memory-stress -vus 100 -duration 90s

load-full: ## the same for 30 minutes, into the performance audit report
	$(GO) -C bench run ./cmd/load -script memory-stress -vus 100 -duration 30m -report

audit: ## measure all of docs/PERFORMANCE_AUDIT_REPORT.md anew: about an hour and a half
	$(GO) -C bench run . -only all -report
	@$(MAKE) --no-print-directory bench-web
	@$(MAKE) --no-print-directory load-full
	@$(MAKE) --no-print-directory chaos

bench-memstat: ## a sample beside runtime.ReadMemStats, which stops the world
	$(GO) test -run '^$$' -bench '^Benchmark(Sample|ReadMemStats)$$' -benchmem ./memstat

bench-heap: ## heap snapshots beside WriteHeapDump and goref: about ten minutes
	$(GO) -C bench run . -only heap-capture,heap-pid,heap-analysis,heap-typing

bench-bounded: ## the parts with a bound: the cache beside otter and others, rate limiter, topics, WebSocket; about five minutes
	$(GO) -C bench run . -only cache,rate-limiter,bus,websocket

bench-leaks: ## rules for leaks beside others', in simulation: false alarms and delays; about ten minutes
	$(GO) -C bench run . -only leaks

bench-web: ## the browser packages beside react-scan, bippy, MemLens and web-vitals, in Chromium; into the performance audit report: twelve to twenty-three minutes
	@table=$$(mktemp); status=0; \
	REPORT=$$table scripts/dev/web.sh -bench && \
	$(GO) -C bench run ./cmd/report -section web -title "Browser packages beside others" <"$$table" || status=$$?; \
	rm -f "$$table"; exit "$$status"

bench-incidents: ## 20 leaking programs that the kernel kills in 1 GiB, at up to 200 MB/s: is a bundle on disk before; as root, about twenty minutes
	$(GO) test -count=1 -timeout=60m -run '^TestBundlesBeforeTheKill$$' -v . -long

bench-packages: ## the benchmarks of every package
	$(GO) test -run '^$$' -bench . -benchmem $(PACKAGES)

soak: ## all parts at their bounds for SOAK (10m) of random load, which SEED repeats: the live heap must not grow
	$(GO) test -count=1 -timeout=0 -run '^TestSoak$$' -v ./server/tests/soak -soak $(SOAK) -seed $(SEED)

# The table is written and put into the report also when a fault was not survived: it says so.
chaos: ## faults on the service under load, 50 kills on each database; writes their table into the report: about five minutes
	@table=$$(mktemp); status=0; \
	$(GO) test -count=1 -timeout=30m -v ./server/tests/chaos -long -table "$$table" || status=$$?; \
	cat "$$table"; \
	$(GO) -C bench run ./cmd/report -section chaos -title "Faults and what came of them" <"$$table" || status=$$?; \
	rm -f "$$table"; exit "$$status"

# --- Care.

lint: shellcheck ## golangci-lint, staticcheck, shellcheck, tidy go.mod files
	@scripts/dev/lint.sh
	@scripts/dev/tidy.sh -diff

format: ## gofmt every Go file
	@scripts/dev/format.sh -w

tidy: ## go mod tidy in every module
	@scripts/dev/tidy.sh

generate: ## write anew what is made from the sources: docs/api, docs/reference, openapi.yaml
	$(GO) generate $(PACKAGES)
	$(GO) test -count=1 ./internal/archtest -run API -update
	$(GO) test -count=1 ./server/internal/reference -update
	@if [ -d web/node_modules ]; then npm --prefix web run -s generate; else echo "left out: the types of the API for browsers; make web installs what that needs" >&2; fi

clean: ## remove what was built
	rm -rf bin
