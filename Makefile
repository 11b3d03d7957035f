# World4RL. `make demo` and `make test` do all their own set-up; `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
SEED ?= 0
PRESET ?= tiny
RUN ?= runs/demo
ARGS ?=
WORKSPACE ?= $(HOME)/franka_ws
export PYTHON TORCH_INDEX

.DEFAULT_GOAL := help
.PHONY: help setup demo test driver lint format docs wheels clean

help:
	@echo "make demo    the whole loop on this machine: SEED=0 PRESET=tiny RUN=runs/demo"
	@echo "make test    every test, the ROS graph's included: ARGS='-k gate' chooses"
	@echo "make lint    ruff and mypy;  make format  lets ruff rewrite"
	@echo "make docs    these pages as a site in build/site;  make wheels  the packages as wheels, tried without ROS"
	@echo "make setup   only the environment and the build (demo and test do it themselves)"
	@echo "make driver  franka_ros2 and crisp_controllers into WORKSPACE=$(WORKSPACE) (ROS 2 Jazzy sourced)"
	@echo "make clean   remove the environment and the build, keep runs/"

setup:
	@scripts/setup.sh

demo: setup
	@source scripts/env.sh && exec world4rl demo --preset $(PRESET) --seed $(SEED) --run $(RUN) $(ARGS)

test: setup
	@source scripts/env.sh && WORLD4RL_REQUIRE_ROS=1 OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} exec pytest $(ARGS)

driver:
	@scripts/install_driver.sh $(WORKSPACE)

lint:
	@scripts/setup.sh lint
	@source .venv/bin/activate && ruff check . && ruff format --check . && mypy

format:
	@scripts/setup.sh lint
	@source .venv/bin/activate && ruff check --fix . && ruff format .

docs:
	@scripts/setup.sh lint
	@source .venv/bin/activate && NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

wheels:
	@scripts/wheels.sh

clean:
	rm -rf .venv build install log .mypy_cache .pytest_cache .ruff_cache
