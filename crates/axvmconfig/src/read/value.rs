//! Single values: integers, addresses and sizes, names, lists and tables.

use alloc::string::String;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    Arch, At, Code, Data, Diagnostic, Diagnostics, Severity, Span,
    keys::{Fate, Key, nearest},
    layout::Layout,
};

pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// What is wrong so far, and which forms the file's keys belong to.
pub(super) struct Reader {
    /// What the file is for.
    pub arch: Arch,
    pub out: Diagnostics,
    errors: usize,
    /// The place of the first key that only the classic form has.
    pub classic: Option<Span>,
    /// The place of the first key that only the 0.8 form has.
    pub form08: Option<Span>,
}

/// A table whose keys have been checked.
#[derive(Clone, Copy)]
pub(super) struct Table<'v, 'i> {
    table: Option<&'v DeTable<'i>>,
    /// Where it stands.
    pub span: Span,
}

impl<'v, 'i> Table<'v, 'i> {
    /// A table that isn't there.
    pub fn absent(span: Span) -> Self {
        Self { table: None, span }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&'v Value<'i>> {
        self.table?.get(key)
    }
}

/// One allowed word, its old code, and what it means or why it is refused.
pub(super) struct Choice<T: 'static> {
    pub name: &'static str,
    pub old: usize,
    pub means: Result<T, Code>,
}

/// The words a key takes, and how a message lists them.
pub(super) struct Words<T: 'static> {
    pub list: &'static str,
    pub choices: &'static [Choice<T>],
}

/// What node names consist of besides letters and digits, with the address behind `@`: Devicetree
/// specification 0.4, 2.2.1.
pub(super) const NODE_NAME: &str = ",._+-@";

/// For [`Choice::old`]: there is no old code.
pub(super) const NO_OLD: usize = usize::MAX;

pub(super) fn span(value: &Value<'_>) -> Span {
    value.span().into()
}

impl Reader {
    pub fn new(arch: Arch) -> Self {
        Self {
            arch,
            out: Diagnostics::default(),
            errors: 0,
            classic: None,
            form08: None,
        }
    }

    /// What is so on the file's architecture.
    pub fn layout(&self) -> &'static Layout {
        Layout::of(self.arch)
    }

    #[cold]
    #[inline(never)]
    pub fn say(&mut self, diagnostic: Diagnostic) {
        self.out.push(diagnostic);
        if diagnostic.severity() == Severity::Error {
            self.errors += 1;
        }
    }

    /// How many errors came up so far.
    pub fn errors(&self) -> usize {
        self.errors
    }

    #[cold]
    #[inline(never)]
    pub fn wrong(&mut self, code: Code, span: Span, data: Data) {
        self.say(Diagnostic::new(code, span).with(data));
    }

    #[cold]
    #[inline(never)]
    fn wrong_type(&mut self, value: &Value<'_>, want: &'static str) {
        self.wrong(Code::WrongType, span(value), Data::Want(want));
    }

    /// Refuses a table in which a key is missing. (Of a table that is missing itself that has been
    /// said.)
    pub fn missing(&mut self, table: &Table<'_, '_>, key: &'static str) {
        if table.table.is_none() {
            return;
        }
        self.wrong(Code::MissingKey, table.span, Data::Want(key));
    }

    /// `value` as a table with no keys but `keys`.
    pub fn table<'v, 'i>(
        &mut self,
        value: &'v Value<'i>,
        keys: &'static [Key],
    ) -> Option<Table<'v, 'i>> {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(value, "a table");
            return None;
        };
        self.keys(table, keys);
        Some(Table {
            table: Some(table),
            span: span(value),
        })
    }

    /// The file's own table, at `at`.
    pub fn root<'v, 'i>(
        &mut self,
        table: &'v DeTable<'i>,
        keys: &'static [Key],
        at: Span,
    ) -> Table<'v, 'i> {
        self.keys(table, keys);
        Table {
            table: Some(table),
            span: at,
        }
    }

    fn keys(&mut self, table: &DeTable<'_>, keys: &'static [Key]) {
        for key in table.keys() {
            let at: Span = key.span().into();
            let name: &str = key.get_ref();
            let first = |place: &mut Option<Span>| {
                if place.is_none_or(|earlier| at < earlier) {
                    *place = Some(at);
                }
            };
            match keys.iter().find(|k| k.name == name).map(|k| k.fate) {
                Some(Fate::Known) => {}
                Some(Fate::Classic) => first(&mut self.classic),
                Some(Fate::Form08) => first(&mut self.form08),
                Some(Fate::Refused(code)) => self.say(Diagnostic::new(code, at)),
                None => {
                    let offered = keys.iter().filter(|k| !matches!(k.fate, Fate::Refused(_)));
                    let near = nearest(name, offered.map(|k| k.name));
                    self.wrong(Code::UnknownKey, at, near.map_or(Data::None, Data::Near));
                }
            }
        }
    }

    /// A list of at most `max` elements.
    pub fn list<'v, 'i>(&mut self, value: &'v Value<'i>, max: usize) -> Option<&'v [Value<'i>]> {
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(value, "a list");
            return None;
        };
        if array.len() > max {
            self.wrong(Code::WrongLength, span(value), Data::Limits(0, max));
            return None;
        }
        array.get(..)
    }

    /// A number, address or size: an integer, or text like `"0x4000_0000"` or `"512MiB"`.
    pub fn number(&mut self, value: &Value<'_>) -> Option<At<usize>> {
        let parsed = match value.get_ref() {
            DeValue::Integer(int) => usize::from_str_radix(int.as_str(), int.radix()).ok(),
            DeValue::String(text) => with_unit(text),
            _ => {
                self.wrong_type(value, "an integer, or text such as \"512MiB\"");
                return None;
            }
        };
        if parsed.is_none() {
            const FORMS: &str = "0 to 2^64-1, hexadecimal with 0x, with B, KiB, MiB, GiB or TiB";
            self.wrong(Code::BadNumber, span(value), Data::Want(FORMS));
        }
        Some(At::new(parsed?, span(value)))
    }

    /// A number from `min` to `max`.
    pub fn limited(&mut self, value: &Value<'_>, min: usize, max: usize) -> Option<At<usize>> {
        let number = self.number(value)?;
        if (min..=max).contains(&number.value) {
            return Some(number);
        }
        self.wrong(Code::OutOfLimits, number.span, Data::Limits(min, max));
        None
    }

    /// Text.
    pub fn text(&mut self, value: &Value<'_>) -> Option<At<String>> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(value, "text in quotes");
            return None;
        };
        Some(At::new(text.into(), span(value)))
    }

    /// A name for people and for the console's prefix.
    pub fn name(&mut self, value: &Value<'_>) -> Option<At<String>> {
        self.name_with(value, "-_.")
    }

    /// A device's name: people take it from device trees.
    pub fn device_name(&mut self, value: &Value<'_>) -> Option<At<String>> {
        self.name_with(value, NODE_NAME)
    }

    fn name_with(&mut self, value: &Value<'_>, signs: &str) -> Option<At<String>> {
        let name = self.text(value)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || signs.contains(c);
        if name.value.is_empty() || name.value.len() > 64 || !name.value.chars().all(allowed) {
            self.say(Diagnostic::new(Code::BadName, name.span));
            return None;
        }
        Some(name)
    }

    /// A file's path, relative to the TOML file.
    pub fn path(&mut self, value: &Value<'_>) -> Option<At<String>> {
        let path = self.text(value)?;
        let control = path.value.contains(char::is_control);
        if control || path.value.split('/').any(str::is_empty) {
            self.say(Diagnostic::new(Code::BadPath, path.span));
            return None;
        }
        Some(path)
    }

    /// A boolean.
    pub fn boolean(&mut self, value: &Value<'_>) -> Option<At<bool>> {
        let Some(boolean) = value.get_ref().as_bool() else {
            self.wrong_type(value, "true or false");
            return None;
        };
        Some(At::new(boolean, span(value)))
    }

    /// One of some words, or its old code.
    pub fn choice<T: Copy>(&mut self, value: &Value<'_>, words: &Words<T>) -> Option<At<T>> {
        let choices = words.choices;
        let at = span(value);
        let found = match value.get_ref() {
            DeValue::String(text) => choices.iter().find(|c| c.name == text),
            DeValue::Integer(_) => {
                let code = self.number(value)?.value;
                choices.iter().find(|c| c.old == code && c.old != NO_OLD)
            }
            _ => {
                self.wrong_type(value, "text in quotes");
                return None;
            }
        };
        match found.map(|choice| choice.means) {
            Some(Ok(meaning)) => Some(At::new(meaning, at)),
            Some(Err(code)) => {
                self.say(Diagnostic::new(code, at));
                None
            }
            None => {
                let text = value.get_ref().as_str().unwrap_or("");
                let offered = choices.iter().filter(|c| c.means.is_ok()).map(|c| c.name);
                let near = nearest(text, offered);
                let data = near.map_or(Data::Want(words.list), Data::Near);
                self.wrong(Code::UnknownName, at, data);
                None
            }
        }
    }
}

/// `"4096"`, `"0x1000"`, `"4 KiB"`; underscores between digits.
fn with_unit(text: &str) -> Option<usize> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    let is_digit = |c: char| c == '_' || c.is_digit(radix);
    let end = digits.find(|c| !is_digit(c)).unwrap_or(digits.len());
    let (digits, unit) = digits.split_at_checked(end)?;
    let shift = match unit.trim_start_matches(' ') {
        "" => 0,
        // `B` is a hexadecimal digit: without radix 10 it never gets here.
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    // Underscores are between digits.
    if digits.contains('_') && digits.split('_').any(str::is_empty) {
        return None;
    }
    let mut number: usize = 0;
    let mut any = false;
    for digit in digits.chars().filter_map(|c| c.to_digit(radix)) {
        any = true;
        number = number
            .checked_mul(radix as usize)?
            .checked_add(digit as usize)?;
    }
    any.then_some(number)?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::with_unit;

    #[test]
    fn sizes() {
        assert_eq!(with_unit("4096"), Some(4096));
        assert_eq!(with_unit("0x4000_0000"), Some(0x4000_0000));
        assert_eq!(with_unit("512MiB"), Some(512 << 20));
        assert_eq!(with_unit("4 KiB"), Some(4096));
        assert_eq!(with_unit("2GiB"), Some(2 << 30));
        assert_eq!(with_unit("7B"), Some(7));
        for bad in [
            "",
            "_",
            "1__0",
            "1_",
            "512MB",
            "512M",
            "-1",
            "0x",
            "MiB",
            "1.5GiB",
            "16777216TiB",
            "é",
        ] {
            assert_eq!(with_unit(bad), None, "{bad}");
        }
    }
}
