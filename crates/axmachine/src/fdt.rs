//! Reads flattened device trees: Devicetree Specification 0.4, chapter 5.
//!
//! The blob is hostile. [`Fdt::new`] walks all of it once and refuses what is malformed; whatever
//! reads it afterwards gets `None` or an error, never a panic. Nothing recurses, and every loop is
//! bounded by the blob's size, which is bounded too.
//!
//! Names may be longer than the specification's 31 characters: those of real boards are.

use arrayvec::ArrayVec;

use super::MachineError;

/// The largest blob accepted: the limit of the arm64 boot protocol.
pub const MAX_SIZE: usize = 2 << 20;
/// How deep nodes may be nested, the root counted.
pub const MAX_DEPTH: usize = 16;
/// The longest name accepted. It bounds the search for a name's end.
const MAX_NAME: usize = 255;

const MAGIC: u32 = 0xd00d_feed;
const HEADER_SIZE: usize = 40;
/// The version whose layout this code reads.
const VERSION: u32 = 17;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// A device tree blob that was checked.
#[derive(Clone, Copy)]
pub struct Fdt<'a> {
    structure: &'a [u8],
    strings: &'a [u8],
    reservations: &'a [u8],
    /// Where `structure` begins in the blob.
    base: usize,
}

/// A node, with the way that leads to it.
#[derive(Clone)]
pub struct Node<'a> {
    fdt: Fdt<'a>,
    /// Offsets in the structure block of the nodes from the root to this one.
    path: ArrayVec<u32, MAX_DEPTH>,
}

/// A property of a node.
#[derive(Clone, Copy, Debug)]
pub struct Property<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: &'a [u8],
}

/// One token of the structure block (section 5.4.1). NOPs are skipped.
enum Token<'a> {
    Begin {
        name: &'a [u8],
    },
    End,
    /// The name is at an offset of the strings block.
    Prop {
        name: usize,
        value: &'a [u8],
    },
    Finish,
}

/// The big-endian word at `at`.
fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*word))
}

/// The big-endian double word at `at`.
fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    let word = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_be_bytes(*word))
}

/// The NUL-terminated string at `at`.
fn string(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let tail = bytes.get(at..)?;
    let head = tail.get(..tail.len().min(MAX_NAME + 1))?;
    head.get(..head.iter().position(|&byte| byte == 0)?)
}

/// Whether this can be a name. A slash would make paths ambiguous.
fn is_name(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|&byte| byte.is_ascii_graphic() && byte != b'/')
}

/// A name that [`is_name`] as text.
fn text(name: &[u8]) -> &str {
    core::str::from_utf8(name).unwrap_or_default()
}

/// The length in bytes of a blob that starts with `header`, so that a loader's pointer can be
/// turned into a slice. At most [`MAX_SIZE`].
pub fn size_of_blob(header: &[u8; 8]) -> Result<usize, MachineError> {
    let field = |at| be32(header, at).unwrap_or(0);
    if field(0) != MAGIC {
        return Err(MachineError::Header {
            field: "magic",
            value: field(0),
        });
    }
    let size = field(4) as usize;
    if !(HEADER_SIZE..=MAX_SIZE).contains(&size) {
        return Err(MachineError::Header {
            field: "totalsize",
            value: field(4),
        });
    }
    Ok(size)
}

impl<'a> Fdt<'a> {
    /// Checks a blob. Bytes behind its `totalsize` are ignored.
    pub fn new(blob: &'a [u8]) -> Result<Self, MachineError> {
        let header = blob
            .first_chunk::<HEADER_SIZE>()
            .ok_or(MachineError::Structure { offset: blob.len() })?;
        let field = |at| be32(header, at).unwrap_or(0);
        let bad = |field, value| MachineError::Header { field, value };

        let size = size_of_blob(header.first_chunk().unwrap_or(&[0; 8]))?;
        let blob = blob.get(..size).ok_or(bad("totalsize", field(4)))?;
        if field(20) < VERSION {
            return Err(bad("version", field(20)));
        }
        if field(24) > VERSION {
            return Err(bad("last_comp_version", field(24)));
        }
        let block = |offset: u32, len: u32| {
            let end = (offset as usize).checked_add(len as usize)?;
            blob.get(offset as usize..end)
        };
        if !field(8).is_multiple_of(4) {
            return Err(bad("off_dt_struct", field(8)));
        }
        let fdt = Self {
            structure: block(field(8), field(36)).ok_or(bad("size_dt_struct", field(36)))?,
            strings: block(field(12), field(32)).ok_or(bad("size_dt_strings", field(32)))?,
            reservations: blob
                .get(field(16) as usize..)
                .ok_or(bad("off_mem_rsvmap", field(16)))?,
            base: field(8) as usize,
        };
        fdt.check_reservations(field(16) as usize)?;
        fdt.check_structure()?;
        Ok(fdt)
    }

    /// Section 5.3: the reservations must end with an entry of zeros.
    fn check_reservations(&self, offset: usize) -> Result<(), MachineError> {
        let entries = self.reservations.chunks_exact(16);
        if entries.clone().any(|entry| *entry == [0; 16]) {
            return Ok(());
        }
        Err(MachineError::Structure { offset })
    }

    /// Section 5.4: one root, nodes well nested, properties before child nodes, an end token.
    fn check_structure(&self) -> Result<(), MachineError> {
        let mut depth = 0;
        let mut properties_allowed = false;
        let mut at = 0;
        loop {
            let offset = at;
            let bad = MachineError::Structure {
                offset: self.base + offset,
            };
            match self.token(&mut at).ok_or(bad)? {
                Token::Begin { name } => {
                    let root = depth == 0;
                    if root != name.is_empty() || !is_name(name) || depth == MAX_DEPTH {
                        return Err(bad);
                    }
                    depth += 1;
                    properties_allowed = true;
                }
                Token::Prop { name, .. } => {
                    let name = string(self.strings, name).ok_or(bad)?;
                    if !properties_allowed || name.is_empty() || !is_name(name) {
                        return Err(bad);
                    }
                }
                Token::Finish => return Err(bad),
                Token::End if depth > 1 => {
                    depth -= 1;
                    properties_allowed = false;
                }
                Token::End if depth == 1 => break,
                Token::End => return Err(bad),
            }
        }
        match self.token(&mut at) {
            Some(Token::Finish) => Ok(()),
            _ => Err(MachineError::Structure {
                offset: self.base + at,
            }),
        }
    }

    /// Reads the token at `at` and moves `at` behind it. `None` if there is no valid one.
    fn token(&self, at: &mut usize) -> Option<Token<'a>> {
        let bytes = self.structure;
        while be32(bytes, *at)? == NOP {
            *at += 4;
        }
        let start = *at + 4;
        match be32(bytes, *at)? {
            BEGIN_NODE => {
                let name = string(bytes, start)?;
                *at = (start + name.len() + 1).next_multiple_of(4);
                Some(Token::Begin { name })
            }
            END_NODE => {
                *at = start;
                Some(Token::End)
            }
            PROP => {
                let len = be32(bytes, start)? as usize;
                let name = be32(bytes, start + 4)? as usize;
                let value = bytes.get(start + 8..)?.get(..len)?;
                *at = (start + 8 + len).next_multiple_of(4);
                Some(Token::Prop { name, value })
            }
            END => {
                *at = start;
                Some(Token::Finish)
            }
            _ => None,
        }
    }

    /// The entries of the reservation block: first address and size in bytes.
    pub fn reservations(&self) -> impl Iterator<Item = (u64, u64)> + 'a {
        self.reservations
            .chunks_exact(16)
            .map_while(|entry| Some((be64(entry, 0)?, be64(entry, 8)?)))
            .take_while(|entry| *entry != (0, 0))
    }

    /// The root node.
    pub fn root(&self) -> Node<'a> {
        Node {
            fdt: *self,
            path: core::iter::once(0).collect(),
        }
    }

    /// All nodes but the root, parents before their children.
    pub fn nodes(&self) -> Nodes<'a> {
        self.root().descendants()
    }

    /// The node at a path (`/soc/serial@9000000`; a unit address may be left out, and then the
    /// first node of that name is meant), or the one an alias names (`serial0`).
    pub fn find(&self, path_or_alias: &str) -> Option<Node<'a>> {
        if path_or_alias.starts_with('/') {
            return self.find_path(path_or_alias);
        }
        let path = self.find_path("/aliases")?.string(path_or_alias)?;
        self.find_path(path)
    }

    fn find_path(&self, path: &str) -> Option<Node<'a>> {
        let mut node = path.starts_with('/').then(|| self.root())?;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            node = node.children().find(|child| {
                let name = child.name();
                name == part || name.split_once('@').is_some_and(|(stem, _)| stem == part)
            })?;
        }
        Some(node)
    }

    /// The first enabled node that is compatible with one of `names`.
    pub fn compatible(&self, names: &[&str]) -> Option<Node<'a>> {
        self.nodes()
            .find(|node| node.is_compatible_with_any(names) && node.is_enabled())
    }

    /// The node that has this phandle.
    pub fn by_phandle(&self, phandle: u32) -> Option<Node<'a>> {
        self.nodes().find(|node| {
            ["phandle", "linux,phandle"]
                .iter()
                .any(|name| node.property(name) == Some(&phandle.to_be_bytes()))
        })
    }
}

/// Nodes below a node. See [`Node::descendants`].
pub struct Nodes<'a> {
    /// The node returned last.
    node: Node<'a>,
    at: usize,
    /// Path length of the node whose descendants these are.
    floor: usize,
}

impl<'a> Iterator for Nodes<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        while self.node.path.len() >= self.floor {
            let start = self.at;
            match self.node.fdt.token(&mut self.at)? {
                Token::Begin { .. } => {
                    self.node.path.try_push(u32::try_from(start).ok()?).ok()?;
                    return Some(self.node.clone());
                }
                Token::End => {
                    self.node.path.pop();
                }
                Token::Prop { .. } => {}
                Token::Finish => return None,
            }
        }
        None
    }
}

/// A node's properties.
pub struct Properties<'a> {
    fdt: Fdt<'a>,
    at: usize,
}

impl<'a> Iterator for Properties<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Property<'a>> {
        match self.fdt.token(&mut self.at)? {
            Token::Prop { name, value } => {
                let name = text(string(self.fdt.strings, name)?);
                Some(Property { name, value })
            }
            _ => None,
        }
    }
}

impl<'a> Node<'a> {
    fn start(&self) -> usize {
        self.path.last().map_or(0, |&at| at as usize)
    }

    /// Offset of the node in the blob, to name it in errors.
    pub fn offset(&self) -> usize {
        self.fdt.base + self.start()
    }

    /// The tree it belongs to.
    pub fn fdt(&self) -> &Fdt<'a> {
        &self.fdt
    }

    /// Its name with the unit address; empty for the root.
    pub fn name(&self) -> &'a str {
        let mut at = self.start();
        match self.fdt.token(&mut at) {
            Some(Token::Begin { name }) => text(name),
            _ => "",
        }
    }

    /// Its parent. `None` for the root.
    pub fn parent(&self) -> Option<Node<'a>> {
        let mut parent = self.clone();
        parent.path.pop();
        (!parent.path.is_empty()).then_some(parent)
    }

    /// Itself, its parent, and so on up to the root.
    pub fn ancestors(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        core::iter::successors(Some(self.clone()), Node::parent)
    }

    /// Its properties.
    pub fn properties(&self) -> Properties<'a> {
        let mut at = self.start();
        let _begin = self.fdt.token(&mut at);
        Properties { fdt: self.fdt, at }
    }

    /// The value of a property.
    pub fn property(&self, name: &str) -> Option<&'a [u8]> {
        let mut at = self.properties().at;
        while let Token::Prop { name: is, value } = self.fdt.token(&mut at)? {
            // Compares without looking for the end of each name first.
            let is = self.fdt.strings.get(is..)?;
            if let Some([0, ..]) = is.strip_prefix(name.as_bytes()) {
                return Some(value);
            }
        }
        None
    }

    /// All nodes below it, parents before their children.
    pub fn descendants(&self) -> Nodes<'a> {
        Nodes {
            node: self.clone(),
            at: self.properties().at,
            floor: self.path.len(),
        }
    }

    /// The nodes directly below it.
    pub fn children(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let depth = self.path.len() + 1;
        self.descendants()
            .filter(move |node| node.path.len() == depth)
    }

    /// The first string of a property.
    pub fn string(&self, property: &str) -> Option<&'a str> {
        self.strings(property).next()
    }

    /// The strings of a property, up to the first malformed one.
    pub fn strings(&self, property: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut rest = self.property(property).unwrap_or(&[]);
        core::iter::from_fn(move || {
            let len = rest.iter().position(|&byte| byte == 0)?;
            let string = core::str::from_utf8(rest.get(..len)?).ok()?;
            rest = rest.get(len + 1..)?;
            Some(string)
        })
    }

    /// A property that is one cell.
    pub fn u32(&self, property: &'static str) -> Result<Option<u32>, MachineError> {
        let Some(value) = self.property(property) else {
            return Ok(None);
        };
        match <[u8; 4]>::try_from(value) {
            Ok(cell) => Ok(Some(u32::from_be_bytes(cell))),
            Err(_) => Err(self.bad_length(property, value.len())),
        }
    }

    /// A property that is one or two cells.
    pub fn u64(&self, property: &'static str) -> Result<Option<u64>, MachineError> {
        match self.property(property) {
            None => Ok(None),
            Some(value) => match value.len() {
                4 => Ok(be32(value, 0).map(u64::from)),
                8 => Ok(be64(value, 0)),
                len => Err(self.bad_length(property, len)),
            },
        }
    }

    /// Whether its `compatible` has this string.
    pub fn is_compatible(&self, with: &str) -> bool {
        self.is_compatible_with_any(&[with])
    }

    fn is_compatible_with_any(&self, names: &[&str]) -> bool {
        let mut strings = self
            .property("compatible")
            .unwrap_or_default()
            .split(|&byte| byte == 0);
        strings.any(|string| names.iter().any(|name| name.as_bytes() == string))
    }

    /// Whether its `status` says that it may be used: section 2.3.4.
    pub fn is_enabled(&self) -> bool {
        self.property("status").is_none() || matches!(self.string("status"), Some("okay" | "ok"))
    }

    pub(super) fn bad_length(&self, property: &'static str, len: usize) -> MachineError {
        MachineError::Length {
            node: self.offset(),
            property,
            len,
        }
    }
}

impl core::fmt::Display for Node<'_> {
    /// Writes the node's path.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.path.len() == 1 {
            return f.write_str("/");
        }
        for len in 2..=self.path.len() {
            let mut node = self.clone();
            node.path.truncate(len);
            write!(f, "/{}", node.name())?;
        }
        Ok(())
    }
}
