//! The room `packet`: what is read, taken apart, put together and changed in a
//! packet, against plain references.

mod build;
mod checksum;
mod ecn;
mod gro;
mod gro_properties;
mod gso;
mod icmp;
mod translate;
