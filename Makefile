# `make` alone lists the targets. Recipes have no logic: that is in tests/ or build_zipapp.py.

PYTHON ?= python3
PREFIX ?= /usr/local
SHARE = $(PREFIX)/share
DESTDIR ?=
ONLY ?=
BOOTS ?= 10000
SEED ?= 1
POINTS ?= 0
MINUTES ?= 1
VERSION ?=
TESTS ?=
GROUP ?=
FILE = dist/azure-provisioning
SOURCES := build_zipapp.py $(shell find src units -type f -not -name '*.pyc')

.PHONY: help
help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: build
build: $(FILE) ## Write dist/azure-provisioning, the one file; beside it its SHA-256, man page and completion

$(FILE): $(SOURCES)
	$(PYTHON) build_zipapp.py

.PHONY: demo
demo: $(FILE) ## Build, and rehearse a first boot against an Azure on loopback: no root, no network
	$(PYTHON) -I $(FILE) rehearse

.PHONY: test
test: ## The suite, with one Python and nothing installed: no root, no network
	$(PYTHON) -m tests $(ONLY)

.PHONY: test-shell
test-shell: ## Tests in which a shell, sshd or sudo answers: the part without Python, and logins on a Debian tree
	$(PYTHON) -m tests --only shell

.PHONY: test-user
test-user: ## The suite as an ordinary user, from a checkout that only root may write to (root)
	PYTHON="$(PYTHON)" sh tests/as_user.sh $(ONLY)

.PHONY: hostile
hostile: ## The attacks that .github/SECURITY.md promises about, races for longer than in the suite (root)
	$(PYTHON) -m tests.hostile $(ONLY)

.PHONY: release-test
release-test: ## All tests, one after another, with a table: hours (root, Debian packages)
	$(PYTHON) -m tests.everything $(ONLY)

.PHONY: test-pythons
test-pythons: ## The suite on the oldest and the newest Python 3.6+ that is found, a part of it on the others
	$(PYTHON) -m tests.pythons $(ONLY)

.PHONY: chaos
chaos: ## First boots with random faults, in virtual time: BOOTS=10000 SEED=1
	$(PYTHON) -m tests.chaos $(BOOTS) $(SEED)

.PHONY: fuzz
fuzz: ## Damaged input of every kind for MINUTES=1; a failing case can be replayed
	$(PYTHON) -m tests.fuzz $(MINUTES)

.PHONY: crash
crash: ## A boot in a Debian tree, killed at each of its system calls: POINTS=60 for that many (root, Debian packages)
	$(PYTHON) -m tests.crash --points $(POINTS)

.PHONY: mutate
mutate: ## Break each promise in a copy, and see that a test notices; ONLY=word for some
	$(PYTHON) -m tests.mutate $(ONLY)

.PHONY: lint
lint: ## ruff, mypy, shellcheck, actionlint and a check of the units, in a throw-away environment
	$(PYTHON) -m tests.lint

.PHONY: distro-test
distro-test: $(FILE) ## Install into Debian trees, and ask the distro's own tools (root, Debian packages)
	$(PYTHON) -m tests.distro $(ONLY)

.PHONY: recipe-test
recipe-test: ## Build real images by the recipes (root, Debian packages, their network); ONLY=mkosi for one
	$(PYTHON) -m tests.recipes $(ONLY)

.PHONY: boot-test
boot-test: $(FILE) ## Boot real machines in a sealed Azure (root, Debian packages); ONLY=name for one
	$(PYTHON) -m tests.boot $(ONLY)

.PHONY: bench
bench: $(FILE) ## Compare with the origin's script, cloud-init and waagent (root, Debian packages); ONLY=instructions: no VM
	$(PYTHON) -m tests.bench $(ONLY)

.PHONY: azure-test
azure-test: $(FILE) ## VMs in Azure itself, in a group that is made and removed: GROUP=name (root, `az`, a subscription)
	$(PYTHON) -m tests.azure "$(GROUP)" $(ONLY)

.PHONY: release
release: ## Set the version, test, build and commit: VERSION=x.y.z; TESTS=tests.test_x for less than the whole suite
	$(PYTHON) -m tests.release "$(VERSION)" $(if $(TESTS),--tests $(TESTS))

.PHONY: install
install: $(FILE) ## For packagers: DESTDIR= PREFIX=; enables nothing, `azure-provisioning install` does
	install -d "$(DESTDIR)$(PREFIX)/sbin" "$(DESTDIR)$(SHARE)/doc/azure-provisioning" \
		"$(DESTDIR)$(SHARE)/man/man8" "$(DESTDIR)$(SHARE)/man/man5" \
		"$(DESTDIR)$(SHARE)/bash-completion/completions" "$(DESTDIR)$(SHARE)/zsh/site-functions" \
		"$(DESTDIR)$(SHARE)/fish/vendor_completions.d"
	install -m 0755 $(FILE) "$(DESTDIR)$(PREFIX)/sbin/azure-provisioning"
	install -m 0644 $(FILE).8 "$(DESTDIR)$(SHARE)/man/man8"
	install -m 0644 $(FILE).conf.5 "$(DESTDIR)$(SHARE)/man/man5"
	install -m 0644 $(FILE).bash "$(DESTDIR)$(SHARE)/bash-completion/completions/azure-provisioning"
	install -m 0644 $(FILE).zsh "$(DESTDIR)$(SHARE)/zsh/site-functions/_azure-provisioning"
	install -m 0644 $(FILE).fish "$(DESTDIR)$(SHARE)/fish/vendor_completions.d/azure-provisioning.fish"
	install -m 0644 README.md LICENSE "$(DESTDIR)$(SHARE)/doc/azure-provisioning"

.PHONY: clean
clean: ## Remove what was built
	rm -rf dist
