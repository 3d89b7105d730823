//! What the kernel says over netlink, as it should be and as it should not.

use lockgate::linux::answer::{Acknowledgements, Answer, NetlinkError};
use proptest::prelude::*;

// <linux/netlink.h>
const ERROR: u16 = 2;
const DONE: u16 = 3;
const NEWLINK: u16 = 16;
const MULTI: u16 = 2;
const DUMP_INTR: u16 = 0x10;
const CAPPED: u16 = 0x100;
const ACK_TLVS: u16 = 0x200;

/// One message: its header says the length it has.
fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (16 + payload.len() as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn verdict(kind: u16, sequence: u32, errno: i32) -> Vec<u8> {
    message(kind, 0, sequence, &(-errno).to_ne_bytes())
}

/// What comes of these datagrams as the answer to question 7: the payloads, and
/// how it ended.
fn take(datagrams: &[Vec<u8>]) -> (Vec<Vec<u8>>, Result<Option<bool>, NetlinkError>) {
    let mut answer = Answer::to(7);
    let mut items = Vec::new();
    for datagram in datagrams {
        let each = |message: &[u8]| {
            items.push(message[16..].to_vec());
            Ok(())
        };
        match answer.take(datagram, each) {
            Ok(None) => {}
            ended => return (items, ended),
        }
    }
    (items, Ok(None))
}

fn malformed(ended: &Result<Option<bool>, NetlinkError>) -> bool {
    matches!(ended, Err(NetlinkError::Malformed(_)))
}

#[test]
fn a_list_ends_with_its_last_datagram() {
    let first = [message(NEWLINK, MULTI, 7, b"one"), message(NEWLINK, MULTI, 7, b"two!")].concat();
    let last = [message(NEWLINK, MULTI, 7, b""), verdict(DONE, 7, 0)].concat();
    let (items, ended) = take(&[first, last]);
    assert_eq!(items, [&b"one"[..], b"two!", b""]);
    assert_eq!(ended.unwrap(), Some(true));
}

/// `NLM_F_DUMP_INTR`: something changed between two of its datagrams, and what was
/// there all the time may be missing.
/// N1 (`NLM_F_DUMP_INTR`).
#[test]
fn a_list_that_changed_while_it_was_read_is_not_taken_for_steady() {
    for place in 0..3 {
        let flags = |at| if at == place { MULTI | DUMP_INTR } else { MULTI };
        let datagrams: Vec<Vec<u8>> =
            (0..2).map(|at| message(NEWLINK, flags(at), 7, b"link")).collect();
        let done = message(DONE, flags(2), 7, &0_i32.to_ne_bytes());
        let (_, ended) = take(&[datagrams, vec![done]].concat());
        assert_eq!(ended.unwrap(), Some(false), "{place}");
    }
}

/// N2.
#[test]
fn what_answers_an_earlier_question_is_passed_over() {
    let stale = [
        message(NEWLINK, MULTI | DUMP_INTR, 6, b"old"),
        verdict(ERROR, 6, libc::EPERM),
        verdict(DONE, 8, 0),
    ];
    let (items, ended) = take(&[stale.concat(), message(NEWLINK, MULTI, 7, b"new")]);
    assert_eq!((items, ended.unwrap()), (vec![b"new".to_vec()], None));
}

/// Attributes as an explanation has them: where the mistake is (`NLMSGERR_ATTR_OFFS`),
/// and what it is (`NLMSGERR_ATTR_MSG`).
fn explained(said: &[u8]) -> Vec<u8> {
    let mut attributes = [&8_u16.to_ne_bytes()[..], &2_u16.to_ne_bytes(), b"OFFS"].concat();
    attributes.extend((4 + said.len() as u16).to_ne_bytes());
    attributes.extend(1_u16.to_ne_bytes());
    attributes.extend(said);
    attributes
}

#[test]
fn a_refusal_has_its_number_and_what_the_kernel_said() {
    // The request that is answered, as far as it is given back: all of it, padded, or
    // its header alone, whose first bytes could be those of an explanation. The last
    // message of a list gives nothing back.
    let whole = [&37_u32.to_ne_bytes()[..], &[0xab; 36]].concat();
    let header = [&0x0001_0010_u32.to_ne_bytes()[..], &[0xab; 12]].concat();
    let answers = [
        (ERROR, ACK_TLVS, whole.as_slice(), "VLAN id out of range"),
        (ERROR, ACK_TLVS | CAPPED, &header, "VLAN id out of range"),
        (DONE, ACK_TLVS, &[], "VLAN id out of range"),
        (ERROR, 0, &whole, ""),
    ];
    for (kind, flags, request, wanted) in answers {
        let code = (-libc::EINVAL).to_ne_bytes();
        let payload = [&code[..], request, &explained(b"VLAN id out of range\0")].concat();
        let (_, ended) = take(&[message(kind, flags, 7, &payload)]);
        let Err(NetlinkError::Refused { said, source }) = ended else { panic!("{ended:?}") };
        assert_eq!((said.as_str(), source.raw_os_error()), (wanted, Some(libc::EINVAL)));
    }
}

#[test]
fn an_item_that_cannot_be_understood_ends_the_list() {
    let list = [message(NEWLINK, MULTI, 7, b"link"), verdict(DONE, 7, 0)].concat();
    let ended = Answer::to(7).take(&list, |_| Err(NetlinkError::Malformed("it".to_owned())));
    assert!(malformed(&ended), "{ended:?}");
}

/// Not to be waited for: nothing more comes of such a datagram.
#[test]
fn a_datagram_that_is_cut_short_was_waited_for_in_vain() {
    let whole = [message(NEWLINK, MULTI, 7, b"link"), verdict(DONE, 7, 0)].concat();
    for len in 1..whole.len() {
        let (items, ended) = take(&[whole[..len].to_vec()]);
        let fits = len == 20;
        assert_eq!((ended.is_ok(), malformed(&ended)), (fits, !fits), "{len}");
        assert_eq!(items.len(), usize::from(20 <= len));
    }
    for length in [0_u32, 1, 15, 21, u32::MAX] {
        let mut datagram = message(NEWLINK, MULTI, 7, b"link");
        datagram[..4].copy_from_slice(&length.to_ne_bytes());
        assert!(malformed(&take(&[datagram]).1), "{length}");
    }
    for payload in [&b""[..], b"\0\0\0"] {
        assert!(malformed(&take(&[message(DONE, 0, 7, payload)]).1));
    }
}

#[test]
fn refusals_count_once_and_the_last_answer_ends_it() {
    let mut answers = Acknowledgements::of(u32::MAX, 3);
    let mut refused = Vec::new();
    // Of others, of no request of these, and of the first one twice.
    let strangers = [
        verdict(ERROR, 5, 0),
        verdict(ERROR, u32::MAX - 1, libc::EPERM),
        message(NEWLINK, 0, u32::MAX, b"event"),
        verdict(ERROR, u32::MAX, 0),
        verdict(ERROR, u32::MAX, libc::EBUSY),
    ];
    assert!(!answers.take(&strangers.concat(), &mut refused).unwrap());
    assert!(!answers.take(&verdict(ERROR, 0, libc::EEXIST), &mut refused).unwrap());
    assert!(answers.take(&verdict(ERROR, 1, 0), &mut refused).unwrap());
    let refused: Vec<String> = refused.iter().map(|(at, error)| format!("{at}: {error}")).collect();
    assert_eq!(refused, ["1: the kernel refused"]);
    // The last one may be refused, too, and nothing need have been said of the others.
    let (mut answers, mut refused) = (Acknowledgements::of(7, 3), Vec::new());
    assert!(answers.take(&verdict(ERROR, 9, libc::ENODEV), &mut refused).unwrap());
    assert_eq!(refused.len(), 1);
    let mut answers = Acknowledgements::of(1, 1);
    assert!(answers.take(&[16, 0, 0], &mut Vec::new()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever comes, it is taken apart to its end, and no item is longer than
    /// the datagram it was in.
    #[test]
    fn any_bytes_end(
        heads in prop::collection::vec((0..40_u32, 0..20_u16, any::<u16>(), 6..9_u32), 0..8),
        tail in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut datagram = Vec::new();
        for (length, kind, flags, sequence) in heads {
            let at = datagram.len();
            datagram.extend(message(kind, flags, sequence, &tail));
            datagram[at..at + 4].copy_from_slice(&length.to_ne_bytes());
        }
        datagram.extend(&tail);
        let mut total = 0;
        let _ = Answer::to(7).take(&datagram, |message| {
            total += message.len();
            Ok(())
        });
        prop_assert!(total <= datagram.len());
        let mut refused = Vec::new();
        let _ = Acknowledgements::of(6, 3).take(&datagram, &mut refused);
        prop_assert!(refused.len() <= 3);
    }
}
