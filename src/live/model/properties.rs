//! Sequences of operations, made by proptest; see the module's head.

use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;
use tempfile::TempDir;

use super::rules::Rules;
use super::work::{Asked, Sink, folder};
use super::world::{HostWrite, Meanwhile, Op, World};
use super::writes::Write;
use crate::volume::{BlockShape, Shape};

/// Cases of each of the four properties: 10,000 in all.
const CASES: u32 = 2500;

fn tracks() -> impl Strategy<Value = Shape> {
    (2_u32..=10, 512_u32..1200)
        .prop_map(|(cylinders, slot_bytes)| Shape::Ckd(Geometry::new(DeviceType::Ibm3390, cylinders, 3, slot_bytes).unwrap()))
}

fn blocks() -> impl Strategy<Value = Shape> {
    (11_u64..60, 1_u32..=2)
        .prop_map(|(blocks, unit_blocks)| Shape::FixedBlock(BlockShape { blocks, block_bytes: 512, unit_blocks }))
}

fn write() -> impl Strategy<Value = Write> {
    let records = || vec(1_u8..200, 0..5);
    prop_oneof![
        6 => (any::<u16>(), 1_u8..40, any::<u8>()).prop_map(|(at, length, fill)| Write::Part { at, length, fill }),
        2 => (records(), any::<u8>()).prop_map(|(records, fill)| Write::Whole { records, fill }),
        3 => (records(), any::<u8>()).prop_map(|(records, fill)| Write::Format { records, fill }),
        1 => Just(Write::Spoil),
    ]
}

fn host_write() -> impl Strategy<Value = HostWrite> {
    let meanwhile = prop_oneof![
        3 => Just(Meanwhile::Nothing),
        6 => any::<u8>().prop_map(|copy| Meanwhile::Step { copy }),
        2 => (any::<bool>(), 0_u8..30, write()).prop_map(|(port, unit, write)| Meanwhile::Write { port, unit, write }),
    ];
    (any::<bool>(), 0_u8..30, write(), vec(meanwhile, 0..5)).prop_map(|(port, unit, write, meanwhile)| HostWrite {
        port,
        unit,
        write,
        meanwhile,
    })
}

fn asked(sinks: &'static [Sink], rules: Rules) -> impl Strategy<Value = Asked> {
    let files = vec((vec((any::<u8>(), 0_u8..6), 1..4), prop::bool::weighted(0.2)), 0..4);
    let room = prop::option::weighted(0.1, 0_u16..3000);
    let sink_writes = prop::option::weighted(0.1, 0_u8..20);
    let cache = (room, prop::bool::weighted(0.1), prop::bool::weighted(0.2));
    (prop::sample::select(sinks), files, 64_u16..3000, cache, sink_writes).prop_map(
        move |(sink, files, block_bytes, (cache_bytes, spills, viewed), sink_writes)| Asked {
            sink,
            viewed,
            files,
            block_bytes,
            cache_bytes,
            spills,
            sink_writes,
            rules,
        },
    )
}

fn op(sinks: &'static [Sink], rules: Rules) -> impl Strategy<Value = Op> {
    let (port, copy, unit) = (any::<bool>, any::<u8>, || 0_u8..30);
    prop_oneof![
        16 => host_write().prop_map(Op::Write),
        14 => (copy(), 1_u8..6).prop_map(|(copy, steps)| Op::Step { copy, steps }),
        3 => asked(sinks, rules).prop_map(Op::Start),
        2 => (port(), unit()).prop_map(|(port, unit)| Op::Read { port, unit }),
        2 => (copy(), unit()).prop_map(|(copy, unit)| Op::ReadAtT0 { copy, unit }),
        2 => unit().prop_map(|unit| Op::Measure { unit }),
        1 => port().prop_map(|port| Op::Begin { port }),
        2 => port().prop_map(|port| Op::End { port }),
        1 => Just(Op::Freeze),
        2 => Just(Op::Thaw),
        1 => copy().prop_map(|copy| Op::Cancel { copy }),
        1 => prop_oneof![
            2 => (0_u8..30).prop_map(|reads| Op::FailReads { reads }),
            3 => Just(Op::Mend),
            1 => Just(Op::Crash),
        ],
    ]
}

/// A session from the start, so that no sequence is without one, and what goes on then.
fn ops(sinks: &'static [Sink], rules: Rules) -> impl Strategy<Value = Vec<Op>> {
    let begin = (vec(host_write().prop_map(Op::Write), 0..3), asked(sinks, rules).prop_map(Op::Start));
    (begin, vec(op(sinks, rules), 5..40))
        .prop_map(|((before, start), after)| before.into_iter().chain([start]).chain(after).collect())
}

fn play(shape: Shape, ops: Vec<Op>) {
    thread_local! {
        static FOLDER: (TempDir, PathBuf) = folder();
    }
    let mut world = World::new(shape, FOLDER.with(|(_, path)| path.clone()));
    ops.into_iter().for_each(|op| world.apply(op));
    world.finish();
}

const ALL: &[Sink] = &[Sink::File, Sink::Pipe, Sink::View];

proptest! {
    #![proptest_config(Config { cases: CASES, ..Config::default() })]

    #[test]
    fn tapes_of_tracks_equal_t0(shape in tracks(), ops in ops(&[Sink::File], Rules::Right)) {
        play(shape, ops);
    }

    #[test]
    fn tapes_of_tracks_that_are_piped_equal_t0(shape in tracks(), ops in ops(&[Sink::Pipe], Rules::Right)) {
        play(shape, ops);
    }

    #[test]
    fn tapes_and_views_of_several_instants_equal_their_t0(shape in tracks(), ops in ops(ALL, Rules::Right)) {
        play(shape, ops);
    }

    #[test]
    fn tapes_and_views_of_blocks_equal_their_t0(shape in blocks(), ops in ops(ALL, Rules::Right)) {
        play(shape, ops);
    }
}

/// Plays with broken rules; gives what the model says of it.
fn broken(sinks: &'static [Sink], rules: Rules) -> String {
    let config = Config { cases: 10 * CASES, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let played = TestRunner::new(config).run(&(tracks(), ops(sinks, rules)), |(shape, ops)| {
        play(shape, ops);
        Ok(())
    });
    played.expect_err("the model does not notice it").to_string()
}

#[test]
fn the_model_notices_a_copy_that_comes_after_the_write() {
    for sinks in [&[Sink::File], &[Sink::Pipe], &[Sink::View]] {
        let noticed = broken(sinks, Rules::CopyBehindWrite);
        assert!(noticed.contains("T0") || noticed.contains("view"), "{noticed}");
    }
}

#[test]
fn the_model_notices_a_bit_that_is_set_before_the_copy() {
    for sinks in [&[Sink::File], &[Sink::Pipe], &[Sink::View]] {
        let noticed = broken(sinks, Rules::BitBeforeCopy);
        assert!(noticed.contains("T0") || noticed.contains("view"), "{noticed}");
    }
}

#[test]
fn the_model_notices_a_copier_that_tests_before_it_reads() {
    let noticed = broken(&[Sink::Pipe], Rules::TestBeforeRead);
    assert!(noticed.contains("T0"), "{noticed}");
}
