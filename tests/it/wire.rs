//! The Postgres protocol: drivers, pipelines, cancel, COPY, and clients that mean no good.

mod driver;
mod raw;
mod server;
mod shape;
mod stop;
