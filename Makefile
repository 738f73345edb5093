# Each target sets up what it needs in .venv; only Python has to be installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
READERS := .venv-readers
ARGS ?=

.PHONY: help train test slow check wheel page format docs notebook site bench bench-peers reading service record ablation ensembles inference seeds model robustness studies clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

train: $(VENV)/train.installed ## Fetch MNIST, train the reference CNN, evaluate, write the report
	$(BIN)/digitnet train $(ARGS)

test: $(VENV)/dev.installed ## Run the tests, without those that take long
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'not slow' $(ARGS)

slow: $(VENV)/dev.installed ## Run the tests that take long: the page in a browser, site, notebooks, a cluster, load
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow $(ARGS)

check: $(VENV)/dev.installed ## Lint, check types, check that generated documents are up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/render_docs.py --check
	$(BIN)/python tools/build_notebook.py --check
	$(BIN)/python tools/reader_constants.py --check

wheel: $(VENV)/dev.installed ## Build the wheel, install it into an empty environment, read a digit with it
	$(BIN)/python tools/check_wheel.py

page: $(VENV)/dev.installed ## Build the page that reads in the browser, for any static host: build/page/ (needs npm)
	$(BIN)/python tools/build_page.py $(ARGS)

format: $(VENV)/dev.installed ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/dev.installed ## Write the generated documents from the command line and the results
	$(BIN)/python tools/render_docs.py

notebook: $(VENV)/dev.installed ## Execute the notebooks at full length, on MNIST
	$(BIN)/python tools/build_notebook.py $(ARGS)

# The page is part of the site where npm can be had.
site: $(VENV)/dev.installed ## Build the documentation site in build/site
	-$(BIN)/python tools/build_page.py
	$(BIN)/python tools/build_site.py $(ARGS)

bench: $(VENV)/dev.installed $(PEERS)/peers.installed ## Time training against Keras on TensorFlow
	$(BIN)/python benchmarks/training_speed.py --peers $(PEERS)/bin/python $(ARGS)

bench-peers: $(VENV)/dev.installed $(PEERS)/peers.installed ## Train recipe fast beside the recipes that are taught and published
	$(BIN)/python benchmarks/peer_recipes.py --peers $(PEERS)/bin/python $(ARGS)

reading: $(VENV)/dev.installed $(READERS)/readers.installed ## Read numbers beside RapidOCR; your own sets: ARGS='FILE.npz ...'
	$(BIN)/python benchmarks/reading.py --peers $(READERS)/bin/python $(ARGS)

service: $(VENV)/dev.installed ## Load the service beside the engine and a plain FastAPI application
	$(BIN)/python benchmarks/service_load.py $(ARGS)
	$(BIN)/python benchmarks/promises.py

SEEDS := 5
GOAL := accuracy
NEEDS_RECIPE = $(if $(RECIPE),,$(error Name a recipe: make $@ RECIPE=fast))

record: $(VENV)/dev.installed ## Train a recipe with several seeds and keep the result: RECIPE=fast GOAL=fastest SEEDS=30
	$(NEEDS_RECIPE)$(BIN)/digitnet bench train --recipe $(RECIPE) --seeds $(SEEDS) --out runs/records/$(RECIPE) $(ARGS)
	mkdir -p docs/results/records/$(GOAL)
	cp runs/records/$(RECIPE)/bench.json docs/results/records/$(GOAL)/$(RECIPE).json

ablation: $(VENV)/dev.installed ## Train recipe fast beside variants that lack one choice each, with eight seeds
	$(BIN)/python benchmarks/fast_ablation.py $(ARGS)

ensembles: $(VENV)/dev.installed ## Measure the networks of a record in ensembles: RECIPE=best MEMBERS=5
	$(NEEDS_RECIPE)mkdir -p docs/results/records/ensembles
	$(BIN)/digitnet evaluate $$(ls -dv runs/records/$(RECIPE)/*-seed*) --members $(MEMBERS) --json > runs/ensemble.json
	mv runs/ensemble.json docs/results/records/ensembles/$(RECIPE)-$(MEMBERS).json

inference: $(VENV)/dev.installed ## Time how a network of a record answers, in its model file and alone: RECIPE=fast
	$(NEEDS_RECIPE)run=$$(ls -d runs/records/$(RECIPE)/*-seed* | head -1) && \
	  $(BIN)/digitnet export $$run && $(BIN)/digitnet export $$run --network-only && \
	  $(BIN)/digitnet bench infer --model $$run --out docs/results/records/inference/$(RECIPE).json $(ARGS) && \
	  $(BIN)/digitnet bench infer --model $$run/network.onnx --out docs/results/records/inference/$(RECIPE)-network.json $(ARGS)

seeds: ## Train the recipes reference and plain with five seeds (half an hour or more)
	$(MAKE) record RECIPE=reference
	$(MAKE) record RECIPE=plain

model: $(VENV)/dev.installed ## Train the shipped finder and readers again and put them in their places (about four hours on two cores)
	$(BIN)/digitnet train --recipe finder --threads 1 --out runs/finder $(ARGS)
	cp runs/finder/model.safetensors src/digitnet/assets/finder.safetensors # its finds teach the reader
	$(BIN)/digitnet train --recipe robust --threads 2 --out runs/robust $(ARGS)
	$(BIN)/digitnet train --recipe lines --threads 1 --out runs/lines $(ARGS)
	$(BIN)/python tools/ship_model.py --reader runs/robust --finder runs/finder --lines runs/lines

robustness: $(VENV)/dev.installed ## Read pictures of all kinds with the shipped recogniser and a plain CNN: runs/robustness/
	test -d runs/records/plain/plain-seed0 || $(BIN)/digitnet bench train --recipe plain --seeds 1 --out runs/records/plain
	$(BIN)/digitnet bench robustness --plain runs/records/plain/plain-seed0 --out runs/robustness --everything $(ARGS)

STUDIES := depth_width dropout activations augmentation optimizer training_images

studies: $(VENV)/dev.installed ## Run the studies that the documents report (hours)
	for name in $(STUDIES); do $(BIN)/digitnet study $$name --out studies/$$name $(ARGS) || exit; done
	$(BIN)/python tools/study_tables.py $(addprefix studies/,$(STUDIES))

clean: ## Remove the environments and caches; runs stay
	rm -rf $(VENV) $(PEERS) $(READERS) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "digitnet needs Python 3.11 to 3.13; name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip

# pip compiles what it copies, but not an editable install; and where Python may write no caches,
# every start would compile it again.
$(VENV)/train.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[train]'
	$(BIN)/python -m compileall -q src
	@touch $@

$(VENV)/dev.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	$(BIN)/python -m compileall -q src
	@touch $@ $(VENV)/train.installed

$(PEERS)/peers.installed: benchmarks/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet -r benchmarks/peers.txt
	@touch $@

$(READERS)/readers.installed: benchmarks/peers_reading.txt
	$(PYTHON) -m venv $(READERS)
	$(READERS)/bin/python -m pip install --quiet -r benchmarks/peers_reading.txt
	@touch $@
