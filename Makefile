# Every target sets up what it needs: python3 (3.11+) and a package registry are enough.
PY := .venv/bin/python
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo up test test-kafka check bench bench-runtimes bench-sink bench-quality bench-latency bench-recovery \
	bench-capacity bench-scale bench-views bench-loop bench-growth bench-publish bench-review bench-training bench-page \
	chaos chaos-kills chaos-mutants fuzz clean lock

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.venv/ready: requirements.lock pyproject.toml
	python3 -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: .venv/ready  ## See the whole loop on real images (or: make demo DATA=DIR PROJECT=NAME)
	@$(BIN)/labelloop demo $(if $(DATA),--data-set '$(DATA)') $(if $(PROJECT),--project '$(PROJECT)')

up: .venv/ready  ## Start the stack here and stay with it (Ctrl-C stops it)
	@$(BIN)/labelloop up

test: .venv/ready  ## Run all tests but the slow ones, against a real Kafka and a real ClickHouse
	$(BIN)/pytest -n 2 --dist loadfile -m 'not slow' --ignore tests/chaos
	$(BIN)/pytest tests/chaos

test-kafka: .venv/ready  ## The tests against an older broker (KAFKA=3.7.2 or 3.9.2)
	LABELLOOP_KAFKA_JARS=$(CURDIR)/tests/kafka/$(or $(KAFKA),3.7.2).lock $(BIN)/pytest -n 2 --dist loadfile \
		-m 'stack and not slow' --ignore tests/chaos

check: .venv/ready  ## Lint, types, layers, schema compatibility
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/labelloop schemas check

bench: .venv/ready  ## Throughput beside plain Kafka and stock Faust; writes bench/results/items.json
	$(PY) -m bench.items

bench-runtimes: .venv/ready  ## The same work on labelloop, Faust, Quix Streams, Bytewax and plain Kafka; writes bench/results/runtimes.json
	$(PY) -m bench.runtimes

bench-sink: .venv/ready  ## The ClickHouse sink beside clickhouse-driver with prepared columns; writes bench/results/sink.json
	$(PY) -m bench.sink

bench-publish: .venv/ready  ## The SDK and the import beside sending prepared bytes; writes bench/results/publish.json
	$(PY) -m bench.publish

bench-review: .venv/ready  ## Opening a queue of 20,000 tasks, taking a task, giving a verdict; writes bench/results/review.json
	$(PY) -m bench.review

bench-training: .venv/ready  ## From asking for a model to predictions of 50,000 items; writes bench/results/training.json
	$(PY) -m bench.training

bench-page: .venv/ready  ## What the benchmarks wrote as one page with plots, bench/results/index.html
	$(PY) -m bench.page

bench-growth: .venv/ready  ## What a label costs as a project grows, without a broker; writes bench/results/growth.json
	$(PY) -m bench.growth

bench-quality: .venv/ready  ## Truth and review order beside the best libraries; writes bench/results/quality.json
	$(PY) -m bench.quality

bench-latency: .venv/ready  ## From publishing to the queue and to ClickHouse, in ms; writes bench/results/latency.json
	$(PY) -m bench.latency

bench-recovery: .venv/ready  ## State of 100,000 and 1,000,000 items from the changelog alone; writes bench/results/recovery.json
	$(PY) -m bench.recovery

bench-capacity: .venv/ready  ## What labels take of disk, memory and CPU, beside the model of `labelloop plan`
	$(PY) -m bench.capacity

bench-views: .venv/ready  ## The analysts' queries over 10 million labels, cold and warm; writes bench/results/views.json
	$(PY) -m bench.views

bench-scale: .venv/ready  ## Two items workers beside one, and the pause when one joins or leaves; writes bench/results/scale.json
	$(PY) -m bench.scale

bench-loop: .venv/ready  ## Reviews and retraining beside the cleanlab loop (hours; resumes); writes bench/results/loop.json
	$(PY) -m bench.loop

chaos: .venv/ready  ## The slow crash tests, then a stack that is broken by a seed (or that alone: SEED=3 MINUTES=10)
	$(if $(SEED)$(MINUTES),,$(BIN)/pytest -m slow)
	$(PY) -m tests.chaos --seed $(or $(SEED),1) --minutes $(or $(MINUTES),10)

chaos-kills: .venv/ready  ## Kill every process twenty times while 200,000 facts arrive (SEED=1)
	$(PY) -m tests.chaos --seed $(or $(SEED),1) --kills 20

fuzz: .venv/ready  ## Arbitrary input for every decoder, guided by coverage (RUNS=1000000)
	$(PY) -m tests.fuzz --runs $(or $(RUNS),1000000)

chaos-mutants: .venv/ready  ## Put deliberate faults into the product: the checker must find each (MINUTES=1)
	@for mutant in offsets fence token claims; do \
		$(PY) -m tests.chaos --seed $(or $(SEED),1) --minutes $(or $(MINUTES),1) --mutant $$mutant || exit; \
	done

clean:  ## Remove the environment, the local stack's data and caches
	rm -rf .venv .labelloop .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache bench/results \
		bench/.peers

lock:  ## Pin all requirements with hashes (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
		--extra dev pyproject.toml --output-file requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
		--no-deps bench/quality/peers.in --output-file bench/quality/peers.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
		bench/runtimes/peers.in --output-file bench/runtimes/peers.lock
