//! BFD's state machine, with time that the test moves: every transition, and two of
//! them against one another.

use lockgate::bfd::{
    Arrival, Diagnostic, Discard, DownReason, Event, Hops, Malformed, Output, Packet, Session,
    SessionOutput, Sessions, Settings, State, Timing,
};
use lockgate::net::{Instant, Jitter};
use proptest::prelude::*;
use std::net::IpAddr;
use std::time::Duration;

const OURS: u32 = 0x0a0b_0c0d;
const THEIRS: u32 = 0x0102_0304;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What the other end says.
fn packet(state: State) -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        is_final: false,
        control_plane_independent: false,
        demand: false,
        detect_multiplier: 3,
        my_discriminator: THEIRS,
        your_discriminator: OURS,
        desired_min_tx: millis(300),
        required_min_rx: millis(300),
        required_min_echo_rx: Duration::ZERO,
    }
}

/// One end, and the time.
struct One {
    session: Session,
    now: Instant,
    events: Vec<Event>,
}

impl One {
    fn new() -> Self {
        let now = Instant::from_secs(100);
        let session = Session::new(Timing::default(), OURS, 1, now);
        Self { session, now, events: Vec::new() }
    }

    fn in_state(state: State) -> Self {
        let mut one = Self::new();
        match state {
            State::AdminDown => one.session.admin_down(one.now),
            State::Down => {}
            State::Init => drop(one.hear(packet(State::Down))),
            State::Up => {
                one.hear(packet(State::Down));
                one.hear(packet(State::Up));
                one.hear(Packet { is_final: true, ..packet(State::Up) });
            }
        }
        assert_eq!(one.session.state(), state);
        one.sent();
        one.events.clear();
        one
    }

    /// What was sent since the last call.
    fn sent(&mut self) -> Vec<Packet> {
        let mut sent = Vec::new();
        while let Some(output) = self.session.poll_output() {
            match output {
                SessionOutput::Send(packet) => sent.push(packet),
                SessionOutput::Event(event) => self.events.push(event),
            }
        }
        sent
    }

    /// The other end says this now.
    fn hear(&mut self, packet: Packet) -> Vec<Packet> {
        self.session.handle_packet(&packet, self.now);
        self.sent()
    }

    /// Time passes; gives when what was sent.
    fn pass(&mut self, time: Duration) -> Vec<(Instant, Packet)> {
        let end = self.now + time;
        let mut sent = Vec::new();
        while let Some(at) = self.session.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.session.handle_timeout(self.now);
            sent.extend(self.sent().into_iter().map(|packet| (self.now, packet)));
            assert!(sent.len() < 1_000, "it sends all the time");
        }
        self.now = end;
        sent
    }
}

/// The table of RFC 5880 §6.8.6, all of it.
#[test]
fn every_state_goes_where_the_rfc_says() {
    use State::{AdminDown, Down, Init, Up};
    for (from, heard, to) in [
        (Down, AdminDown, Down),
        (Down, Down, Init),
        (Down, Init, Up),
        (Down, Up, Down),
        (Init, AdminDown, Down),
        (Init, Down, Init),
        (Init, Init, Up),
        (Init, Up, Up),
        (Up, AdminDown, Down),
        (Up, Down, Down),
        (Up, Init, Up),
        (Up, Up, Up),
        (AdminDown, AdminDown, AdminDown),
        (AdminDown, Down, AdminDown),
        (AdminDown, Init, AdminDown),
        (AdminDown, Up, AdminDown),
    ] {
        let mut one = One::in_state(from);
        let sent = one.hear(packet(heard));
        assert_eq!(one.session.state(), to, "{from} hears {heard}");
        // What is new is said at once, once.
        assert_eq!(sent.len(), usize::from(from != to), "{from} hears {heard}: {sent:?}");
        let is_news = (from == Up) != (to == Up);
        assert_eq!(one.events.len(), usize::from(is_news), "{from} hears {heard}");
    }
}

#[test]
fn who_is_down_says_why_and_its_owner_is_told_why() {
    for (heard, reason) in [
        (State::AdminDown, DownReason::NeighborAdminDown),
        (State::Down, DownReason::NeighborDown(Diagnostic::DETECTION_TIME_EXPIRED)),
    ] {
        for control_plane_independent in [false, true] {
            let mut one = One::in_state(State::Up);
            let diagnostic = Diagnostic::DETECTION_TIME_EXPIRED;
            let said = Packet { diagnostic, control_plane_independent, ..packet(heard) };
            let sent = one.hear(said);
            assert_eq!(sent[0].diagnostic, Diagnostic::NEIGHBOR_SIGNALED_DOWN);
            assert_eq!(sent[0].state, State::Down);
            assert_eq!(one.events, [Event::Down { reason, control_plane_independent }]);
        }
    }
}

#[test]
fn silence_for_the_detection_time_is_a_failure_and_no_sooner() {
    for (tx, rx, multiplier, expected) in [
        (300, 300, 3, 900),
        // The slower of what it sends and what we take.
        (1_000, 300, 3, 3_000),
        (50, 300, 5, 1_500),
    ] {
        let mut one = One::in_state(State::Up);
        one.hear(Packet {
            detect_multiplier: multiplier,
            desired_min_tx: millis(tx),
            required_min_rx: millis(rx),
            ..packet(State::Up)
        });
        assert_eq!(one.session.detection_time(), Some(millis(expected)));
        one.pass(millis(expected - 1));
        assert_eq!(one.session.state(), State::Up, "{expected} ms");
        let sent = one.pass(millis(1));
        assert_eq!(one.session.state(), State::Down, "{expected} ms");
        let reason = DownReason::DetectionTimeExpired;
        let event = Event::Down { reason, control_plane_independent: false };
        assert_eq!(one.events, [event]);
        let (_, last) = sent.last().unwrap();
        assert_eq!(last.diagnostic, Diagnostic::DETECTION_TIME_EXPIRED);
        // Whoever comes next may be another (RFC 5880 §6.8.1).
        assert_eq!((last.state, last.your_discriminator), (State::Down, 0));
        assert_eq!(one.session.sample().flaps, 1);
    }
    let mut one = One::in_state(State::Init);
    one.pass(millis(900));
    assert_eq!(one.session.state(), State::Down);
    assert_eq!(one.events, [], "it never was up");
}

#[test]
fn nobody_is_sent_more_than_one_packet_a_second_while_nobody_answers() {
    let mut one = One::new();
    let sent = one.pass(Duration::from_secs(100));
    assert!((100..=134).contains(&sent.len()), "{}", sent.len());
    assert!(sent.iter().all(|(_, packet)| packet.desired_min_tx == Duration::from_secs(1)));
    assert!(sent.iter().all(|(_, packet)| packet.required_min_rx == millis(300)));
    for pair in sent.windows(2) {
        let gap = pair[1].0.since(pair[0].0);
        assert!((millis(750)..=millis(1_000)).contains(&gap), "{gap:?}");
    }
}

/// Three to four quarters; where one lost packet is a failure, a tenth is always taken
/// off (RFC 5880 §6.8.7).
#[test]
fn packets_are_spread_by_chance_within_what_the_rfc_allows() {
    for (multiplier, least, most) in [(3, 225, 300), (1, 225, 270)] {
        let mut one = One::in_state(State::Up);
        let timing = Timing { detect_multiplier: multiplier, ..Timing::default() };
        one.session.set_timing(timing, one.now);
        one.hear(Packet {
            is_final: true,
            desired_min_tx: Duration::from_secs(1_000),
            ..packet(State::Up)
        });
        one.pass(millis(1_000));
        let sent = one.pass(Duration::from_secs(100));
        let gaps: Vec<_> = sent.windows(2).map(|pair| pair[1].0.since(pair[0].0)).collect();
        let (shortest, longest) = (*gaps.iter().min().unwrap(), *gaps.iter().max().unwrap());
        assert!(millis(least) <= shortest && longest <= millis(most), "{shortest:?} {longest:?}");
        assert!(millis((most - least) / 2) < longest - shortest, "{shortest:?} {longest:?}");
        assert!(sent.iter().all(|(_, packet)| packet.detect_multiplier == multiplier));
    }
}

#[test]
fn a_neighbor_is_sent_no_more_than_it_wants() {
    let mut one = One::in_state(State::Up);
    one.hear(Packet {
        required_min_rx: millis(2_000),
        detect_multiplier: 255,
        ..packet(State::Up)
    });
    let sent = one.pass(Duration::from_secs(20)).len();
    assert!((10..=14).contains(&sent), "{sent}");
    // Nothing by itself, and an answer still (RFC 5880 §6.8.7).
    let quiet =
        Packet { required_min_rx: Duration::ZERO, detect_multiplier: 255, ..packet(State::Up) };
    one.hear(quiet);
    assert_eq!(one.pass(Duration::from_secs(20)).len(), 0);
    assert_eq!(one.hear(Packet { poll: true, ..quiet }).len(), 1);
    // In demand mode nothing either, while it is up there (RFC 5880 §6.6).
    let demand = Packet { demand: true, detect_multiplier: 255, ..packet(State::Up) };
    one.hear(demand);
    assert_eq!(one.pass(Duration::from_secs(20)).len(), 0);
    one.hear(Packet { demand: false, ..demand });
    assert!(40 < one.pass(Duration::from_secs(20)).len());
}

#[test]
fn a_poll_is_answered_at_once_and_moves_no_timer() {
    for state in [State::Down, State::Init, State::Up] {
        let mut one = One::in_state(state);
        let asked = Packet { poll: true, ..packet(State::Up) };
        let due = one.session.poll_timeout();
        let sent = one.hear(asked);
        assert_eq!(sent.len(), 1, "{state}: {sent:?}");
        assert!(sent[0].is_final && !sent[0].poll, "{state}: {sent:?}");
        assert_eq!(sent[0].your_discriminator, THEIRS);
        if state == State::Up {
            assert_eq!(one.session.poll_timeout(), due);
        }
    }
}

/// From the second a packet to three of them: the neighbor is asked whether it knows.
#[test]
fn one_that_comes_up_polls_until_it_is_answered() {
    let mut one = One::in_state(State::Init);
    let sent = one.hear(packet(State::Up));
    assert!(sent[0].poll && sent[0].desired_min_tx == millis(300), "{sent:?}");
    one.hear(packet(State::Up));
    assert!(one.pass(millis(300)).iter().all(|(_, packet)| packet.poll));
    one.hear(Packet { is_final: true, ..packet(State::Up) });
    let sent = one.pass(millis(600));
    assert!(!sent.is_empty() && sent.iter().all(|(_, packet)| !packet.poll), "{sent:?}");
}

/// RFC 5880 §6.8.3: what is slower is said first and done when that is known.
#[test]
fn changed_times_hold_once_the_neighbor_knows_them() {
    let mut one = One::in_state(State::Up);
    let asleep = Packet { detect_multiplier: 100, ..packet(State::Up) };
    one.hear(asleep);
    let slow = Timing { desired_min_tx: millis(2_000), ..Timing::default() };
    one.session.set_timing(slow, one.now);
    let sent = one.pass(millis(3_000));
    assert!(9 < sent.len(), "as fast as before: {}", sent.len());
    assert!(sent.iter().all(|(_, it)| it.poll && it.desired_min_tx == millis(2_000)));
    // Changed again while that is asked: its answer is of the change before.
    let slower = Timing { desired_min_tx: millis(4_000), ..slow };
    one.session.set_timing(slower, one.now);
    one.hear(Packet { is_final: true, ..asleep });
    assert!(one.pass(millis(300)).iter().all(|(_, it)| it.poll));
    one.hear(Packet { is_final: true, ..asleep });
    let sent = one.pass(millis(20_000));
    assert!((4..=7).contains(&sent.len()), "{}", sent.len());
    assert!(sent.iter().all(|(_, it)| !it.poll));

    // Packets may come as slowly as before until it knows that they are to be faster.
    let mut one = One::in_state(State::Up);
    let fast = Packet { desired_min_tx: millis(10), ..packet(State::Up) };
    one.hear(fast);
    let quick = Timing { required_min_rx: millis(100), ..Timing::default() };
    one.session.set_timing(quick, one.now);
    assert_eq!(one.session.detection_time(), Some(millis(900)));
    one.hear(Packet { is_final: true, ..fast });
    assert_eq!(one.session.detection_time(), Some(millis(300)));
}

#[test]
fn one_that_is_taken_down_says_so_and_stays() {
    let mut one = One::in_state(State::Up);
    one.session.admin_down(one.now);
    let sent = one.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].state, State::AdminDown);
    assert_eq!(sent[0].diagnostic, Diagnostic::ADMINISTRATIVELY_DOWN);
    assert_eq!(one.events, [], "whoever did it knows");
    one.hear(Packet { poll: true, ..packet(State::Init) });
    let sent = one.pass(Duration::from_secs(3));
    assert!((3..=4).contains(&sent.len()), "{sent:?}");
    assert!(sent.iter().all(|(_, packet)| packet.state == State::AdminDown));
}

/// Two ends and a line between them that loses packets.
struct Line {
    ends: [One; 2],
    /// Of a thousand packets so many are lost.
    loss: u64,
    chance: Jitter,
    /// What is on its way: when it arrives, to whom.
    flying: Vec<(Instant, usize, Packet)>,
    now: Instant,
}

impl Line {
    fn new(seed: u64, loss: u64) -> Self {
        let end = |discriminator, offset| {
            let now = Instant::from_secs(100);
            let session = Session::new(Timing::default(), discriminator, seed ^ offset, now);
            One { session, now, events: Vec::new() }
        };
        let ends = [end(11, 1), end(22, 2)];
        let now = Instant::from_secs(100);
        Self { ends, loss, chance: Jitter::new(seed), flying: Vec::new(), now }
    }

    fn take(&mut self, at: usize) {
        for packet in self.ends[at].sent() {
            if self.loss <= self.chance.number() % 1_000 {
                // None overtakes another, as on a line.
                let delay = millis(1 + self.chance.number() % 30);
                let before = self.flying.iter().filter(|it| it.1 == 1 - at).map(|it| it.0).max();
                let arrives = (self.now + delay).max(before.unwrap_or_default());
                self.flying.push((arrives, 1 - at, packet));
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let timers = self.ends.iter().filter_map(|end| end.session.poll_timeout());
            let next = timers.chain(self.flying.iter().map(|it| it.0)).min();
            let Some(next) = next.filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            let (here, flying): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.flying).into_iter().partition(|it| it.0 <= self.now);
            self.flying = flying;
            for (_, to, packet) in here {
                // A packet that names somebody else is not handed in.
                let ours = self.ends[to].session.discriminator();
                if packet.your_discriminator == 0 || packet.your_discriminator == ours {
                    self.ends[to].session.handle_packet(&packet, self.now);
                    self.take(to);
                }
            }
            for at in 0..2 {
                self.ends[at].now = self.now;
                self.ends[at].session.handle_timeout(self.now);
                self.take(at);
            }
        }
        self.now = end;
    }

    fn states(&self) -> [State; 2] {
        [0, 1].map(|at| self.ends[at].session.state())
    }
}

#[test]
fn two_ends_shake_hands_stay_up_and_notice_a_cut() {
    let mut line = Line::new(5, 0);
    line.pass(millis(1_100));
    assert_eq!(line.states(), [State::Up; 2]);
    line.pass(Duration::from_secs(600));
    assert_eq!(line.states(), [State::Up; 2]);
    for end in &line.ends {
        let sample = end.session.sample();
        assert_eq!((sample.flaps, sample.detection_time), (0, Some(millis(900))));
        assert_eq!(end.events, [Event::Up]);
        // Three to four quarters of 300 ms each, both ways.
        assert!((2_000..2_700).contains(&sample.sent), "{}", sample.sent);
    }
    line.loss = 1_000;
    line.pass(millis(931));
    assert_eq!(line.states(), [State::Down; 2]);
    line.loss = 0;
    line.pass(millis(2_100));
    assert_eq!(line.states(), [State::Up; 2]);
}

/// One direction alone fails: the other end is told at once.
#[test]
fn an_end_that_is_not_heard_is_told() {
    let mut line = Line::new(5, 0);
    line.pass(Duration::from_secs(5));
    // What the first sends is lost from here on.
    let end = line.now + millis(950);
    while line.now < end {
        line.flying.retain(|it| it.1 == 0);
        line.pass(millis(1));
    }
    assert_eq!(line.states(), [State::Down, State::Down]);
    let reason = DownReason::NeighborDown(Diagnostic::DETECTION_TIME_EXPIRED);
    let event = Event::Down { reason, control_plane_independent: false };
    assert_eq!(line.ends[0].events.last(), Some(&event));
}

proptest! {
    /// However packets are lost: once they are not any more, both are up soon, and stay.
    #[test]
    fn after_any_loss_both_come_up(seed in any::<u64>(), loss in 0_u64..1_000, time in 0_u64..20_000) {
        let mut line = Line::new(seed, loss);
        line.pass(millis(time));
        line.loss = 0;
        line.pass(Duration::from_secs(6));
        prop_assert_eq!(line.states(), [State::Up; 2]);
        let flaps = |line: &Line| [0, 1].map(|at| line.ends[at].session.sample().flaps);
        let before = flaps(&line);
        line.pass(Duration::from_secs(60));
        prop_assert_eq!(flaps(&line), before);
    }

    /// With one of five hundred lost nobody flaps for a minute.
    #[test]
    fn a_few_lost_packets_are_no_failure(seed in 0_u64..200) {
        let mut line = Line::new(seed, 0);
        line.pass(Duration::from_secs(3));
        line.loss = 2;
        line.pass(Duration::from_secs(60));
        prop_assert_eq!(line.states(), [State::Up; 2]);
        prop_assert_eq!(line.ends[0].session.sample().flaps, 0);
    }
}

const NEAR: &str = "10.0.0.2";
const FAR: &str = "10.9.9.9";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A neighbor on the link and one that is at most three hops away.
fn sessions(now: Instant) -> Sessions {
    let near = Settings { hops: Hops::Single, minimum_ttl: 255, timing: Timing::default() };
    let far = Settings { hops: Hops::Multiple, minimum_ttl: 253, timing: Timing::default() };
    let mut sessions = Sessions::new(1);
    sessions.configure(&[(address(NEAR), near), (address(FAR), far)].into(), now);
    sessions
}

fn came(remote: &str, hops: Hops, ttl: u8) -> Arrival {
    Arrival { remote: address(remote), hops, ttl }
}

/// The neighbor's first word.
fn hello() -> Packet {
    Packet { your_discriminator: 0, ..packet(State::Down) }
}

#[test]
fn a_packet_is_taken_from_its_neighbor_alone_and_others_are_counted() {
    let now = Instant::from_secs(100);
    let mut sessions = sessions(now);
    sessions.handle_timeout(now);
    let mut numbers = Vec::new();
    while let Some(Output::Send(_, bytes)) = sessions.poll_output() {
        numbers.push(Packet::decode(&bytes).unwrap().my_discriminator);
    }
    assert!(numbers.len() == 2 && numbers[0] != numbers[1], "{numbers:?}");
    let hello = hello().encode();
    let of = |discriminator| {
        Packet { your_discriminator: discriminator, ..packet(State::Init) }.encode()
    };
    let (of_near, of_far, of_nobody) = (of(numbers[0]), of(numbers[1]), of(77));
    let single = |remote, ttl| came(remote, Hops::Single, ttl);
    let multiple = |remote, ttl| came(remote, Hops::Multiple, ttl);
    for (arrival, bytes, why) in [
        (single(NEAR, 254), &hello[..], Some(Discard::Ttl)),
        (single(NEAR, 0), &of_near, Some(Discard::Ttl)),
        (multiple(FAR, 252), &hello, Some(Discard::Ttl)),
        (multiple(NEAR, 255), &hello, Some(Discard::Port)),
        (single(FAR, 255), &hello, Some(Discard::Port)),
        // Another neighbor's session, and one that is over.
        (single(NEAR, 255), &of_far, Some(Discard::Session)),
        (single(NEAR, 255), &of_nobody, Some(Discard::Session)),
        (single(NEAR, 255), &hello[..20], Some(Discard::Malformed(Malformed::Length))),
        (single("10.0.0.3", 255), &hello, None),
        (multiple("10.0.0.3", 255), &of_near, None),
    ] {
        let before = sessions.strangers();
        let count = |sessions: &Sessions, why| {
            let sample = sessions.sample(arrival.remote).unwrap();
            sample.discarded.get(&why).copied().unwrap_or_default()
        };
        let counted = why.map(|why| count(&sessions, why));
        sessions.handle_packet(&arrival, bytes, now);
        match why {
            Some(why) => assert_eq!(Some(count(&sessions, why)), counted.map(|it| it + 1)),
            None => assert_eq!(sessions.strangers(), before + 1),
        }
        for neighbor in [NEAR, FAR] {
            let sample = sessions.sample(address(neighbor)).unwrap();
            assert_eq!(sample.session.state, State::Down, "{arrival:?}");
            assert_eq!(sample.session.received, 0, "{arrival:?}");
        }
    }
    sessions.handle_packet(&single(NEAR, 255), &hello, now);
    sessions.handle_packet(&multiple(FAR, 253), &of_far, now);
    let state = |neighbor| sessions.sample(address(neighbor)).unwrap().session.state;
    assert_eq!([state(NEAR), state(FAR)], [State::Init, State::Up]);
}

#[test]
fn what_did_not_change_goes_on_and_what_is_gone_says_so_for_a_while() {
    let now = Instant::from_secs(100);
    let mut sessions = sessions(now);
    let arrival = came(NEAR, Hops::Single, 255);
    sessions.handle_packet(&arrival, &hello().encode(), now);
    let near = Settings { hops: Hops::Single, minimum_ttl: 255, timing: Timing::default() };
    sessions.configure(&[(address(NEAR), near)].into(), now);
    assert_eq!(sessions.sample(address(NEAR)).unwrap().session.state, State::Init);
    assert!(sessions.sample(address(FAR)).is_none());
    assert_eq!(sessions.addresses().count(), 2);
    let mut said = 0;
    let end = now + Duration::from_secs(10);
    let mut at = now;
    loop {
        while let Some(output) = sessions.poll_output() {
            if let Output::Send(to, bytes) = output
                && to == address(FAR)
            {
                assert_eq!(Packet::decode(&bytes).unwrap().state, State::AdminDown);
                said += 1;
            }
        }
        let Some(next) = sessions.poll_timeout().filter(|at| *at <= end) else { break };
        at = at.max(next);
        sessions.handle_timeout(at);
    }
    assert!((2..=5).contains(&said), "{said}");
    assert_eq!(sessions.addresses().count(), 1);
}

/// How long each says that it leaves hangs on what the other end asked for: hours, if it
/// likes. Neighbors that come out of a range and go were added up without end.
#[test]
fn who_is_gone_is_told_so_for_hours_by_a_bounded_number_of_sessions() {
    let now = Instant::from_secs(100);
    let mut sessions = Sessions::new(1);
    let settings = Settings { hops: Hops::Single, minimum_ttl: 255, timing: Timing::default() };
    let at = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
    for n in 0..200 {
        sessions.configure(&[(at(n), settings)].into(), now + millis(u64::from(n)));
    }
    let left: Vec<IpAddr> = sessions.addresses().collect();
    assert_eq!(left.len(), 1 + lockgate::model::limits::BFD_LEAVING);
    assert!(left.contains(&at(199)), "who is wanted stays");
    assert!(left.contains(&at(198)) && !left.contains(&at(0)), "the first to be done went");
}
