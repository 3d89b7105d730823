//! The peers of a device: found by slot, by handle, or by key.

use crate::net::PublicKey;
use crate::wireguard::peer::Peer;
use crate::wireguard::{PeerConfig, PeerIndex};
use std::collections::BTreeMap;

#[derive(Default)]
struct Slot {
    /// Peers that were here before; a handle of theirs leads nowhere.
    generation: u32,
    peer: Option<Box<Peer>>,
}

/// The peers.
#[derive(Default)]
pub(super) struct Peers {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_key: BTreeMap<PublicKey, PeerIndex>,
}

impl Peers {
    /// Bytes a slot takes besides the peer in it.
    pub(super) const SLOT_BYTES: usize = size_of::<Slot>();

    /// Adds a peer; there must be none with this key.
    pub(super) fn add(&mut self, key: PublicKey, config: PeerConfig) -> PeerIndex {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let place = &mut self.slots[slot as usize];
        let index = PeerIndex { slot, generation: place.generation };
        place.peer = Some(Box::new(Peer::new(index, key, config)));
        self.by_key.insert(key, index);
        index
    }

    /// Takes a peer out.
    pub(super) fn remove(&mut self, key: &PublicKey) -> Option<Box<Peer>> {
        let index = self.by_key.remove(key)?;
        let place = self.slots.get_mut(index.slot as usize)?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(index.slot);
        place.peer.take()
    }

    /// The peer with this key.
    pub(super) fn find(&self, key: &PublicKey) -> Option<PeerIndex> {
        self.by_key.get(key).copied()
    }

    /// The peer of a handle.
    pub(super) fn get(&mut self, index: PeerIndex) -> Option<&mut Peer> {
        let slot = self.slots.get_mut(index.slot as usize)?;
        if slot.generation == index.generation { slot.peer.as_deref_mut() } else { None }
    }

    /// The peer in a slot.
    pub(super) fn at(&mut self, slot: u32) -> Option<&mut Peer> {
        self.slots.get_mut(slot as usize)?.peer.as_deref_mut()
    }

    /// All peers, to look at.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.slots.iter().filter_map(|slot| slot.peer.as_deref())
    }

    /// All peers.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.slots.iter_mut().filter_map(|slot| slot.peer.as_deref_mut())
    }

    /// All keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.by_key.keys()
    }
}
