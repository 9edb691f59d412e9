# The way without a ROS installation; with ROS sourced use colcon (see README.md).
#
#   make demo    a camera, the node and a listener over DDS on the bundled sequence
#   make test    linters, type checker and tests
#   make help    every target and variable

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

# What `make demo` reads; another sequence with IMAGES=dir CAMERA=camera.json MODEL=dir.
IMAGES ?=
CAMERA ?=
MODEL ?=
DEMO_ARGUMENTS := $(if $(IMAGES),--images "$(IMAGES)") $(if $(CAMERA),--camera "$(CAMERA)") \
	$(if $(MODEL),--model "$(MODEL)")
# What `make test` hands to pytest, for instance PYTEST_ARGUMENTS="-k overlay".
PYTEST_ARGUMENTS ?=
# Processes that test side by side, each with one computing thread of its own.
JOBS ?= 2
TRAIN_CONFIG ?= config/training/object.yaml
# How long `make soak` runs, how many fuzzed messages it sends, how often it stops a node.
MINUTES ?= 20
MESSAGES ?= 100000
TRIALS ?= 200
# Of each property test of files.
EXAMPLES ?= 500

# A sourced ROS must not mix with the environment's own.
unexport PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE
ifdef ROS_DISTRO
unexport LD_LIBRARY_PATH
endif
export AMENT_PREFIX_PATH := $(CURDIR)/$(VENV)
export RMW_IMPLEMENTATION := rmw_fastrtps_cpp
# Nodes find each other on this machine only, unless the user says otherwise.
ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST
export ROS_AUTOMATIC_DISCOVERY_RANGE

.DEFAULT_GOAL := help
.PHONY: announce help setup demo test lint train-demo eval ablation runtime bench tracking calibrate supervision bench-train soak fuzz-files bench-node clean

help: ## show this list
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | awk -F'\t' '{printf "  %-12s%s\n", $$1, $$2}'
	@echo "Variables: PYTHON (interpreter of .venv), IMAGES, CAMERA, MODEL (demo),"
	@echo "  PYTEST_ARGUMENTS, JOBS (test), TRAIN_CONFIG (train-demo), MINUTES, MESSAGES, TRIALS (soak),"
	@echo "  EXAMPLES (fuzz-files)"

setup: ## create or update .venv; seconds when nothing has changed
	@command -v $(PYTHON) > /dev/null || \
		{ echo "error: Python 3.10 to 3.14 is needed and '$(PYTHON)' was not found" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 10) <= v <= (3, 14) or sys.exit( \
		"error: Python 3.10 to 3.14 is needed and $(PYTHON) is %d.%d; name another with " \
		"\"make PYTHON=python3.12 ...\"" % v)'
	@$(PYTHON) -m tools.setup_environment

announce:
	@echo "demo: the node on $(or $(IMAGES),the bundled sequence), live; about a minute once .venv is set up"

demo: announce setup ## poses of the bundled sequence, live over DDS; results in out/demo
	@$(RUN) -m demo.run $(DEMO_ARGUMENTS)

lint: setup ## ruff and mypy
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

test: lint ## linters, type checker and tests
	OMP_NUM_THREADS=1 $(RUN) -m pytest --numprocesses $(JOBS) --dist worksteal $(PYTEST_ARGUMENTS)

train-demo: setup ## train the bundled demo's model; resumes where it stopped
	$(RUN) -m cope_training.train --config $(TRAIN_CONFIG)

supervision: setup ## what each pose loss is worth, on the demo's objects (the paper's Table 3); hours
	$(RUN) -m cope_training.supervision

bench-train: setup ## images per second of rendering, targets and training step; out/bench/train.json
	$(RUN) -W ignore -m cope_training.bench.training

eval: setup ## BOP's scores of the demo's model on its sequence, with a report page
	$(RUN) -m cope_training.evaluate --model models/demo --data models/demo/sequence

ablation: setup ## recall by the way an instance's pose is voted (the paper's Table 3)
	$(RUN) -m cope_training.evaluation.ablation

runtime: setup ## time per image over 1 to 100 instances (the paper's Figure 4)
	$(RUN) -m cope_training.evaluation.runtime --model models/demo

tracking: setup ## MOTA, IDF1 and id switches on the demo's sequence
	$(RUN) -m cope_training.evaluation.tracking --model models/demo --data models/demo/sequence

calibrate: setup ## fit the covariances of the demo's model and write them into it
	$(RUN) -m cope_training.calibrate --model models/demo --data models/demo/sequence

soak: setup ## faults and fuzzed messages for MINUTES at 30 Hz, then signals; out/soak/summary.json
	$(RUN) -m tools.soak.run --minutes $(MINUTES) --messages $(MESSAGES)
	$(RUN) -m tools.soak.signals --trials $(TRIALS)

fuzz-files: setup ## EXAMPLES (500) of each way in which files of people are wrong
	COPE_FUZZ_EXAMPLES=$(EXAMPLES) $(RUN) -m pytest test/fuzz --hypothesis-show-statistics

bench-node: setup ## the node's latency minus its estimator's; out/bench/node.json
	$(RUN) -m tools.bench_node.run

bench: setup ## latency of every model over 1 to 100 instances, memory, profile: out/bench
	$(RUN) -m cope_training.bench.latency
	$(RUN) -m cope_training.evaluation.two_stage

clean: ## remove what was built, the environment too
	rm -rf $(VENV) out build install log *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
