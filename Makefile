# Every chore of the project. Each target first makes what it needs: `make serve` works on a fresh
# clone with nothing but make and Python 3.11 or later.

PYTHON ?= python3
# The number of processes that run tests; each has its own database servers. Tests wait more than
# they compute, so three processes keep two cores busy.
export WORKERS ?= 3
# How long `make torture` runs on each database, and the seed that repeats a run.
OPERATIONS ?= 100000
MINUTES ?=
SEED ?=
# How many rows `make torture/sweep` (half of them expired) and `torture/operators` insert.
ROWS ?= 1000000
# Where `make new` creates a codebase.
FOLDER ?=
# The port for `make serve`; empty means the one in development.ini.
PORT ?=

BIN := .venv/bin
STAMP := .venv/.stamp
BENCH_STAMP := .venv-bench/.stamp
SERVERS_STAMP := .venv-servers/.stamp
DOCS_STAMP := .venv-docs/.stamp
BENCH := .venv-bench/bin/python -m bench
DOCS := .venv-docs/bin/python -m sphinx --fail-on-warning --keep-going --quiet --fresh-env --write-all --conf-dir docs \
	--doctree-dir build/doctrees . build/site
# Keep a developer's own package index out of the locked requirements.
PIP_COMPILE := env PIP_CONFIG_FILE=/dev/null CUSTOM_COMPILE_COMMAND="make lock" \
	$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	--no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
# From 80.9 on, setuptools makes Pyramid 2.1 print a warning at every start; lock an older one.
QUIET_SETUPTOOLS := .venv/quiet-setuptools.txt
INI_PORT = $(shell sed -n 's/^http_port *= *//p' development.ini)
PSERVE = $(BIN)/pserve development.ini $(if $(PORT),http_port=$(PORT))
# The cookie name that every clone has; two of them on one host overwrite each other's cookie.
SHIPPED := session_k3v9q7xw
SAY_SHIPPED = @! grep -q '^session.cookie_name = $(SHIPPED)' development.ini || echo \
	"myapp: the session cookie has the name that every clone has; \`make session-name\` gives it one of its own, \`make new FOLDER=../blog\` makes a codebase of yours"
SAY_URL = @echo "myapp: http://localhost:$(or $(PORT),$(INI_PORT))"

.DEFAULT_GOAL := help

# ---- Help

.PHONY: help
help: ## List the targets
	@echo "Usage: make TARGET [NAME=VALUE ...]"
	@awk -F ':.*## ' '/^# ---- /{printf "\n%s\n", substr($$0, 8)} \
		/^[a-z\/ -]+:.*## /{sub(/ /, ", ", $$1); printf "  %-27s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- Run

.PHONY: serve
serve: $(STAMP) ## Run the application: make serve PORT=8080 DATABASE_URL=postgresql://...
	$(SAY_SHIPPED)
	$(SAY_URL)
	@exec $(PSERVE)

.PHONY: serve/live
serve/live: $(STAMP) ## Run it and restart it whenever a file changes
	$(SAY_SHIPPED)
	$(SAY_URL)
	@exec $(PSERVE) --reload

.PHONY: session-name
session-name: $(STAMP) ## Give the session cookie a random name in both ini files, once; ARGS=--force
	$(BIN)/python -m myapp.scripts.session_name development.ini production.ini $(ARGS)

.PHONY: new
new: $(STAMP) ## Make a codebase of your own: make new FOLDER=../blog ARGS=--yes
	@test -n "$(FOLDER)" || { echo 'Say where to create it: make new FOLDER=../blog'; exit 2; }
	@$(BIN)/python -m myapp.new $(FOLDER) $(ARGS)

# ---- Test

.PHONY: test
test: $(STAMP) servers ## Run every test, on every database: make test ARGS="-k cookie"
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

.PHONY: test/cover
test/cover: $(STAMP) servers ## Run every test and write what they cover to htmlcov/
	$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report=term --cov-report=html $(ARGS)

.PHONY: test/servers
test/servers: $(SERVERS_STAMP) servers ## Try every web server on every database, and restart some under load: 20 minutes
	.venv-servers/bin/python -m harness.servers.install web
	.venv-servers/bin/python -m pytest -n 0 tests/serving/every_server.py tests/serving/rolling.py \
		tests/metrics/processes.py $(ARGS)

.PHONY: test/pythons
test/pythons: $(STAMP) servers ## Run every test with each installed Python from 3.11 on, and sid's: 6 minutes for each
	$(BIN)/python -m tests.platforms.pythons $(ARGS)

.PHONY: test/lowest
test/lowest: $(STAMP) servers ## Run every test with the lowest packages that setup.cfg allows: 7 minutes
	$(BIN)/python -m tests.platforms.ranges lowest $(ARGS)

.PHONY: test/newest
test/newest: $(STAMP) servers ## Run every test with the newest packages that setup.cfg allows: 7 minutes
	$(BIN)/python -m tests.platforms.ranges newest $(ARGS)

.PHONY: test/platforms
test/platforms: $(STAMP) ## Run the sessions' tests on the newest PostgreSQL, MariaDB and MySQL, of Debian sid
	$(BIN)/python -m tests.platforms.databases $(ARGS)

.PHONY: test/features
test/features: $(STAMP) servers ## Take out each feature in a copy, and run what is left and its tests: a quarter of an hour
	$(BIN)/python -m pytest -n 0 -o faulthandler_timeout=0 tests/features/taken_out.py $(ARGS)

.PHONY: test/codebases
test/codebases: $(STAMP) servers ## Make every codebase that can be made, and run its tests and checks, change and serve it: two hours
	$(BIN)/python -m pytest -n $(WORKERS) -o faulthandler_timeout=0 tests/new/two_codebases.py \
		tests/new/changed_codebase.py tests/new/every_codebase.py $(ARGS)

.PHONY: test/applications
test/applications: $(STAMP) ## Try other projects' packages with our sessions, each in an environment of its own: 5 minutes
	$(BIN)/python -m tests.applications.run $(ARGS)

.PHONY: test/moving
test/moving: $(STAMP) ## Move old applications in under traffic, each with its real packages: a quarter of an hour
	@$(BIN)/python -m bench.servers
	$(BIN)/python -m tests.moving.run $(ARGS)

.PHONY: test/deploy
test/deploy: $(STAMP) ## Follow docs/how-to/debian.md and the Dockerfile on a fresh Debian 13: 5 minutes
	$(BIN)/python -m pytest -n 0 tests/deploy/on_debian.py $(ARGS)

.PHONY: torture
torture: $(STAMP) servers ## Kill, fork and interrupt servers under load, with clocks that leap: make torture MINUTES=60
	@for database in sqlite postgresql mariadb pgbouncer; do \
		$(BIN)/python -m tests.faults.checker --database $$database --operations $(OPERATIONS) \
			$(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) \
			--kill-servers --kill-database --forks --interrupts --leaps || exit; \
	done

.PHONY: torture/sweep
torture/sweep: $(STAMP) servers ## Sweep a million rows with four processes, among visitors: make torture/sweep ROWS=1000000
	@for database in postgresql mariadb; do \
		$(BIN)/python -m tests.faults.sweep_load --database $$database --rows $(ROWS) || exit; \
	done

.PHONY: torture/operators
torture/operators: $(STAMP) servers ## Query and end a million sessions with the commands: make torture/operators ROWS=1000000
	@for database in sqlite postgresql mariadb; do \
		$(BIN)/python -m tests.operators.million --database $$database --rows $(ROWS) || exit; \
	done

.PHONY: torture/planted
torture/planted: $(STAMP) ## Plant known bugs, one at a time in a copy, and check that each is caught
	$(BIN)/python -m tests.faults.planted

.PHONY: servers
servers: $(STAMP) ## Install the databases, browser and proxies for the tests, and wrk, where allowed
	@$(BIN)/python -m harness.servers.install

# ---- Measure

.PHONY: bench
bench: $(BENCH_STAMP) bench/servers ## Measure sessions beside their peers, and write docs/performance.md: 10 minutes
	$(BENCH).lockstep $(ARGS)
	$(BENCH).report

.PHONY: bench/quick
bench/quick: $(BENCH_STAMP) bench/servers ## Measure the most important of it in a minute, and keep nothing
	$(BENCH).lockstep --quick $(ARGS)

.PHONY: bench/growth
bench/growth: $(BENCH_STAMP) servers ## Measure tables of up to ten million sessions: 20 GB, a quarter of an hour; ARGS=--quick
	$(BENCH).growth $(ARGS)

.PHONY: bench/http
bench/http: $(BENCH_STAMP) servers ## Measure requests per second in waitress, gunicorn and granian: 5 minutes; ARGS=--quick or --one-core, beside Go
	$(BENCH).http $(ARGS)

.PHONY: bench/report
bench/report: $(BENCH_STAMP) ## Rewrite docs/performance.md from what was measured last
	$(BENCH).report

.PHONY: bench/servers
bench/servers: $(BENCH_STAMP) ## Install the databases for the benchmark, where allowed
	@$(BENCH).servers

# ---- Quality

.PHONY: check
check: $(STAMP) ## Check formatting, mistakes and types, and change nothing
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

.PHONY: format
format: $(STAMP) ## Format the code and repair what can be repaired
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

.PHONY: tidy
tidy: format lock ## Format, and bring the locked requirements in line with setup.cfg

.PHONY: audit
audit: check ## Check, and look for known vulnerabilities in the locked packages
	@$(BIN)/python .ci/audit.py requirements-dev.txt

# ---- Migrations

.PHONY: migrations/new
migrations/new: $(STAMP) ## Write a migration from the models: make migrations/new MESSAGE="add a table"
	@test -n "$$MESSAGE" || { echo 'Say what the migration does: make migrations/new MESSAGE="add a table"'; exit 2; }
	$(BIN)/alembic revision --autogenerate --message "$$MESSAGE"
	@$(BIN)/ruff check --quiet --fix-only alembic/versions
	@$(BIN)/ruff format --quiet alembic/versions

.PHONY: migrations/up up
migrations/up up: $(STAMP) ## Migrate the database to the newest revision
	$(BIN)/alembic upgrade head

.PHONY: migrations/down down
migrations/down down: $(STAMP) ## Undo the newest migration
	$(BIN)/alembic downgrade -1

.PHONY: migrations/goto
migrations/goto: $(STAMP) ## Migrate up or down to a revision: make migrations/goto REV=1a2b
	@test -n "$$REV" || { echo 'Say where to: make migrations/goto REV=1a2b'; exit 2; }
	$(BIN)/alembic upgrade "$$REV"
	$(BIN)/alembic downgrade "$$REV"

.PHONY: migrations/version version
migrations/version version: $(STAMP) ## Show the database's revision
	$(BIN)/alembic current --verbose

# ---- Documentation

.PHONY: docs
docs: $(DOCS_STAMP) ## Build the documentation as a site, build/site/index.html: half a minute; any warning is an error
	$(DOCS)
	@echo "build/site/index.html"

.PHONY: docs/drawings
docs/drawings: ## Draw docs/drawings/*.dot again, with Graphviz: apt-get install graphviz
	@for drawing in docs/drawings/*.dot; do dot -Tsvg -o "$${drawing%.dot}.svg" "$$drawing" || exit; done

# ---- Packaging

.PHONY: lock
# The locked packages must install on the oldest Python that we support; locked with the newest one,
# they would include releases that the oldest can't install.
lock: $(STAMP) ## Lock the requirements of setup.cfg: make lock UPGRADE=--upgrade moves them all
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Lock with the oldest Python: rm -r .venv && make lock PYTHON=python3.11")'
	@echo 'setuptools <80.9' > $(QUIET_SETUPTOOLS)
	$(PIP_COMPILE) $(UPGRADE) --constraint $(QUIET_SETUPTOOLS) --output-file requirements.txt setup.cfg
	$(PIP_COMPILE) $(UPGRADE) --extra dev --constraint requirements.txt --output-file requirements-dev.txt setup.cfg
	$(PIP_COMPILE) $(UPGRADE) --output-file bench/requirements.txt bench/requirements.in
	$(PIP_COMPILE) $(UPGRADE) --output-file docs/requirements.txt docs/requirements.in
	$(PIP_COMPILE) $(UPGRADE) --constraint requirements-dev.txt --output-file tests/serving/requirements.txt tests/serving/requirements.in

.PHONY: build
build: $(STAMP) ## Build the source distribution and the wheel into dist/
	$(BIN)/python -m build --no-isolation

.PHONY: clean
clean: ## Remove what was built, measured or cached; the .venv folders and the databases stay
	rm -rf build dist htmlcov *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . \( -name '.venv*' -o -name .sid -o -name .debian \) -prune -o -type d -name __pycache__ -exec rm -rf {} +

# The virtual environment is rebuilt only when something that goes into it has changed.
# The locked requirements are complete, so nothing is resolved: for a dependency with an extra, older
# pips would choose a newer release than the locked one. `pip check` proves that nothing is missing.
# Warnings are off for the last step only, since setuptools warns about every editable installation.
$(STAMP): requirements-dev.txt setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "$(PYTHON) is older than Python 3.11: make $(MAKECMDGOALS) PYTHON=python3.12")'
	@echo "Installing into .venv; the first time takes a minute."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements-dev.txt
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check --quiet
	@touch $@

# The benchmark's peers stay out of .venv, so that no test finds them there by chance.
$(BENCH_STAMP): requirements-dev.txt bench/requirements.txt setup.cfg pyproject.toml
	@echo "Installing into .venv-bench; the first time takes two minutes."
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements-dev.txt
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement bench/requirements.txt
	PYTHONWARNINGS=ignore .venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	.venv-bench/bin/python -m pip check --quiet
	@touch $@

# Servers that only `make test/servers` tries; they are compiled here, which not every machine can.
$(SERVERS_STAMP): requirements-dev.txt tests/serving/requirements.txt setup.cfg pyproject.toml
	@echo "Installing into .venv-servers; the first time takes a minute."
	@test -x .venv-servers/bin/python || $(PYTHON) -m venv .venv-servers
	.venv-servers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements-dev.txt
	.venv-servers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement tests/serving/requirements.txt
	PYTHONWARNINGS=ignore .venv-servers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	.venv-servers/bin/python -m pip check --quiet
	@touch $@

# The tools that make the site stay out of .venv, too.
$(DOCS_STAMP): docs/requirements.txt
	@echo "Installing into .venv-docs; the first time takes half a minute."
	@test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement docs/requirements.txt
	.venv-docs/bin/python -m pip check --quiet
	@touch $@
