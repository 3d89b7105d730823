//! Probes without sockets, with time and answers that the test makes up.

mod prober;
mod properties;
mod window;
mod world;
