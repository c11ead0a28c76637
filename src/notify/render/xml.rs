//! Where merge fields may stand in XML, and whether a template is XML at all.
//!
//! A template is read as XML with something in the place of each field, as far as well-formedness goes: one element with all
//! that is in it, tags that are closed, attributes in quotes, references that mean something. Namespaces and what a document
//! type declares are not looked at.

use std::ops::Range;

use super::ExpressionError;
use super::parse::Part;

/// What is written for a character that XML gives a meaning to.
const REFERENCES: &[&str] = &["amp", "lt", "gt", "quot", "apos"];

/// What to do about a field that stands where nothing protects the values.
const ELSEWHERE: &str = "put it into plain text or an attribute's value in quotes: values are escaped there";

/// Checks that the template is XML and that fields stand in text or in the quotes of an attribute's value.
pub(super) fn check(text: &str, parts: &[Part]) -> Result<(), ExpressionError> {
    Reader::new(text, parts).document()
}

/// A character of the template with its place, or a field with its own.
#[derive(Clone, Debug)]
enum Unit {
    Character(char, usize),
    Field(Range<usize>),
}

struct Reader<'t> {
    text: &'t str,
    units: Vec<Unit>,
    at: usize,
    /// The elements that are open, with the places of their names.
    open: Vec<(&'t str, Range<usize>)>,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, parts: &[Part]) -> Self {
        let mut units = Vec::new();
        for part in parts {
            match part {
                Part::Text(place) => {
                    let characters = text[place.clone()].char_indices();
                    units.extend(characters.map(|(at, c)| Unit::Character(c, place.start + at)));
                }
                Part::Field(place) => units.push(Unit::Field(place.clone())),
            }
        }
        Self {
            text,
            units,
            at: 0,
            open: Vec::new(),
        }
    }

    fn document(mut self) -> Result<(), ExpressionError> {
        // A byte order mark and the declaration come first or not at all.
        self.skip("\u{feff}");
        if self.is_at("<?xml") {
            self.passed_over("<?", "?>", "an XML declaration")?;
        }
        let mut has_root = false;
        loop {
            if self.is_at("<!--") || self.is_at("<?") {
                self.misc()?;
            } else if !has_root && self.is_at("<!DOCTYPE") {
                self.document_type()?;
            } else if self.is_at("<") && !has_root {
                has_root = true;
                self.element()?;
            } else {
                match self.units.get(self.at) {
                    None if has_root => return Ok(()),
                    None => {
                        return Err(self.wrong(
                            0..self.text.len(),
                            "there is no element",
                            "write <name>…</name>",
                        ));
                    }
                    Some(Unit::Character(c, _)) if c.is_ascii_whitespace() => self.at += 1,
                    Some(_) => {
                        let help = "XML is one element with all else in it: <name>…</name>";
                        return Err(self.wrong(self.place(), "this stands outside of the element", help));
                    }
                }
            }
        }
    }

    /// The outermost element with all that is in it.
    fn element(&mut self) -> Result<(), ExpressionError> {
        self.start_tag()?;
        // So many `]` stand before; a field between them may give nothing.
        let mut brackets = 0_usize;
        while let Some((name, place)) = self.open.last().cloned() {
            if self.is_at("</") {
                self.end_tag(name)?;
            } else if self.is_at("<![CDATA[") {
                self.passed_over("<![CDATA[", "]]>", "CDATA")?;
            } else if self.is_at("<!--") || self.is_at("<?") {
                self.misc()?;
            } else if self.is_at("<!") {
                return Err(self.wrong(
                    self.place(),
                    "this cannot stand in an element",
                    "write &lt; for a `<` of the text",
                ));
            } else if self.is_at("<") {
                self.start_tag()?;
            } else {
                match self.units.get(self.at) {
                    None => {
                        let help = format!("close it with </{name}>");
                        return Err(self.wrong(place, "this element is not closed", &help));
                    }
                    Some(Unit::Field(_)) => {
                        self.at += 1;
                        continue;
                    }
                    Some(Unit::Character('>', _)) if brackets >= 2 => {
                        return Err(self.wrong(self.place(), "`]]>` cannot stand in text", "write ]]&gt;"));
                    }
                    Some(Unit::Character(']', _)) => {
                        brackets += 1;
                        self.at += 1;
                        continue;
                    }
                    Some(Unit::Character(..)) => self.character()?,
                }
            }
            brackets = 0;
        }
        Ok(())
    }

    /// A character of text or of an attribute's value, or what is written for one.
    fn character(&mut self) -> Result<(), ExpressionError> {
        match self.units.get(self.at) {
            Some(Unit::Character('&', _)) => self.reference(),
            Some(Unit::Character(
                '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}',
                _,
            )) => Err(self.wrong(self.place(), "XML cannot hold this character", "take it out")),
            _ => {
                self.at += 1;
                Ok(())
            }
        }
    }

    fn reference(&mut self) -> Result<(), ExpressionError> {
        let start = self.place();
        self.at += 1;
        let mut name = String::new();
        while let Some(Unit::Character(c @ ('#' | '0'..='9' | 'a'..='z' | 'A'..='Z'), _)) =
            self.units.get(self.at)
        {
            name.push(*c);
            self.at += 1;
        }
        let is_known = match name.strip_prefix('#') {
            None => REFERENCES.contains(&name.as_str()),
            Some(number) => {
                let number = match number.strip_prefix('x') {
                    Some(digits) => u32::from_str_radix(digits, 16),
                    None => number.parse(),
                };
                number.is_ok_and(|number| number > 0 && char::from_u32(number).is_some())
            }
        };
        if is_known && self.skip(";") {
            return Ok(());
        }
        Err(self.wrong(
            start,
            "a `&` begins a reference, and this is none",
            "write &amp; for the sign itself; known are &amp; &lt; &gt; &quot; &apos; and numbers such as &#10;",
        ))
    }

    /// `<name attribute="value">`, or the same closed at once.
    fn start_tag(&mut self) -> Result<(), ExpressionError> {
        self.skip("<");
        let (name, place) = self.name("a tag's name")?;
        let mut attributes: Vec<&str> = Vec::new();
        loop {
            let is_apart = self.skip_blanks();
            if self.skip(">") {
                self.open.push((name, place));
                return Ok(());
            }
            if self.skip("/>") {
                return Ok(());
            }
            if !is_apart {
                return Err(self.in_tag(&place, "this cannot stand in a tag"));
            }
            let (attribute, at) = self.name("an attribute's name")?;
            if attributes.contains(&attribute) {
                let message = format!("the tag has `{attribute}` twice");
                return Err(self.wrong(at, &message, "keep one of the two"));
            }
            attributes.push(attribute);
            self.skip_blanks();
            if !self.skip("=") {
                return Err(self.in_tag(&place, "an attribute needs `=` and a value in quotes"));
            }
            self.skip_blanks();
            self.value(&place)?;
        }
    }

    fn value(&mut self, tag: &Range<usize>) -> Result<(), ExpressionError> {
        let Some(Unit::Character(quote @ ('"' | '\''), _)) = self.units.get(self.at).cloned() else {
            return Err(self.in_tag(tag, "an attribute's value stands in quotes"));
        };
        let start = self.place();
        self.at += 1;
        loop {
            match self.units.get(self.at) {
                None => {
                    return Err(self.wrong(start, "this quote is not closed", "close it with the same sign"));
                }
                Some(Unit::Field(_)) => self.at += 1,
                Some(Unit::Character('<', _)) => {
                    return Err(self.wrong(
                        self.place(),
                        "`<` cannot stand in an attribute's value",
                        "write &lt;",
                    ));
                }
                Some(Unit::Character(c, _)) if *c == quote => {
                    self.at += 1;
                    return Ok(());
                }
                Some(Unit::Character(..)) => self.character()?,
            }
        }
    }

    fn end_tag(&mut self, open: &str) -> Result<(), ExpressionError> {
        self.skip("</");
        let (name, place) = self.name("a tag's name")?;
        if name != open {
            let message = format!("</{name}> closes nothing: <{open}> is open here");
            return Err(self.wrong(place, &message, &format!("close it with </{open}>")));
        }
        self.skip_blanks();
        if !self.skip(">") {
            return Err(self.in_tag(&place, "this cannot stand in a tag"));
        }
        self.open.pop();
        Ok(())
    }

    /// A comment or an instruction.
    fn misc(&mut self) -> Result<(), ExpressionError> {
        if self.is_at("<!--") {
            return self.passed_over("<!--", "-->", "a comment");
        }
        if self.is_at("<?xml") {
            return Err(self.wrong(
                self.place(),
                "an XML declaration stands at the very beginning",
                "move it there",
            ));
        }
        self.passed_over("<?", "?>", "an instruction")
    }

    fn document_type(&mut self) -> Result<(), ExpressionError> {
        let start = self.place();
        self.passed_over("<!DOCTYPE", ">", "a document type")?;
        let declares = self.text[start.start..self.place().start].contains('[');
        if declares {
            return Err(self.wrong(
                start,
                "a document type of a body declares nothing",
                "take out what stands in [ ]",
            ));
        }
        Ok(())
    }

    /// Something in which no field can stand, up to its end.
    fn passed_over(&mut self, open: &str, close: &str, what: &str) -> Result<(), ExpressionError> {
        let start = self.place();
        self.at += open.chars().count();
        loop {
            if self.is_at(close) {
                self.skip(close);
                return Ok(());
            }
            if close == "-->" && self.is_at("--") {
                return Err(self.wrong(self.place(), "`--` cannot stand in a comment", "take it out"));
            }
            match self.units.get(self.at) {
                None => {
                    let message = format!("{what} has no end");
                    return Err(self.wrong(start, &message, &format!("close it with {close}")));
                }
                Some(Unit::Field(place)) => {
                    let message = format!("a merge field cannot be escaped within {what}");
                    return Err(self.wrong(place.clone(), &message, ELSEWHERE));
                }
                Some(Unit::Character(..)) => self.at += 1,
            }
        }
    }

    /// A name with its place.
    fn name(&mut self, what: &str) -> Result<(&'t str, Range<usize>), ExpressionError> {
        let start = self.place();
        let mut end = start.start;
        while let Some(Unit::Character(c, at)) = self.units.get(self.at) {
            let begins = c.is_alphabetic() || matches!(c, '_' | ':') || !c.is_ascii() && !c.is_whitespace();
            if !(begins || at > &start.start && matches!(c, '0'..='9' | '-' | '.')) {
                break;
            }
            end = at + c.len_utf8();
            self.at += 1;
        }
        if let Some(Unit::Field(_)) = self.units.get(self.at) {
            return Err(self.in_tag(&start, ""));
        }
        if end == start.start {
            let message = format!("{what} is missing here");
            return Err(self.wrong(start, &message, "write &lt; for a `<` of the text"));
        }
        Ok((&self.text[start.start..end], start.start..end))
    }

    /// What is wrong within a tag: a field, or else something else.
    fn in_tag(&self, tag: &Range<usize>, otherwise: &str) -> ExpressionError {
        match self.units.get(self.at) {
            Some(Unit::Field(place)) => self.wrong(
                place.clone(),
                "a merge field stands within a tag, outside of an attribute's quotes",
                ELSEWHERE,
            ),
            None => self.wrong(tag.clone(), "this tag has no end", "close it with >"),
            Some(Unit::Character(..)) => self.wrong(
                self.place(),
                otherwise,
                "write it like <name attribute=\"value\">",
            ),
        }
    }

    fn wrong(&self, place: Range<usize>, message: &str, help: &str) -> ExpressionError {
        let is_of_a_field = self
            .units
            .iter()
            .any(|unit| matches!(unit, Unit::Field(field) if *field == place));
        let message = if is_of_a_field {
            message.to_owned()
        } else {
            format!("the template is no XML: {message}")
        };
        ExpressionError {
            place,
            message,
            help: Some(help.to_owned()),
        }
    }

    /// Whether these characters come next, without a field between them.
    fn is_at(&self, word: &str) -> bool {
        let mut next = self.units[self.at..].iter();
        word.chars()
            .all(|wanted| matches!(next.next(), Some(Unit::Character(c, _)) if *c == wanted))
    }

    /// Passes over these characters where they come next. Says whether they did.
    fn skip(&mut self, word: &str) -> bool {
        let is_there = self.is_at(word);
        if is_there {
            self.at += word.chars().count();
        }
        is_there
    }

    fn skip_blanks(&mut self) -> bool {
        let start = self.at;
        while let Some(Unit::Character(c, _)) = self.units.get(self.at)
            && c.is_ascii_whitespace()
        {
            self.at += 1;
        }
        self.at > start
    }

    /// Where it is, in bytes.
    fn place(&self) -> Range<usize> {
        match self.units.get(self.at) {
            Some(Unit::Character(c, at)) => *at..at + c.len_utf8(),
            Some(Unit::Field(place)) => place.clone(),
            None => self.text.len()..self.text.len(),
        }
    }
}
