//! [`Look`]: one look at a time, and none missed.

/// How looking at something stands that may change while it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nobody looks.
    Idle,
    /// Somebody looks.
    Running,
    /// It changed meanwhile.
    Again,
}

impl Look {
    /// It is to be looked at; says whether that begins now.
    pub(super) const fn begin(&mut self) -> bool {
        let is_idle = matches!(self, Self::Idle);
        *self = if is_idle { Self::Running } else { Self::Again };
        is_idle
    }

    /// It was looked at; says whether that is to be done again.
    pub(super) const fn end(&mut self) -> bool {
        let is_stale = matches!(self, Self::Again);
        *self = Self::Idle;
        is_stale
    }
}
