# Every target with a "##" is listed by `make help`.
.DEFAULT_GOAL := help
SHELL := bash
GO ?= go
PREFIX ?= $(or $(shell $(GO) env GOBIN),$(firstword $(subst :, ,$(shell $(GO) env GOPATH)))/bin)
NODE := internal/cli/testdata/node
BACKEND ?= stan
SOAK_DURATION ?= 5m
# Without cgo the programs are static: they start faster, and run anywhere.
BUILD := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w'
# Tests wait for servers more than they work: more packages at a time than cores.
TEST := $(GO) test $(if $(COUNT),-count $(COUNT) -timeout 4h,-timeout 20m)

.PHONY: help build install uninstall test race lint outdated vuln bench soak release reference demo server pf

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

build: ## build both programs into bin/
	$(BUILD) -o bin/ ./cmd/...

install: ## install both programs into PREFIX (default: Go's own bin folder)
	$(BUILD) -o "$(PREFIX)/" ./cmd/...
	@scripts/installed.sh "$(PREFIX)"

uninstall: ## remove both programs from PREFIX
	rm -f "$(PREFIX)/publish" "$(PREFIX)/listen"

test: node-modules ## run all tests (COUNT=20: as often, which shows what fails now and then)
	$(TEST) -p 4 ./...

race: node-modules ## run all tests with the race detector (COUNT=20, too)
	$(TEST) -race -p 1 ./...

lint: ## check formatting, vet, lint, shell scripts, manifests, and cross-compile
	scripts/lint.sh

release: ## make what users install in dist/: archives, packages, an image, the same on every machine
	$(GO) run ./internal/release

reference: ## write docs/reference/ from the commands
	$(GO) run ./internal/release -reference docs/reference

outdated: ## list what of Go and of the modules that the programs link has a newer version
	@$(GO) list -m -u -f '{{with .Update}}{{$$.Path}} {{$$.Version}} -> {{.Version}}{{end}}' toolchain $$( \
	  for os in linux darwin windows; do \
	    GOOS=$$os $(GO) list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}' ./cmd/...; \
	  done | sort -u)

vuln: ## ask Go's vulnerability database about what the programs call (it must be reachable)
	$(GO) tool -modfile=.ci/vuln.mod govulncheck ./cmd/...

# The results of the last run are kept in the repository: a fall shows in review.
RESULTS := internal/bench/results.txt

bench: ## compare speed and memory with the tools of stan.go and the nats CLI, and with the last run
	cp $(RESULTS) $(RESULTS).before
	BENCH_RESULTS=$(CURDIR)/$(RESULTS) $(GO) test ./internal/bench -run '^$$' -bench . -benchtime 1x -count 1 -timeout 60m
	$(GO) tool -modfile=.ci/bench.mod benchstat before=$(RESULTS).before now=$(RESULTS)

soak: ## let the programs work on servers that fail, and account for every event (SOAK_DURATION=5m SOAK_FLAGS='-seed 1 -only cut')
	$(GO) run ./internal/soak -duration $(SOAK_DURATION) $(SOAK_FLAGS)

demo: build ## show both programs at work with a server of their own (BACKEND=jetstream: with JetStream)
	scripts/demo.sh $(BACKEND)

server: ## run a server for own play: NATS Streaming and JetStream, 127.0.0.1:4222, monitoring on 8222
	@mkdir -p data
	@GO="$(GO)" scripts/server.sh

# The variables reach the script by its environment.
pf: ## forward NATS in Kubernetes to 127.0.0.1 (NAMESPACE=… TARGET=… MONITOR=1 PORT=… CONTEXT=… WAIT=…)
	@exec scripts/port-forward.sh

# The Node library that the interoperation tests talk with. Without npm, they
# say so and are left out; under CI that is a failure.
.PHONY: node-modules
node-modules:
	@if ! command -v npm >/dev/null; then echo 'no npm: the tests with Node services are left out'; \
	elif [ $(NODE)/package-lock.json -nt $(NODE)/node_modules/.package-lock.json ]; then \
	  npm ci --prefix $(NODE) --no-audit --no-fund --silent; fi
