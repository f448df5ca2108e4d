//! Blocks of any bytes are labels or are not; dates that are read are those that are written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapegate_formats::tape::date::LabelDate;
use tapegate_formats::tape::label_reader::{Label, parse};

fn check_date(date: LabelDate) {
    assert_eq!(LabelDate::from_label(&date.to_label()), Some(date));
}

fuzz_target!(|input: &[u8]| {
    for block in input.chunks(80) {
        if let Some(Label::First(label)) = parse(block) {
            assert!(label.name.chars().count() <= 17);
            label.created.into_iter().chain(label.expires).for_each(check_date);
        }
    }
    if let Some(date) = std::str::from_utf8(input).ok().and_then(LabelDate::from_label) {
        check_date(date);
    }
});
