# The stock `nats` CLI in the version that the tests run, and nothing else: no shell, no package manager. The image
# natsio/nats-box would do as well, once it has 0.5.1: 0.19.5 has 0.4.0, which does not know `nats backup`.
#   docker build -f deploy/nats-cli.Dockerfile -t natterjack-nats-cli:0.5.1 deploy

FROM golang:1.26-bookworm AS program
RUN CGO_ENABLED=0 go install -trimpath github.com/nats-io/natscli/nats@v0.5.1

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=program /go/bin/nats /usr/local/bin/nats
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/nats"]
