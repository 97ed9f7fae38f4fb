# What can be done here. CI calls the same scripts.

# Lists the recipes.
default:
    @just --list

# Serves the demo's Pods and zone on a port that needs no root.
run *args:
    cargo run -- serve --manifests zones/demo --zones zones {{ args }}

# The fast checks: format, lints, the library's own tests.
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    cargo test --lib

# Everything, a real API server and the static binary included.
test:
    scripts/test

# `deploy/` on a real one-node cluster, as root: some 15 minutes once all is built.
test-node *words:
    scripts/test-node {{ words }}

# Any bytes, for so many seconds each, into the targets that are named, or all: `just fuzz 3600 query`.
fuzz *words:
    scripts/fuzz {{ words }}

# The tests against a real API server, or those whose name holds a word.
cluster *words:
    cargo test --test cluster -- {{ words }}

# The pure parts in release, without a socket, or those whose name holds a word.
bench *words:
    cargo bench --bench pure -- {{ words }}

# Callsign beside its peers in release: `change`, `load`, `growth` and others, or all (twenty minutes).
bench-peers *sections:
    CALLSIGN_COMMIT="$(git describe --always --dirty)" CALLSIGN_TEST_BIN="$(tests/cluster/build | tail -n 1)" \
        cargo bench --features jemalloc --bench peers -- {{ sections }}
