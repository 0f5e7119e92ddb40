//! Slots of a Redis Cluster: which one a key is in, and which primary owns it.

/// How many there are.
pub(super) const SLOTS: usize = 16_384;

/// The slot of a key: CRC16 (XMODEM) of its hash tag, or of the whole key if it has none.
pub(super) fn slot_of(key: &[u8]) -> usize {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}').filter(|length| *length > 0)?;
        Some(&rest[..close])
    });
    usize::from(crc16(tag.unwrap_or(key))) % SLOTS
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 },
        )
    })
}

/// What nodes say about the cluster, put together. Where they disagree about a slot, the claim with the higher
/// configuration epoch counts: that is how the nodes themselves settle it.
#[derive(Debug)]
pub(super) struct View {
    /// Addresses of all nodes, primaries or not.
    pub(super) nodes: Vec<String>,
    /// Per slot, the highest configuration epoch that claims it, and the place of that node in `nodes`.
    owners: Vec<Option<(u64, usize)>>,
}

impl Default for View {
    fn default() -> Self {
        Self { nodes: Vec::new(), owners: vec![None; SLOTS] }
    }
}

impl View {
    /// Adds what the node at `asked` answered to `CLUSTER NODES`.
    pub(super) fn add(&mut self, asked: &str, answer: &str) {
        for line in answer.lines() {
            // Whatever cannot be read is left out; its slots are then without an owner, and nothing is sent for them.
            let _ = self.add_node(asked, line);
        }
    }

    fn add_node(&mut self, asked: &str, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split(' ').collect();
        let (address, flags) = (words.get(1)?.split(['@', ',']).next()?, *words.get(2)?);
        let is = |wanted: &str| flags.split(',').any(|flag| flag == wanted);
        if is("noaddr") || is("handshake") {
            return None;
        }
        // A node that was not told its own address is where it was asked.
        let address = if is("myself") && address.starts_with(':') { asked } else { address };
        let known = self.nodes.iter().position(|known| known == address);
        let node = known.unwrap_or_else(|| {
            self.nodes.push(address.to_owned());
            self.nodes.len() - 1
        });
        if !is("master") {
            return None;
        }
        let config_epoch: u64 = words.get(6)?.parse().ok()?;
        for range in words.get(8..)?.iter().filter(|range| !range.starts_with('[')) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let slots = self.owners.get_mut(first.parse().ok()?..=last.parse().ok()?)?;
            for claim in slots.iter_mut().filter(|claim| claim.is_none_or(|(epoch, _)| epoch < config_epoch)) {
                *claim = Some((config_epoch, node));
            }
        }
        Some(())
    }

    /// The primary that owns a slot.
    pub(super) fn owner(&self, slot: usize) -> Option<&str> {
        let (_, node) = self.owners.get(slot).copied().flatten()?;
        self.nodes.get(node).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot_of(b"foo"), 12_182);
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"user1000"));
        assert_eq!(slot_of(b"foo{}{bar}"), usize::from(crc16(b"foo{}{bar}")) % SLOTS);
        assert_eq!(slot_of(b"foo{{bar}}zap"), slot_of(b"{bar"));
        assert_eq!(slot_of(b"foo{bar}{zap}"), slot_of(b"bar"));
        assert_eq!(slot_of(b"t1:{sku:7}:stock"), slot_of(b"t1:{sku:7}:holds"));
    }

    #[test]
    fn the_newer_claim_counts_whoever_is_asked_first() {
        let old =
            "a1 10.0.0.1:1@11 myself,master - 0 0 1 connected 0-99 200\nb1 10.0.0.2:1@11 slave a1 0 0 1 connected\n";
        let new = "b1 :1@11,host myself,master - 0 0 7 connected 0-99 [93->-c1]\na1 10.0.0.1:1@11 master,fail - 0 0 1 x 200\nzz :0@0 noaddr,master - 0 0 9 x 0-99";
        for turn in [[("10.0.0.1:1", old), ("10.0.0.2:1", new)], [("10.0.0.2:1", new), ("10.0.0.1:1", old)]] {
            let mut view = View::default();
            turn.iter().for_each(|(asked, answer)| view.add(asked, answer));
            assert_eq!((view.owner(0), view.owner(99)), (Some("10.0.0.2:1"), Some("10.0.0.2:1")));
            assert_eq!((view.owner(200), view.owner(100)), (Some("10.0.0.1:1"), None));
            assert_eq!(view.nodes.len(), 2);
        }
    }
}
