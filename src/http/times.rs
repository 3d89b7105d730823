//! How long anything at the status endpoint may take.

use std::time::Duration;

/// How long anything may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// From a connection's beginning, or the last answer, to the end of a head; and as
    /// long again for a handshake before it.
    pub head: Duration,
    /// The longest a connection is kept, however slowly its reader reads. A scrape that
    /// keeps its connection opens a new one then.
    pub connection: Duration,
    /// How long a stream of events lives, a little less than its connection may.
    pub stream: Duration,
    /// How long its reader may take to read one message.
    pub message: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(5),
            connection: Duration::from_secs(60),
            stream: Duration::from_secs(55),
            message: Duration::from_secs(10),
        }
    }
}
