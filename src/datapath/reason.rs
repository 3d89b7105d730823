//! Why a packet was dropped outside of the device: at a descriptor.

/// Declares the reasons once, so that list and names cannot part.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal;)+) => {
        /// Why a packet was dropped before it came to the device, or after.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum PathDrop {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl PathDrop {
            /// Every reason, in the order of the enum.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The reason in snake_case: a metric's label, a key in JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

reasons! {
    /// The UDP socket's buffer, or the queue of the link, was full.
    SendNoRoom => "send_no_room";
    /// The kernel would not send the datagram: no route, a filter, a link that is down.
    SendRefused => "send_refused";
    /// The datagram was longer than any there can be of ours.
    ReceiveTruncated => "receive_truncated";
    /// The TUN would not take the packet: its link is down, or the packet is malformed.
    TunRefused => "tun_refused";
    /// What the TUN handed over contradicts its own header.
    TunHeader => "tun_header";
    /// It is what was sealed for this peer before: the way to its endpoint leads
    /// into its own tunnel.
    RoutingLoop => "routing_loop";
    /// A congestion mark that an inner packet cannot carry (RFC 6040 §4.2).
    EcnInvalid => "ecn_invalid";
}

/// How many packets were dropped for each reason.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drops([u64; PathDrop::ALL.len()]);

impl Drops {
    pub(super) fn count(&mut self, reason: PathDrop, packets: u64) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count = count.saturating_add(packets);
        }
    }

    /// Reasons that occurred, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let named = PathDrop::ALL.iter().zip(self.0).map(|(reason, count)| (reason.name(), count));
        named.filter(|&(_, count)| count > 0)
    }
}
