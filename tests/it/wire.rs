//! The Postgres protocol: drivers, pipelines, cancel, COPY, and clients that mean no good.

mod driver;
mod progress;
mod raw;
mod server;
mod shape;
mod stop;
mod together;
