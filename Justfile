# What one does here, by name: `just`. Each recipe is a line that also works without just.

# List the recipes.
default:
    @just --list

# Type-check everything, the quickest look at a change.
check:
    cargo check --release --all-targets

# Run the tests (with PostgreSQL, if a name filter or nothing is given): `just test store::`.
test *FILTER:
    .ci/test {{FILTER}}

# Format, spelling, structure, clippy: what needs no binary.
lint:
    .ci/run format spelling structure lint

# Print the HTTP contract and the settings into the files that are committed.
contract:
    cargo run --release -- openapi > openapi/openapi.json
    cargo run --release -- config > config/default.toml
    cargo run --release -- config --reference > docs/settings.md

# Run the benches: `just bench planner`.
bench *NAME:
    cargo bench {{ if NAME == "" { "" } else { "--bench " + NAME } }}

# After new weights of kandinsky-mini: draw all images again that depend on them.
refresh:
    tools/refresh_pictures.sh

# Everything that must hold before a change lands, or some steps of it: `just ci lint test`.
ci *STEPS:
    .ci/run {{STEPS}}

# Serve the embedded model on http://127.0.0.1:8080.
serve *FLAGS:
    cargo run --release -- serve {{FLAGS}}

# Fuzz each target for some minutes: `just fuzz 5 json`.
fuzz MINUTES *TARGETS:
    .ci/fuzz {{MINUTES}} {{TARGETS}}
