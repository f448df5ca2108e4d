//! Constants, room, and channel command words.

use super::expression::Context;
use super::statement::Statement;

/// One operand of DC or DS: how many, of which type, with which value.
struct Constant<'a> {
    repeat: u32,
    kind: char,
    value: Option<&'a str>,
}

impl<'a> Constant<'a> {
    /// `F'5'`, `16X'00'`, `4F`, `A(LABEL)`, `XL8` is written `8X`.
    fn parse(text: &'a str) -> Result<Self, String> {
        let digits = text.len() - text.trim_start_matches(|first: char| first.is_ascii_digit()).len();
        let (repeat, rest) = text.split_at(digits);
        let repeat = if repeat.is_empty() { 1 } else { repeat.parse().map_err(|_| format!("{text}: too many"))? };
        let kind = rest.chars().next().filter(|kind| "AFHDXC".contains(*kind));
        let kind = kind.ok_or_else(|| format!("{text} is no constant of type A, F, H, D, X or C"))?;
        let value = match &rest[1..] {
            "" => None,
            value => {
                let (open, close) = if kind == 'A' { ('(', ')') } else { ('\'', '\'') };
                let inside = value.strip_prefix(open).and_then(|value| value.strip_suffix(close));
                Some(inside.ok_or_else(|| format!("{text}: the value is not enclosed"))?)
            }
        };
        Ok(Self { repeat, kind, value })
    }

    fn alignment(&self) -> u32 {
        match self.kind {
            'A' | 'F' => 4,
            'H' => 2,
            'D' => 8,
            _ => 1,
        }
    }

    fn bytes_each(&self) -> u32 {
        let value = self.value.unwrap_or_default().len() as u32;
        match self.kind {
            'X' if self.value.is_some() => value.div_ceil(2),
            'C' if self.value.is_some() => value,
            _ => self.alignment(),
        }
    }
}

/// Where the first operand must lie.
pub fn alignment(statement: &Statement) -> u32 {
    let first = statement.operand(0).and_then(Constant::parse);
    first.map_or(1, |constant| constant.alignment())
}

/// Bytes of all operands; only the first is aligned, so those behind it must lie right by themselves.
pub fn length(statement: &Statement) -> Result<u32, String> {
    statement.operands.iter().try_fold(0_u32, |sum, operand| {
        let constant = Constant::parse(operand)?;
        constant
            .repeat
            .checked_mul(constant.bytes_each())
            .and_then(|bytes| sum.checked_add(bytes))
            .ok_or_else(|| "too long".into())
    })
}

/// The bytes of a DC.
pub fn constant(statement: &Statement, context: &Context<'_>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for operand in &statement.operands {
        let constant = Constant::parse(operand)?;
        let value = constant.value.ok_or_else(|| format!("{operand} has no value"))?;
        let signed = || value.parse::<i32>().map_err(|_| format!("{operand} is not a number"));
        let each = match constant.kind {
            'A' => context.value(value)?.to_be_bytes().to_vec(),
            'F' => signed()?.to_be_bytes().to_vec(),
            'H' => i16::try_from(signed()?).map_err(|_| format!("{operand} is too large"))?.to_be_bytes().to_vec(),
            'X' => hexadecimal(operand, value)?,
            'C' => value.chars().map(ebcdic).collect::<Result<_, _>>()?,
            kind => return Err(format!("a constant of type {kind} can't be given a value")),
        };
        for _ in 0..constant.repeat {
            bytes.extend(&each);
        }
    }
    Ok(bytes)
}

fn hexadecimal(operand: &str, digits: &str) -> Result<Vec<u8>, String> {
    if digits.len() % 2 == 1 {
        return Err(format!("{operand} has an odd number of digits"));
    }
    let pair = |from: usize| digits.get(from..from + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<_>> = (0..digits.len()).step_by(2).map(pair).collect();
    bytes.ok_or_else(|| format!("{operand} has what is no hexadecimal digit"))
}

/// Letters, digits and the blank, which all EBCDIC code pages have in common.
fn ebcdic(character: char) -> Result<u8, String> {
    Ok(match character {
        ' ' => 0x40,
        'A'..='I' => character as u8 - b'A' + 0xc1,
        'J'..='R' => character as u8 - b'J' + 0xd1,
        'S'..='Z' => character as u8 - b'S' + 0xe2,
        '0'..='9' => character as u8 - b'0' + 0xf0,
        _ => return Err(format!("{character} is neither letter nor digit nor blank")),
    })
}

/// `CCW code,address,flags,count`: a channel command word of format 0.
pub fn channel_command(statement: &Statement, context: &Context<'_>) -> Result<Vec<u8>, String> {
    let code = context.byte(statement.operand(0)?)?;
    let address = context.value(statement.operand(1)?)?;
    let flags = context.byte(statement.operand(2)?)?;
    let count = context.value(statement.operand(3)?)?;
    let count = u16::try_from(count).map_err(|_| format!("{count} does not fit into a count"))?;
    let [0, high, middle, low] = address.to_be_bytes() else { return Err(format!("{address:X} has more than 24 bits")) };
    let [count_high, count_low] = count.to_be_bytes();
    Ok(vec![code, high, middle, low, flags, 0, count_high, count_low])
}
