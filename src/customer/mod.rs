//! The room `customer`.
