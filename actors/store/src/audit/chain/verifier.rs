//! A walk along the chain that names the first thing that is wrong with it.

use std::fmt;

use sentinel_domain::audit::{AuditEvent, RecoveryReason};
use serde::{Deserialize, Serialize};

use super::{GENESIS, Hash, Head};

/// What is wrong at a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakKind {
    /// A row's content and its hash do not belong together.
    Altered,
    /// A row does not continue the row before it, or differs from a head kept apart: one of the two was rewritten.
    Rewritten,
    /// Rows are missing between two others.
    Deleted,
    /// Rows stand in the wrong order.
    Swapped,
    /// There is a row too many.
    Inserted,
    /// Rows are missing at the beginning, and no anchor says that they expired.
    HeadCut,
    /// Rows are missing at the end: a head kept apart knows more of them.
    TailCut,
    /// The store belongs to another chain than the head kept apart.
    StoreReplaced,
    /// The head kept apart is missing or unreadable, so that a cut tail could not be seen.
    HeadLost,
    /// The row is not one that this program writes.
    Unreadable,
    /// The search columns beside a row do not agree with it.
    Index,
}

impl fmt::Display for BreakKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Altered => "altered",
            Self::Rewritten => "rewritten",
            Self::Deleted => "deleted",
            Self::Swapped => "swapped",
            Self::Inserted => "inserted",
            Self::HeadCut => "head_cut",
            Self::TailCut => "tail_cut",
            Self::StoreReplaced => "store_replaced",
            Self::HeadLost => "head_lost",
            Self::Unreadable => "unreadable",
            Self::Index => "index",
        })
    }
}

/// The first place where a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Break {
    /// What is wrong.
    pub kind: BreakKind,
    /// The first sequence that is concerned.
    pub sequence: u64,
    /// The same for people.
    pub detail: String,
}

/// One stored row as the walk sees it.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The sequence under which the store keeps it, if the store has such a key.
    pub position: Option<u64>,
    /// The hash stored with it.
    pub hash: Hash,
    /// Its canonical text.
    pub canonical: &'a [u8],
}

/// What a walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Records of requests.
    pub entries: u64,
    /// Rows that the trail wrote about itself.
    pub events: u64,
    /// The last row.
    pub head: Head,
    /// The first break, if there is one.
    pub first_break: Option<Break>,
}

/// The part of a row that links it.
#[derive(Deserialize)]
struct Links {
    sequence: u64,
    prev_hash: String,
    #[serde(default)]
    event: Option<AuditEvent>,
}

/// Walks along a chain, row by row, in constant memory.
#[derive(Debug, Default)]
pub struct Verifier {
    /// The row before the next one.
    last: Head,
    started: bool,
    /// The walk began in the middle, so that its start needs no anchor.
    from_middle: bool,
    /// What the first row says about the row before it, if that is not the genesis.
    start: Option<Head>,
    /// The last anchor in the chain.
    anchor: Option<Head>,
    /// An anchor that the store keeps beside the rows.
    claimed_anchor: Option<Head>,
    /// Heads known from elsewhere.
    witnesses: Vec<Head>,
    /// The found break is a gap that the next row may explain as a swap.
    gap_before: Option<u64>,
    entries: u64,
    events: u64,
    first_break: Option<Break>,
}

impl Verifier {
    /// Starts at the beginning of a chain; `claimed_anchor` is what the store says about expired rows.
    #[must_use]
    pub fn from_beginning(claimed_anchor: Option<Head>) -> Self {
        Self { claimed_anchor, ..Self::default() }
    }

    /// Starts after a row that is taken for good.
    #[must_use]
    pub fn after(row: Head) -> Self {
        Self { last: row, started: true, from_middle: true, ..Self::default() }
    }

    /// Adds a head known from elsewhere: the walk must meet that row, with that hash.
    #[must_use]
    pub fn witness(mut self, head: Head) -> Self {
        self.witnesses.extend((head.sequence > 0).then_some(head));
        self
    }

    /// Takes the next row. After a break the rows are only counted.
    pub fn push(&mut self, row: Row<'_>) {
        let Ok(links) = serde_json::from_slice::<Links>(row.canonical) else {
            let sequence = row.position.unwrap_or(self.last.sequence.saturating_add(1));
            return self.report(BreakKind::Unreadable, sequence, "not a record".to_owned());
        };
        if links.event.is_some() {
            self.events += 1;
        } else {
            self.entries += 1;
        }
        if let Some(AuditEvent::Anchor { sequence, hash }) = &links.event {
            self.anchor = Hash::from_hex(hash).map(|hash| Head { sequence: *sequence, hash });
        }
        if self.first_break.is_none() {
            self.check(row, &links);
            self.last = Head { sequence: links.sequence, hash: row.hash };
            self.started = true;
        } else if let Some(found) = self.gap_before.take()
            && let Some(gap) = &mut self.first_break
            && (gap.sequence..found).contains(&links.sequence)
        {
            gap.kind = BreakKind::Swapped;
            gap.detail = format!("row {} comes after row {found}", links.sequence);
        }
    }

    /// Records a break that somebody else found at the row taken last.
    pub fn report(&mut self, kind: BreakKind, sequence: u64, detail: String) {
        self.first_break.get_or_insert(Break { kind, sequence, detail });
    }

    /// Ends the walk. `stored_head` is the exact head that the store keeps beside its rows.
    #[must_use]
    pub fn finish(mut self, stored_head: Option<Head>) -> Verdict {
        if self.first_break.is_none() {
            self.check_end(stored_head);
        }
        self.check_start();
        Verdict { entries: self.entries, events: self.events, head: self.last, first_break: self.first_break }
    }

    fn check(&mut self, row: Row<'_>, links: &Links) {
        let expected = self.last.sequence.saturating_add(1);
        let here = row.position.unwrap_or(if self.started { expected } else { links.sequence });
        let Some(previous) = Hash::from_hex(&links.prev_hash) else {
            return self.report(BreakKind::Unreadable, here, "prev_hash is not a hash".to_owned());
        };
        if Hash::of(&previous, row.canonical) != row.hash {
            return self.report(BreakKind::Altered, here, "content and hash differ".to_owned());
        }
        if !self.started {
            if links.sequence != 1 || links.prev_hash != GENESIS {
                self.start = Some(Head { sequence: links.sequence.saturating_sub(1), hash: previous });
            }
        } else if links.sequence > expected {
            if self.explained_by(links, expected) {
                return;
            }
            let missing = links.sequence - expected;
            self.gap_before = Some(links.sequence);
            return self.report(BreakKind::Deleted, expected, format!("{missing} rows are missing here"));
        } else if links.sequence < expected {
            let detail = format!("row {} comes again or too late", links.sequence);
            return self.report(BreakKind::Inserted, links.sequence, detail);
        } else if previous != self.last.hash {
            let detail = format!("row {} does not continue this row", links.sequence);
            return self.report(BreakKind::Rewritten, self.last.sequence, detail);
        }
        if let Some(witness) = self.witnesses.iter().find(|head| head.sequence == links.sequence)
            && witness.hash != row.hash
        {
            let detail = "differs from the head kept apart".to_owned();
            return self.report(BreakKind::Rewritten, links.sequence, detail);
        }
        self.explained_by(links, expected);
    }

    /// Takes what the trail itself found when it was opened; such a finding stays visible for good.
    fn explained_by(&mut self, links: &Links, expected: u64) -> bool {
        let Some(AuditEvent::Recovered { reason, expected_sequence, found_sequence, .. }) = &links.event
        else {
            return false;
        };
        let (kind, sequence) = match reason {
            RecoveryReason::UncleanStop => return false,
            RecoveryReason::TailMissing | RecoveryReason::StoreDeleted => {
                (BreakKind::TailCut, found_sequence.saturating_add(1))
            }
            RecoveryReason::StoreReplaced => (BreakKind::StoreReplaced, expected),
            RecoveryReason::HeadMissing => (BreakKind::HeadLost, links.sequence),
        };
        let detail = format!(
            "found when the trail was opened: the head said {expected_sequence}, the store ended at {found_sequence}"
        );
        self.report(kind, sequence, detail);
        true
    }

    fn check_start(&mut self) {
        let Some(start) = self.start.filter(|_| !self.from_middle) else { return };
        let vouches = |anchor: &Head| {
            anchor.sequence > start.sequence
                || (anchor.sequence == start.sequence && anchor.hash == start.hash)
        };
        let confirmed = self.anchor.as_ref().is_some_and(vouches);
        // A walk that broke off may not have reached the anchor.
        let claimed = self.first_break.is_some() && self.claimed_anchor.as_ref().is_some_and(vouches);
        if confirmed || claimed {
            return;
        }
        let from =
            self.anchor.map_or(1, |anchor| anchor.sequence.saturating_add(1)).min(start.sequence.max(1));
        let detail =
            format!("the chain begins at {}, and no anchor says why", start.sequence.saturating_add(1));
        self.first_break = Some(Break { kind: BreakKind::HeadCut, sequence: from, detail });
    }

    fn check_end(&mut self, stored_head: Option<Head>) {
        let known = self.witnesses.iter().chain(&stored_head).map(|head| head.sequence).max().unwrap_or(0);
        if known > self.last.sequence {
            let from = self.last.sequence.saturating_add(1);
            let detail = format!("the head kept apart knows rows up to {known}");
            return self.report(BreakKind::TailCut, from, detail);
        }
        let Some(head) = stored_head else { return };
        if self.last.sequence > head.sequence {
            let detail = "the stored head does not know this row".to_owned();
            self.report(BreakKind::Inserted, head.sequence.saturating_add(1), detail);
        } else if self.last.hash != head.hash {
            self.report(BreakKind::Rewritten, head.sequence, "differs from the stored head".to_owned());
        }
    }
}
