//! The room `linux`.
