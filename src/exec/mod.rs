//! Physical operators, and the formats that rows come in and go out in.

pub mod copy;
//! Physical operators.

pub mod asof_join;
