//! The edge: WebSocket and HTTP in, NATS out. It never talks to Postgres.
