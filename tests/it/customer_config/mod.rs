//! What a customer is sent.

mod facts;
mod golden;
mod program;
mod qr;
mod scene;
mod uci;
mod wg_quick;
