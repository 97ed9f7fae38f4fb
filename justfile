# The project's commands. CI calls the same scripts.

# Lists the recipes.
default:
    @just --list

# Serves the demo's Pods and zone on a port that needs no root.
run *args:
    cargo run -- serve --manifests zones/demo --zones zones {{ args }}

# The fast checks: format, lints, the library's unit tests.
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    cargo test --lib

# All tests, including those with a real API server and the static binary.
test:
    scripts/test

# Tests `deploy/` on a real one-node cluster, as root: some 15 minutes once everything is built.
test-node *words:
    scripts/test-node {{ words }}

# Fuzzes the named targets, or all, for a number of seconds each: `just fuzz 3600 query`.
fuzz *words:
    scripts/fuzz {{ words }}

# Runs the tests against a real API server, or those whose name contains a word.
cluster *words:
    cargo test --test cluster -- {{ words }}

# Benchmarks the pure parts without a socket, or those whose name contains a word.
bench *words:
    cargo bench --bench pure -- {{ words }}

# Benchmarks callsign and its peers: `change`, `load`, `growth` and others, or all (twenty minutes).
bench-peers *sections:
    CALLSIGN_COMMIT="$(git describe --always --dirty)" CALLSIGN_TEST_BIN="$(tests/cluster/build | tail -n 1)" \
        cargo bench --features jemalloc --bench peers -- {{ sections }}
