# syntax=docker/dockerfile:1
# Two images: `--target cpu` (the default) and `--target cuda`. Both run as a user without rights, keep their state in
# /data and look for models in /models; nothing else is written. They listen on all addresses, and so want API keys unless
# they are told otherwise (KANDINSKY__AUTH__ALLOW_ANONYMOUS=true).

ARG RUST_VERSION=1.95
ARG CUDA_VERSION=12.9.1
# Of the package: `full` is everything that needs no other hardware; `full c2pa` also signs images.
ARG FEATURES=full

# ---- what both builds have in common: dependencies first, so that they are built again only when they change ----

FROM rust:${RUST_VERSION}-bookworm AS build-cpu
ARG FEATURES
WORKDIR /build
ENV CARGO_INCREMENTAL=0 RUSTFLAGS="--remap-path-prefix=/build=kandinsky"
COPY Cargo.toml Cargo.lock ./
COPY src/tensor/Cargo.toml src/tensor/
RUN echo 'fn main() {}' > src/main.rs && touch src/lib.rs src/tensor/lib.rs \
    && cargo build --profile dist --locked --features "${FEATURES}" --bin kandinsky \
    && rm -r src
COPY . .
# What was copied may be older than what was built of the empty sources.
RUN touch src/main.rs src/lib.rs src/tensor/lib.rs \
    && cargo build --profile dist --locked --features "${FEATURES}" --bin kandinsky \
    && install -D target/dist/kandinsky /out/kandinsky \
    && install -d -m 700 /out/data && install -d /out/models

FROM nvidia/cuda:${CUDA_VERSION}-devel-ubuntu24.04 AS build-cuda
ARG RUST_VERSION
ARG FEATURES
# The compute capability of the oldest GPU to run on: 80 is an A100, 86 an RTX 30, 89 an RTX 40 or L4, 90 an H100.
ARG CUDA_COMPUTE_CAP=80
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential ca-certificates curl pkg-config \
    && rm -rf /var/lib/apt/lists/*
RUN curl --proto '=https' --tlsv1.2 -fsS https://sh.rustup.rs \
    | sh -s -- -y --no-modify-path --profile minimal --default-toolchain ${RUST_VERSION}
ENV PATH=/root/.cargo/bin:${PATH} CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP} \
    CARGO_INCREMENTAL=0 RUSTFLAGS="--remap-path-prefix=/build=kandinsky"
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src/tensor/Cargo.toml src/tensor/
RUN echo 'fn main() {}' > src/main.rs && touch src/lib.rs src/tensor/lib.rs \
    && cargo build --profile dist --locked --features "cuda ${FEATURES}" --bin kandinsky \
    && rm -r src
COPY . .
RUN touch src/main.rs src/lib.rs src/tensor/lib.rs \
    && cargo build --profile dist --locked --features "cuda ${FEATURES}" --bin kandinsky \
    && install -D target/dist/kandinsky /out/kandinsky \
    && install -d -m 700 /out/data && install -d /out/models

# ---- what runs ----

FROM nvidia/cuda:${CUDA_VERSION}-runtime-ubuntu24.04 AS cuda
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build-cuda /out/kandinsky /usr/local/bin/kandinsky
COPY --from=build-cuda --chown=65532:65532 /out/data /data
COPY --from=build-cuda --chown=65532:65532 /out/models /models
ENV KANDINSKY__SERVER__LISTEN=0.0.0.0:8080 KANDINSKY__SERVER__DATA=/data HF_HOME=/models/huggingface
USER 65532:65532
WORKDIR /data
VOLUME ["/data", "/models"]
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=10m --start-interval=2s --retries=3 \
    CMD ["/usr/local/bin/kandinsky", "health"]
ENTRYPOINT ["/usr/local/bin/kandinsky"]
CMD ["serve"]

# No shell and no package manager: the C library, the certificates of authorities and the binary.
FROM gcr.io/distroless/cc-debian12:nonroot AS cpu
COPY --from=build-cpu /out/kandinsky /usr/local/bin/kandinsky
COPY --from=build-cpu --chown=65532:65532 /out/data /data
COPY --from=build-cpu --chown=65532:65532 /out/models /models
ENV KANDINSKY__SERVER__LISTEN=0.0.0.0:8080 KANDINSKY__SERVER__DATA=/data HF_HOME=/models/huggingface
USER 65532:65532
WORKDIR /data
VOLUME ["/data", "/models"]
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=10m --start-interval=2s --retries=3 \
    CMD ["/usr/local/bin/kandinsky", "health"]
ENTRYPOINT ["/usr/local/bin/kandinsky"]
CMD ["serve"]
