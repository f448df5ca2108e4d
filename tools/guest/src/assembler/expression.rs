//! Values, registers and addresses of operands.

use std::collections::BTreeMap;

/// What an expression may refer to.
#[derive(Debug)]
pub struct Context<'a> {
    pub symbols: &'a BTreeMap<String, u32>,
    /// Address of the statement, which `*` stands for.
    pub here: u32,
    /// Values that registers hold, as `USING` said: (value, register).
    pub bases: Vec<(u32, u8)>,
}

/// An address operand as it goes into an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// What stands in the first place of the parentheses: index register or length.
    pub first: Option<u32>,
    pub base: u8,
    pub displacement: u16,
}

impl Context<'_> {
    /// The value of terms that are added and subtracted.
    pub fn value(&self, text: &str) -> Result<u32, String> {
        let mut total = 0_u32;
        let (mut term, mut minus, mut quoted) = (String::new(), false, false);
        for character in text.chars().chain(['+']) {
            quoted ^= character == '\'';
            if quoted || !matches!(character, '+' | '-') {
                term.push(character);
                continue;
            }
            if !term.is_empty() {
                let value = self.term(&term)?;
                total = if minus { total.wrapping_sub(value) } else { total.wrapping_add(value) };
            }
            term.clear();
            minus = character == '-';
        }
        Ok(total)
    }

    fn term(&self, text: &str) -> Result<u32, String> {
        if text == "*" {
            return Ok(self.here);
        }
        if let Some(digits) = text.strip_prefix("X'").and_then(|rest| rest.strip_suffix('\'')) {
            return u32::from_str_radix(digits, 16).map_err(|_| format!("{text} is not a hexadecimal number"));
        }
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            return text.parse().map_err(|_| format!("{text} is not a number"));
        }
        self.symbols.get(text).copied().ok_or_else(|| format!("{text} is not defined"))
    }

    /// A register or a mask.
    pub fn register(&self, text: &str) -> Result<u8, String> {
        let value = self.value(text)?;
        u8::try_from(value).ok().filter(|value| *value < 16).ok_or_else(|| format!("{value} is not a register"))
    }

    /// A byte.
    pub fn byte(&self, text: &str) -> Result<u8, String> {
        let value = self.value(text)?;
        u8::try_from(value).map_err(|_| format!("{value} does not fit into a byte"))
    }

    /// A displacement or address with what stands in parentheses behind it: `D`, `D(F)`, `D(F,B)` or `D(,B)`. The
    /// single one in parentheses is the base where `single_is_base`, else it is the index or the length.
    pub fn address(&self, text: &str, single_is_base: bool) -> Result<Address, String> {
        let Some((value, inside)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) else {
            return self.reach(self.value(text)?, None);
        };
        let value = self.value(value)?;
        let (first, base) = match inside.split_once(',') {
            Some((first, base)) => ((!first.is_empty()).then_some(first), Some(base)),
            None if single_is_base => (None, Some(inside)),
            None => (Some(inside), None),
        };
        let first = first.map(|first| self.value(first)).transpose()?;
        let Some(base) = base else { return self.reach(value, first) };
        let displacement = displacement(value)?;
        Ok(Address { first, base: self.register(base)?, displacement })
    }

    /// Finds the base register from which a value can be reached.
    fn reach(&self, value: u32, first: Option<u32>) -> Result<Address, String> {
        let near = |(base, register): &(u32, u8)| {
            let displacement = u16::try_from(value.checked_sub(*base)?).ok().filter(|displacement| *displacement < 4096)?;
            Some(Address { first, base: *register, displacement })
        };
        self.bases.iter().find_map(near).ok_or_else(|| format!("no base register reaches {value:04X}"))
    }
}

/// Twelve bits.
pub fn displacement(value: u32) -> Result<u16, String> {
    let fits = u16::try_from(value).ok().filter(|value| *value < 4096);
    fits.ok_or_else(|| format!("{value} is too large for a displacement"))
}
