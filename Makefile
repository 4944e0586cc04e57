# make study: set up and run the default study to its report.   make test: set up and run all checks.
# TORCH=gpu with either: the CUDA build of torch.
PYTHON ?= python3
VENV ?= .venv
CORES ?= all
TORCH ?= cpu
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
# which the locks hold: so PyTorch's index is asked once, which matters where it cannot be reached.
$(VENV)/.study: envs/torch-$(TORCH).txt envs/requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; name one with PYTHON=…")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --timeout 30 --quiet --no-deps --require-hashes -r envs/torch-$(TORCH).txt
	$(PIP) install --quiet --require-hashes -r envs/requirements.txt
	touch $@

$(VENV)/.dev: $(VENV)/.study envs/dev.txt
	$(PIP) install --quiet --require-hashes -r envs/dev.txt
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
# repository pins a version. uv adds the hashes of all files of a release, whatever they are for; those of torch's CPU
# build are kept by hand.
HASHED = $(VENV)-lock/bin/uv pip compile --quiet --generate-hashes --no-header --no-annotate --universal \
	--python-version 3.11
lock:
	rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet -r envs/torch-cpu.txt
	$(VENV)-lock/bin/python -m pip install --quiet -r envs/requirements.in
	$(VENV)-lock/bin/python -m pip freeze --all | grep -v '^torch==' > $(VENV)-lock/run.in
	$(VENV)-lock/bin/python -m pip install --quiet -r envs/dev.in
	$(VENV)-lock/bin/python -m pip freeze --all | grep -v '^torch==' | grep -v -x -F -f $(VENV)-lock/run.in > $(VENV)-lock/dev.in
	$(VENV)-lock/bin/python -m pip install --quiet uv
	$(HASHED) --no-deps $(VENV)-lock/run.in -o envs/requirements.txt
	$(HASHED) --no-deps $(VENV)-lock/dev.in -o envs/dev.txt
	grep -o '^torch==[^ ]*' envs/torch-cpu.txt > $(VENV)-lock/torch.in
	echo '# The CUDA build of torch, as the package index has it for Linux, and what only that build needs.' > envs/torch-gpu.txt
	$(HASHED) -c $(VENV)-lock/run.in $$(sed 's/==.*//; s/^/--no-emit-package /' $(VENV)-lock/run.in) \
		$(VENV)-lock/torch.in >> envs/torch-gpu.txt
	rm -rf $(VENV)-lock
	$(MAKE) envs/cpu.yaml envs/gpu.yaml

# For `snakemake --sdm conda`, which copies the file elsewhere: so that it cannot name the locks, but holds their lines.
# Without the hashes: Snakemake keeps the whole file in its record of every job.
envs/%.yaml: envs/torch-%.txt envs/requirements.txt
	echo "# Written by make from $^: for \`snakemake --sdm conda\` the same packages as \`make setup\`." > $@
	printf 'channels: [conda-forge]\ndependencies:\n  - python =3.11\n  - pip\n  - pip:\n' >> $@
	grep -hv '^#\|^ ' $^ | sed 's/ *\\$$//; s/^/      - /' >> $@

clean:
	rm -rf $(VENV) results results-* smoke .snakemake
