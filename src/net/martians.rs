//! Networks that are never anybody's.

/// Networks nobody's customer has, and why.
pub const ALWAYS_FORBIDDEN: [(&str, &str); 10] = [
    ("0.0.0.0/8", "which means this host (RFC 1122)"),
    ("127.0.0.0/8", "which is loopback (RFC 1122)"),
    ("169.254.0.0/16", "which is link-local (RFC 3927)"),
    ("224.0.0.0/4", "which is multicast (RFC 5771)"),
    ("240.0.0.0/4", "which is reserved (RFC 1112)"),
    ("::/128", "which means no address (RFC 4291)"),
    ("::1/128", "which is loopback (RFC 4291)"),
    ("fe80::/10", "which is link-local (RFC 4291)"),
    ("fec0::/10", "which is site-local and deprecated (RFC 3879)"),
    ("ff00::/8", "which is multicast (RFC 4291)"),
];
