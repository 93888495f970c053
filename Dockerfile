# Trains, samples and evaluates without a window, on nothing but Debian's own packages: its compiler, and a graphics
# card that is a program (lavapipe), so that the kernels run anywhere.
#
#   docker build --tag jempp .
#   docker run --rm --volume "$PWD/runs:/work/runs" jempp train --preset fashion-quick --out runs/first
#
# `--device 0` takes lavapipe; without it the CPU back end computes, which is faster than any such program. What is
# written belongs to the user of the container: --user "$(id -u)" makes it yours.

# With --build-arg FEATURES=fetch,mpi it trains on several ranks: see docs/scale.md.
ARG FEATURES=fetch

FROM debian:bookworm-slim AS build
ARG FEATURES
# Debian builds its browsers with cargo-web and rustc-web, which are as new as those need; `cargo` is years older.
RUN apt-get update \
    && case ",$FEATURES," in *,mpi,*) mpi="libopenmpi-dev libclang-dev";; esac \
    && apt-get install --yes --no-install-recommends ca-certificates cargo-web gcc libc6-dev rustc-web $mpi \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /jempp
COPY . .
RUN cargo build --profile dist --locked --no-default-features --features "$FEATURES"

FROM debian:bookworm-slim
ARG FEATURES
RUN apt-get update \
    && case ",$FEATURES," in *,mpi,*) mpi="openmpi-bin";; esac \
    && apt-get install --yes --no-install-recommends ca-certificates libvulkan1 mesa-vulkan-drivers $mpi \
    && rm -rf /var/lib/apt/lists/* \
    && mkdir --mode=1777 /work
COPY --from=build /jempp/target/dist/jempp /usr/local/bin/jempp
# Downloads of `jempp fetch`, worth a volume of their own.
ENV JEMPP_CACHE=/work/data
WORKDIR /work
ENTRYPOINT ["jempp"]
CMD ["--help"]
