# One static file and nothing else. scripts/static builds it. A test runs a less optimised build alone in an empty root.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN install -D "$(scripts/static | tail -n 1)" /image/callsign

FROM scratch
COPY --from=build /image /
# Numbers, because the image has no passwd, and runAsNonRoot needs a number anyway.
USER 65532:65532
EXPOSE 1053/udp 1053/tcp 8080/tcp
ENTRYPOINT ["/callsign"]
