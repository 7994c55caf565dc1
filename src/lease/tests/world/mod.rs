//! The simulated world: one apiserver, some processes, and a dice that hurts them.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::Duration,
};

use serin_lease::{Ask, Candidate, Event, Record, Role, Timing};

/// True time, which nobody in the world knows: microseconds.
type Micros = u64;
const SECOND: Micros = 1_000_000;

/// A small generator: the same seed, the same story (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }
}

/// What happened.
#[derive(Debug, Default)]
pub struct Told {
    pub handovers: usize,
    pub writes: usize,
    /// Writes that the fence refused to begin.
    pub refused: usize,
    /// Writes that were begun, and held back before the first byte was out.
    pub never_sent: usize,
    /// Writes that happened when another had the lease.
    pub violations: usize,
    /// Longest time in which nobody led, in seconds.
    pub longest_gap: u64,
}

/// A moment in which something happens to a process; stale ones are known by the incarnation.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Wake(u64),
    Reply(u64),
    GiveUp(u64),
    /// A watch shows the lease as it was at this version.
    News(u64),
    /// Something is to be written.
    Try,
    /// What was begun goes out.
    Send(u32),
    /// SIGTERM.
    Stop,
    /// Nothing that it wrote is under way any more, or it does not know.
    Drained,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    To {
        process: usize,
        incarnation: u64,
        what: What,
    },
    /// A request about the lease reaches the apiserver.
    Lease {
        process: usize,
        incarnation: u64,
        request: u64,
    },
    /// A write happens in the apiserver.
    Write {
        name: String,
        epoch: u32,
    },
    Start(usize),
    Fault,
}

struct Process {
    name: String,
    incarnation: u64,
    candidate: Candidate,
    /// Its clock: where it began, and how fast it runs, in parts of a million more.
    began: Micros,
    rate: i64,
    paused_until: Micros,
    cut_until: Micros,
    /// When the fence opened last, on its own clock.
    renewed: Option<Duration>,
    epoch: u32,
    closed: bool,
    request: u64,
    wake: Duration,
    wakes: u64,
}

/// All there is.
pub struct World {
    dice: Dice,
    timing: Timing,
    now: Micros,
    order: u64,
    heap: BinaryHeap<Reverse<(Micros, u64, Moment)>>,
    processes: Vec<Option<Process>>,
    incarnations: u64,
    /// The lease as it was after each change; the last is how it is.
    lease: Vec<Record>,
    asked: HashMap<u64, Ask>,
    replies: HashMap<u64, Event>,
    requests: u64,
    faults: bool,
    fenced: bool,
    led_until: Micros,
    told: Told,
}

impl World {
    pub fn new(seed: u64, processes: usize) -> Self {
        let mut world = Self {
            dice: Dice(seed),
            timing: Timing::of(15),
            now: 0,
            order: 0,
            heap: BinaryHeap::new(),
            processes: (0..processes).map(|_| None).collect(),
            incarnations: 0,
            lease: Vec::new(),
            asked: HashMap::new(),
            replies: HashMap::new(),
            requests: 0,
            faults: true,
            fenced: true,
            led_until: 0,
            told: Told::default(),
        };
        for process in 0..processes {
            world.at(0, Moment::Start(process));
        }
        world.at(SECOND, Moment::Fault);
        world
    }
    pub fn calm(seed: u64, processes: usize) -> Self {
        Self { faults: false, ..Self::new(seed, processes) }
    }
    pub fn unfenced(seed: u64, processes: usize) -> Self {
        Self { fenced: false, ..Self::new(seed, processes) }
    }

    pub fn run(mut self, seconds: u64) -> Told {
        while let Some(Reverse((at, _, moment))) = self.heap.pop() {
            if at > seconds * SECOND {
                break;
            }
            self.now = at;
            match moment {
                Moment::Start(process) => self.start(process),
                Moment::Fault => self.fault(),
                Moment::Lease { process, incarnation, request } => {
                    self.arrive(process, incarnation, request);
                }
                Moment::Write { name, epoch } => self.written(&name, epoch),
                Moment::To { process, incarnation, what } => self.to(process, incarnation, what),
            }
        }
        self.told
    }

    fn at(&mut self, at: Micros, moment: Moment) {
        self.order += 1;
        self.heap.push(Reverse((at, self.order, moment)));
    }

    fn tell(&mut self, process: usize, after: Micros, what: What) {
        let Some(p) = &self.processes[process] else { return };
        let incarnation = p.incarnation;
        self.at(self.now + after, Moment::To { process, incarnation, what });
    }

    fn start(&mut self, process: usize) {
        self.incarnations += 1;
        let name = format!("p{process}-{}", self.incarnations);
        // A clock may begin anywhere, and run up to one in a hundred too slow or too fast.
        let began = self.dice.roll(1_000_000 * SECOND);
        let rate = i64::try_from(self.dice.roll(20_000)).unwrap() - 10_000;
        self.processes[process] = Some(Process {
            candidate: Candidate::new(name.clone(), self.timing),
            name,
            incarnation: self.incarnations,
            began,
            rate,
            paused_until: 0,
            cut_until: 0,
            renewed: None,
            epoch: 0,
            closed: false,
            request: 0,
            wake: Duration::ZERO,
            wakes: 0,
        });
        self.step(process, Event::Tick);
        let first = self.dice.roll(SECOND);
        self.tell(process, first, What::Try);
    }

    /// What its own clock says.
    fn clock(&self, p: &Process) -> Duration {
        let passed = i64::try_from(self.now).unwrap();
        Duration::from_micros(p.began + u64::try_from(passed + passed * p.rate / 1_000_000).unwrap())
    }

    /// True time until its clock says so.
    fn until(&self, p: &Process, moment: Duration) -> Micros {
        let left = moment.saturating_sub(self.clock(p)).as_micros();
        let left = i64::try_from(left.min(u128::from(1000 * SECOND))).unwrap();
        u64::try_from(left - left * p.rate / 1_000_000 + 2).unwrap()
    }

    fn to(&mut self, process: usize, incarnation: u64, what: What) {
        let Some(p) = &self.processes[process] else { return };
        if p.incarnation != incarnation {
            return;
        }
        if self.now < p.paused_until {
            // It stands still; afterwards everything comes at once.
            let at = p.paused_until;
            self.at(at, Moment::To { process, incarnation, what });
            return;
        }
        match what {
            // Another one was set since.
            What::Wake(number) if number != p.wakes => {}
            What::Wake(_) if self.clock(p) >= p.wake => self.step(process, Event::Tick),
            What::Wake(_) => {
                let at = self.now + self.until(p, p.wake);
                self.at(at, Moment::To { process, incarnation, what });
            }
            What::Reply(request) if p.request == request => {
                let event = self.replies.remove(&request).unwrap();
                self.answered(process, event);
            }
            What::GiveUp(request) if p.request == request => self.answered(process, Event::Unknown),
            What::News(version) if p.request == 0 && p.renewed.is_none() => {
                let record = self.lease.iter().rfind(|r| r.version == version.to_string()).cloned();
                self.step(process, Event::News(record));
            }
            What::Reply(_) | What::GiveUp(_) | What::News(_) => {}
            What::Try => self.begin(process),
            What::Send(epoch) => self.send(process, epoch),
            What::Stop => {
                self.processes[process].as_mut().unwrap().closed = true;
                // As long as a write may take.
                let drain = self.timing.way() + self.timing.answer();
                self.tell(process, u64::try_from(drain.as_micros()).unwrap() * 101 / 100, What::Drained);
            }
            What::Drained => self.step(process, Event::Leave),
        }
    }

    fn answered(&mut self, process: usize, event: Event) {
        self.processes[process].as_mut().unwrap().request = 0;
        self.step(process, event);
    }

    /// What the driver of a candidate does.
    fn step(&mut self, process: usize, event: Event) {
        let mut p = self.processes[process].take().unwrap();
        let step = p.candidate.on(event, self.clock(&p));
        p.wake = step.wake;
        match step.role {
            Role::Follows => p.renewed = None,
            Role::Leads { renewed, epoch } => {
                p.renewed = Some(renewed);
                p.epoch = epoch;
            }
            // The process ends; the kubelet starts another.
            Role::Lost(_) | Role::Left => {
                let back = SECOND + self.dice.roll(10 * SECOND);
                self.at(self.now + back, Moment::Start(process));
                return;
            }
        }
        p.wakes += 1;
        if step.wake < Duration::MAX {
            let (incarnation, what) = (p.incarnation, What::Wake(p.wakes));
            let at = self.now + self.until(&p, step.wake);
            self.at(at, Moment::To { process, incarnation, what });
        }
        if let Some(ask) = step.ask {
            self.requests += 1;
            let (request, incarnation) = (self.requests, p.incarnation);
            p.request = request;
            self.asked.insert(request, ask);
            let give_up = self.now + self.until(&p, self.clock(&p) + self.timing.answer());
            self.at(give_up, Moment::To { process, incarnation, what: What::GiveUp(request) });
            // A request that is lost may be so for ever, or come a minute late.
            let way = match self.dice.roll(100) {
                0 if self.faults => None,
                1 if self.faults => Some(self.dice.roll(60 * SECOND)),
                _ if p.cut_until > self.now => {
                    self.dice.one_in(4).then(|| p.cut_until - self.now + self.dice.roll(SECOND))
                }
                _ => Some(1000 + self.dice.roll(20_000)),
            };
            if let Some(way) = way {
                self.at(self.now + way, Moment::Lease { process, incarnation, request });
            }
        }
        self.processes[process] = Some(p);
    }

    /// The apiserver: compare and swap.
    fn arrive(&mut self, process: usize, incarnation: u64, request: u64) {
        let Some(ask) = self.asked.remove(&request) else { return };
        let current = self.lease.last().cloned();
        let (claim, expected) = match ask {
            Ask::Read => {
                return self.reply(process, incarnation, request, Event::Found(current));
            }
            Ask::Create(claim) => (claim, None),
            Ask::Update(version, claim) => (claim, Some(version)),
        };
        if current.as_ref().map(|r| &r.version) != expected.as_ref() {
            return self.reply(process, incarnation, request, Event::Refused);
        }
        let version = self.lease.len() + 1;
        if claim.acquires {
            let before = current.as_ref().map_or(0, |r| r.transitions);
            assert_eq!(claim.transitions, before + 1, "an epoch of its own");
            self.told.handovers += 1;
            self.told.longest_gap = self.told.longest_gap.max((self.now - self.led_until) / SECOND);
        }
        if claim.holder.is_some() {
            self.led_until = self.now;
        }
        let record = Record {
            version: version.to_string(),
            holder: claim.holder,
            renewed: self.now.to_string(),
            transitions: claim.transitions,
            duration: Some(self.timing.lease()),
        };
        self.lease.push(record.clone());
        self.reply(process, incarnation, request, Event::Written(record));
        for other in 0..self.processes.len() {
            let cut = self.processes[other].as_ref().is_none_or(|p| p.cut_until > self.now);
            let lost = cut || (self.faults && self.dice.one_in(20));
            if !lost {
                let late = if self.faults && self.dice.one_in(10) { 8 * SECOND } else { 20_000 };
                let late = self.dice.roll(late);
                self.tell(other, late, What::News(version as u64));
            }
        }
    }

    fn reply(&mut self, process: usize, incarnation: u64, request: u64, event: Event) {
        let cut = self.processes[process].as_ref().is_none_or(|p| p.cut_until > self.now);
        if cut || (self.faults && self.dice.one_in(50)) {
            return;
        }
        self.replies.insert(request, event);
        let slow = self.faults && self.dice.one_in(30);
        let way = if slow { self.dice.roll(7 * SECOND) } else { self.dice.roll(20_000) };
        self.at(self.now + way, Moment::To { process, incarnation, what: What::Reply(request) });
    }

    fn is_open(&self, p: &Process) -> bool {
        let open = p.renewed.is_some_and(|renewed| self.clock(p) < renewed + self.timing.begin());
        if self.fenced { open && !p.closed } else { p.renewed.is_some() }
    }

    /// A write begins, if the fence is open.
    fn begin(&mut self, process: usize) {
        let next = 20_000 + self.dice.roll(400_000);
        self.tell(process, next, What::Try);
        let p = self.processes[process].as_ref().unwrap();
        if p.renewed.is_none() || p.closed {
            return;
        }
        if !self.is_open(p) {
            self.told.refused += 1;
            return;
        }
        let epoch = p.epoch;
        // Between the decision and the first byte: nearly nothing, a connection that has to be made, or a process that
        // is stopped in this very moment.
        let delay = if self.faults && self.dice.one_in(30) { self.dice.roll(3 * SECOND) } else { 100 };
        if self.faults && self.dice.one_in(500) {
            self.pause(process);
        }
        self.tell(process, delay, What::Send(epoch));
    }

    /// The first byte goes out, if the fence is open; from then on it is out of reach.
    fn send(&mut self, process: usize, epoch: u32) {
        let p = self.processes[process].as_ref().unwrap();
        if !self.is_open(p) {
            self.told.never_sent += 1;
            return;
        }
        let name = p.name.clone();
        if self.faults && self.dice.one_in(20) {
            return;
        }
        let limit = |d: Duration| u64::try_from(d.as_micros()).unwrap();
        let (way, answer) = (limit(self.timing.way()), limit(self.timing.answer()));
        let slow = p.cut_until > self.now || (self.faults && self.dice.one_in(20));
        let way = if slow { self.dice.roll(way) } else { self.dice.roll(10_000) };
        let answer = if slow { self.dice.roll(answer) } else { self.dice.roll(10_000) };
        self.at(self.now + way + answer, Moment::Write { name, epoch });
    }

    fn written(&mut self, name: &str, epoch: u32) {
        self.told.writes += 1;
        let lease = self.lease.last().unwrap();
        if lease.holder() == Some(name) && lease.transitions == epoch {
            return;
        }
        self.told.violations += 1;
        assert!(!self.fenced, "{name} wrote in epoch {epoch} at {} us, and the lease is {lease:?}", self.now);
    }

    fn pause(&mut self, process: usize) {
        let time = self.dice.roll(40 * SECOND);
        if let Some(p) = &mut self.processes[process] {
            p.paused_until = self.now + time;
        }
    }

    fn fault(&mut self) {
        if !self.faults {
            return;
        }
        let next = SECOND + self.dice.roll(30 * SECOND);
        self.at(self.now + next, Moment::Fault);
        // Most often it hits who leads.
        let leads = self.processes.iter().position(|p| p.as_ref().is_some_and(|p| p.renewed.is_some()));
        let any = usize::try_from(self.dice.roll(self.processes.len() as u64)).unwrap();
        let victim = leads.filter(|_| !self.dice.one_in(4)).unwrap_or(any);
        match self.dice.roll(6) {
            0 | 1 => self.pause(victim),
            2 => {
                let time = self.dice.roll(40 * SECOND);
                if let Some(p) = &mut self.processes[victim] {
                    p.cut_until = self.now + time;
                }
            }
            3 => {
                if self.processes[victim].take().is_some() {
                    let back = SECOND + self.dice.roll(10 * SECOND);
                    self.at(self.now + back, Moment::Start(victim));
                }
            }
            _ => self.tell(victim, 0, What::Stop),
        }
    }
}
