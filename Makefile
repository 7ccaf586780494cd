# gmsa-agent's build and test entry points. `make help` lists them.
#
# Needed beforehand: Linux (Debian 12 for the labs), Go, git, make. The lab
# targets install the rest with apt-get and build what cannot be installed into
# the user's cache folder ($GMSA_AGENT_LAB_CACHE, or ~/.cache/gmsa-agent/lab);
# they say what they do and skip what is there.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO      ?= go
LAB      = $(GO) run ./integration/cmd/lab setup
LDFLAGS  = -s -w
WINDOWS  = GOOS=windows GOARCH=amd64 CGO_ENABLED=0
# The race detector needs a C compiler, and time: one package at a time per core.
TESTFLAGS ?= -race -timeout 20m

.PHONY: help
help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the agent for Linux and everything for Windows into bin/
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/linux/gmsa-agent ./cmd/gmsa-agent
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/linux/containerd-shim-gmsa ./cmd/containerd-shim-gmsa
	$(WINDOWS) $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/windows/gmsa-agent.exe ./cmd/gmsa-agent
	$(WINDOWS) $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/windows/shim/containerd-shim-runhcs-v1.exe ./cmd/containerd-shim-gmsa
	@if command -v x86_64-w64-mingw32-gcc >/dev/null; then $(MAKE) --no-print-directory plugin; \
	else echo "not built: ccg-plugin.dll needs mingw-w64 (make lab-wine installs it, then make plugin)"; fi

.PHONY: plugin
plugin: ## build the CCG plugin DLL into bin/windows/ (needs mingw-w64)
	GOOS=windows GOARCH=amd64 CGO_ENABLED=1 CC=x86_64-w64-mingw32-gcc $(GO) build -trimpath -buildmode=c-shared -ldflags '$(LDFLAGS)' -o bin/windows/ccg-plugin.dll ./cmd/ccg-plugin
	@rm -f bin/windows/ccg-plugin.h

# A package is made of the commit, by the compilers that packaging/ names, and
# has the same bytes wherever it is made. Its version is the commit's tag.
# SIGN_CERT= and SIGN_KEY= (files; SIGN_PASSWORD_FILE= and SIGN_TIMESTAMP= if
# need be) add a signed package beside the unsigned one.
PACKAGE = $(GO) run ./packaging
.PHONY: dist
dist: ## make the packages of HEAD into dist/ (SIGN_CERT= SIGN_KEY=: a signed one, too)
	@rm -rf dist
	$(PACKAGE) build -out dist
ifdef SIGN_CERT
	$(PACKAGE) sign -cert '$(SIGN_CERT)' -key '$(SIGN_KEY)' -password-file '$(SIGN_PASSWORD_FILE)' -timestamp '$(SIGN_TIMESTAMP)' dist/*-windows-amd64.zip
endif

.PHONY: dist-check
dist-check: ## make the packages twice, in two places, and compare their bytes (DIST_CHECK=-warm: compile once)
	$(PACKAGE) twice $(DIST_CHECK)

.PHONY: lint
lint: ## gofmt, go vet and staticcheck for both systems, actionlint
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-ed:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(WINDOWS) $(GO) vet ./...
	@$(call tool,$(STATICCHECK),honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION))
	$(STATICCHECK) ./...
	$(WINDOWS) $(STATICCHECK) ./...
	@$(call tool,$(ACTIONLINT),github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION))
	$(ACTIONLINT)

# Tools, each built once. gotestsum runs go test and ends with the list of what
# was skipped, with the reasons.
STATICCHECK_VERSION = v0.8.2
STATICCHECK = $(CURDIR)/bin/tools/$(STATICCHECK_VERSION)/staticcheck
ACTIONLINT_VERSION = v1.7.12
ACTIONLINT = $(CURDIR)/bin/tools/actionlint-$(ACTIONLINT_VERSION)/actionlint
GOTESTSUM_VERSION = v1.13.0
GOTESTSUM = $(CURDIR)/bin/tools/$(GOTESTSUM_VERSION)/gotestsum
FORMAT = --format pkgname-and-test-fails --format-hide-empty-pkg
# Wine fails now and then by itself, and a server that was just started may be
# slow. A failed test of a suite, or of a package whose tests use a lab, runs
# once more, and the summary names it all the same; other tests get no second
# chance.
LABBED = $(GO) list -f '{{$$p := .ImportPath}}{{range .TestImports}}{{$$p}} {{.}}{{"\n"}}{{end}}{{range .XTestImports}}{{$$p}} {{.}}{{"\n"}}{{end}}' ./... | grep -E ' .*/integration/[a-z0-9]+lab$$' | cut -d' ' -f1 | grep -v /integration | sort -u
RERUN = --rerun-fails=1 --rerun-fails-max-failures=3
tool = test -x $(1) || GOBIN=$(dir $(1)) $(GO) install $(2)

.PHONY: test
test: ## unit tests, the Linux suites and the plugin's Wine suite
	@$(LAB) base ad wine containerd docker s3 aws registry kube vault
	@$(call tool,$(GOTESTSUM),gotest.tools/gotestsum@$(GOTESTSUM_VERSION))
	$(GOTESTSUM) $(FORMAT) -- $(TESTFLAGS) -short $$($(GO) list ./... | grep -v /integration | grep -vxF "$$($(LABBED))")
	$(GOTESTSUM) $(FORMAT) $(RERUN) --packages "$$($(LABBED) | tr '\n' ' ')./integration/..." -- $(TESTFLAGS) -count=1 -short

.PHONY: test-all
test-all: test ## make test, the plugin under load, and containerd.exe with the real runhcs shim
	@$(LAB) chain
	$(GOTESTSUM) --format testname $(RERUN) --packages ./integration/pluginharness -- -v -count=1 -timeout 25m -parallel 1 -run 'SixteenThreads|EveryRegistrationKey'
	$(GOTESTSUM) --format testname $(RERUN) --packages ./integration -- -count=1 -timeout 20m -run Chain

.PHONY: demo
demo: ## run the whole chain and show it hop by hop
	@$(LAB) ad chain
	@$(GO) run ./integration/cmd/demo

.PHONY: bench
bench: ## the figures of the design's budgets, each beside its budget
	$(GO) test -run '^$$' -bench . -benchtime 2000x ./internal/agent ./cmd/containerd-shim-gmsa
	$(GO) test -run '^$$' -bench . ./internal/grant ./secrets ./credspec/cache ./integration/pluginharness
	$(GO) test -run '^$$' -bench Create -benchtime 1x ./integration/docker

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME each (default 10s)
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg 2>/dev/null | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg; done; done
FUZZTIME ?= 10s

# What others write, and what validates it. By count and not by time: a fuzzer
# whose time is up in the wrong moment fails. Minimising a find is bounded too.
FUZZ_SHORT = ./hook/docker:FuzzParseCall ./hook/docker:FuzzParseOption ./hook/docker:FuzzParseCreate ./hook/docker/gate:FuzzAQuestionOfDockerds \
	./credspec:FuzzParseRef ./credspec:FuzzValidate ./credspec:FuzzStrike ./credspec/manifest:FuzzRead \
	./secrets:FuzzParseRef ./secrets:FuzzParseContent ./secrets:FuzzParseJSON ./internal/wire:FuzzReadRedeem \
	./internal/eventlog:FuzzAParameterIsOneBoundedLineOfText \
	./packaging:FuzzReadPackage
.PHONY: fuzz-short
fuzz-short: ## the parsers of references, credential specs, manifests, secrets and redemptions, some seconds each
	@for target in $(FUZZ_SHORT); do \
	  $(GO) test -run '^$$' -fuzz "^$${target#*:}$$" -fuzztime 20000x -fuzzminimizetime 10x $${target%:*}; done

.PHONY: lab-base lab-ad lab-wine lab-containerd lab-docker lab-chain lab-s3 lab-aws lab-registry lab-kube lab-vault lab-status
lab-base: ## a C compiler for the race detector
	@$(LAB) base
lab-ad: ## Samba and two Active Directory domains
	@$(LAB) ad
lab-wine: ## Wine, mingw-w64 and a Wine prefix
	@$(LAB) wine
lab-containerd: ## Debian's containerd and runc
	@$(LAB) containerd
lab-docker: ## Debian's dockerd and compose, and a current dockerd, built once (3 minutes)
	@$(LAB) docker
lab-chain: ## containerd.exe and the runhcs shim, built for Wine
	@$(LAB) chain
lab-s3: ## an S3 server, built once
	@$(LAB) s3
lab-aws: ## AWS's APIs as moto has them
	@$(LAB) aws
lab-registry: ## an OCI registry, built once
	@$(LAB) registry
lab-kube: ## kube-apiserver and etcd, built once (10 minutes)
	@$(LAB) kube
lab-vault: ## HashiCorp Vault and three plugins of it, built once (6 minutes)
	@$(LAB) vault
lab-status: ## which labs are ready on this machine
	@$(GO) run ./integration/cmd/lab status

.PHONY: clean
clean: ## remove what was built here (not the labs' cache)
	rm -rf bin dist
