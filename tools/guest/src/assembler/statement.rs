//! A line of source: label, operation, operands.

/// A line that is not a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub label: Option<String>,
    pub operation: String,
    pub operands: Vec<String>,
}

impl Statement {
    /// Takes a line apart; `None` for a comment or an empty line.
    pub fn parse(line: &str) -> Result<Option<Self>, String> {
        if line.starts_with('*') || line.trim().is_empty() {
            return Ok(None);
        }
        let (label, rest) = match line.split_once(char::is_whitespace) {
            Some(("", rest)) => (None, rest),
            Some((label, rest)) => (Some(label.to_owned()), rest),
            None => return Err(format!("{line} has no operation")),
        };
        let rest = rest.trim_start();
        let (operation, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        if operation.is_empty() {
            return Err("there is a label and no operation".to_owned());
        }
        Ok(Some(Self { label, operation: operation.to_owned(), operands: operands(rest.trim_start())? }))
    }

    /// The operand with this number, from 0.
    pub fn operand(&self, number: usize) -> Result<&str, String> {
        let missing = || format!("operand {} of {} is missing", number + 1, self.operation);
        self.operands.get(number).map(String::as_str).filter(|operand| !operand.is_empty()).ok_or_else(missing)
    }
}

/// Cuts at commas outside of parentheses and quotes; the first blank outside of quotes begins the remark.
fn operands(text: &str) -> Result<Vec<String>, String> {
    let mut operands = vec![String::new()];
    let (mut depth, mut quoted) = (0_u32, false);
    for character in text.chars() {
        match character {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.checked_sub(1).ok_or("a parenthesis is closed that was not opened")?,
            ' ' if !quoted => break,
            ',' if !quoted && depth == 0 => {
                operands.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = operands.last_mut() {
            last.push(character);
        }
    }
    if quoted || depth > 0 {
        return Err("a quote or parenthesis is not closed".to_owned());
    }
    Ok(operands)
}
