# make study: set up and run the default study to its report.   make test: set up and run all checks.
PYTHON ?= python3
VENV ?= .venv
CORES ?= all
BIN = $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)
# pip waits long for an index that cannot be reached; two tries are enough to find out.
PIP = $(BIN)/python -m pip --disable-pip-version-check --retries 1
CHECKED = workflow/rationale_eval tests $(wildcard benchmarks)

.PHONY: study setup test test-long lint format docs lock clean

study: $(VENV)/.study
	snakemake --cores $(CORES)
	@echo "The report is at results/report/index.html"

setup: $(VENV)/.study

# torch first and by itself: resolved together with the rest, a CUDA build would come on Linux. Without what it needs,
# which the lock holds: so PyTorch's index is asked once, which matters where it cannot be reached.
$(VENV)/.study: envs/torch-cpu.txt envs/requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; name one with PYTHON=…")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --timeout 30 --quiet --no-deps -r envs/torch-cpu.txt
	$(PIP) install --quiet -r envs/requirements.txt
	touch $@

$(VENV)/.dev: $(VENV)/.study envs/dev.txt
	$(PIP) install --quiet -r envs/dev.txt
	touch $@

test: $(VENV)/.dev lint
	python -m pytest -n 2 --dist loadgroup -m "not long"

test-long: $(VENV)/.dev
	python -m pytest -m long

lint: $(VENV)/.dev
	ruff check $(CHECKED)
	ruff format --check $(CHECKED)
	mypy
	snakefmt --check Snakefile workflow/rules
	snakemake --lint

format: $(VENV)/.dev
	ruff check --fix $(CHECKED)
	ruff format $(CHECKED)
	snakefmt Snakefile workflow/rules

# The schema and the reference of the configuration are written from its types.
docs: $(VENV)/.study
	PYTHONPATH=workflow python -m rationale_eval schema

# Write the locks from envs/*.in, in an environment made for it, and from them the conda files. Nothing else in the
# repository pins a version.
lock:
	rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet -r envs/torch-cpu.txt
	$(VENV)-lock/bin/python -m pip install --quiet -r envs/requirements.in
	$(VENV)-lock/bin/python -m pip freeze --all | grep -v '^torch==' > envs/requirements.txt
	$(VENV)-lock/bin/python -m pip install --quiet -r envs/dev.in
	$(VENV)-lock/bin/python -m pip freeze --all | grep -v '^torch==' | grep -v -x -F -f envs/requirements.txt > envs/dev.txt
	rm -rf $(VENV)-lock
	$(MAKE) envs/cpu.yaml envs/gpu.yaml

# For `snakemake --sdm conda`, which copies the file elsewhere: so that it cannot name the locks, but holds their lines.
envs/%.yaml: envs/torch-%.txt envs/requirements.txt
	echo "# Written by make from $^: for \`snakemake --sdm conda\` the same packages as \`make setup\`." > $@
	printf 'channels: [conda-forge]\ndependencies:\n  - python =3.11\n  - pip\n  - pip:\n' >> $@
	grep -hv '^#' $^ | sed 's/^/      - /' >> $@

clean:
	rm -rf $(VENV) results results-* smoke .snakemake
