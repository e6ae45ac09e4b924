//! Which fields are taken out of an event: the attributes every event is judged by, and the paths that rules name. A tree, so
//! that JSON is read once, and what no rule wants is skipped without being built.

/// The deepest path.
const MAX_SEGMENTS: usize = 32;
/// The longest path, in bytes; paths stand in the reasons of the ledger.
const MAX_PATH_BYTES: usize = 256;

/// A field that is taken: its node in the tree, which is also where its value stands in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field(usize);

impl Field {
    pub(crate) const ROOT: Self = Self(0);
    pub(crate) const SPECVERSION: Self = Self(1);
    pub(crate) const ID: Self = Self(2);
    pub(crate) const SOURCE: Self = Self(3);
    pub(crate) const TYPE: Self = Self(4);
    pub(crate) const TIME: Self = Self(5);
    pub(crate) const DATACONTENTTYPE: Self = Self(6);
    pub(crate) const DATA: Self = Self(7);
    pub(crate) const DATA_BASE64: Self = Self(8);
    /// Fields up to here are judged with the event: their JSON type matters.
    const LAST_CORE: Self = Self::DATA_BASE64;

    pub(crate) fn index(self) -> usize {
        self.0
    }
}

#[derive(Clone, Debug)]
struct Node {
    /// As rules and reasons name it.
    path: String,
    is_attribute: bool,
    /// Sorted by name.
    children: Vec<Child>,
}

#[derive(Clone, Debug)]
struct Child {
    name: String,
    /// The name as the index of an array's element.
    index: Option<usize>,
    field: Field,
}

/// The tree of all fields that are taken.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    nodes: Vec<Node>,
}

impl Default for Fields {
    fn default() -> Self {
        let mut fields = Self {
            nodes: vec![Node {
                path: String::new(),
                is_attribute: false,
                children: Vec::new(),
            }],
        };
        // In the order of the constants of `Field`.
        for attribute in [
            "specversion",
            "id",
            "source",
            "type",
            "time",
            "datacontenttype",
            "data",
            "data_base64",
        ] {
            fields.child(Field::ROOT, attribute);
        }
        fields
    }
}

impl Fields {
    /// How many values an event has.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The path of a field, for people.
    pub(crate) fn path(&self, field: Field) -> &str {
        self.nodes.get(field.0).map_or("", |node| &node.path)
    }

    /// Whether it is an attribute beyond the core ones: all its scalars are taken as text, as they are in binary mode.
    pub(crate) fn is_plain_attribute(&self, field: Field) -> bool {
        field.0 > Field::LAST_CORE.0 && self.is_attribute(field)
    }

    /// Whether it is an attribute, not data.
    pub(crate) fn is_attribute(&self, field: Field) -> bool {
        self.nodes.get(field.0).is_some_and(|node| node.is_attribute)
    }

    /// Whether anything within this field is taken.
    pub(crate) fn is_leaf(&self, field: Field) -> bool {
        self.children(field).is_empty()
    }

    /// The field of this name within another.
    pub(crate) fn named(&self, parent: Field, name: &str) -> Option<Field> {
        let children = self.children(parent);
        let found = children.binary_search_by(|child| child.name.as_str().cmp(name)).ok()?;
        children.get(found).map(|child| child.field)
    }

    /// The field at this place of an array.
    pub(crate) fn at(&self, parent: Field, index: usize) -> Option<Field> {
        self.children(parent)
            .iter()
            .find(|child| child.index == Some(index))
            .map(|child| child.field)
    }

    /// Takes the field with this path too. The error says what is wrong with the path.
    pub(crate) fn take(&mut self, path: &str) -> Result<Field, String> {
        check(path)?;
        let mut field = Field::ROOT;
        for segment in path.split('.') {
            field = self.child(field, segment);
        }
        Ok(field)
    }

    fn children(&self, parent: Field) -> &[Child] {
        self.nodes.get(parent.0).map_or(&[], |node| &node.children)
    }

    fn child(&mut self, parent: Field, name: &str) -> Field {
        let field = Field(self.nodes.len());
        let Some(node) = self.nodes.get_mut(parent.0) else {
            return parent;
        };
        let place = match node.children.binary_search_by(|child| child.name.as_str().cmp(name)) {
            Ok(found) => return node.children.get(found).map_or(parent, |child| child.field),
            Err(place) => place,
        };
        let index = name.parse().ok().filter(|index: &usize| index.to_string() == name);
        node.children.insert(
            place,
            Child {
                name: name.to_owned(),
                index,
                field,
            },
        );
        let path = if parent == Field::ROOT {
            name.to_owned()
        } else {
            format!("{}.{name}", node.path)
        };
        let is_attribute = parent == Field::ROOT && !matches!(name, "data" | "data_base64");
        self.nodes.push(Node {
            path,
            is_attribute,
            children: Vec::new(),
        });
        field
    }
}

/// That `path` names an attribute, `data`, or something within the data.
fn check(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Err("no field is named".to_owned());
    }
    if path.len() > MAX_PATH_BYTES || path.split('.').count() > MAX_SEGMENTS {
        return Err(format!(
            "a field's path has at most {MAX_PATH_BYTES} bytes and {MAX_SEGMENTS} parts"
        ));
    }
    if path.split('.').any(str::is_empty) {
        return Err(format!("the field `{path}` has an empty part"));
    }
    let attribute = path.split('.').next().unwrap_or_default();
    if attribute == "data" {
        return Ok(());
    }
    if attribute == "data_base64" {
        return Err("binary data (`data_base64`) has no fields that could be counted".to_owned());
    }
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if attribute == path && path.bytes().all(letters) {
        return Ok(());
    }
    Err(format!(
        "`{path}` is no field of an event: attributes are named in lower-case letters and digits, what stands in the data \
         as `data.{path}`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_fields_stand_where_their_constants_say() {
        let fields = Fields::default();
        let named = |field, name| {
            assert_eq!(
                (fields.path(field), fields.named(Field::ROOT, name)),
                (name, Some(field))
            );
        };
        named(Field::SPECVERSION, "specversion");
        named(Field::ID, "id");
        named(Field::SOURCE, "source");
        named(Field::TYPE, "type");
        named(Field::TIME, "time");
        named(Field::DATACONTENTTYPE, "datacontenttype");
        named(Field::DATA, "data");
        named(Field::DATA_BASE64, "data_base64");
        assert_eq!(fields.len(), Field::LAST_CORE.index() + 1);
    }

    #[test]
    fn paths_make_a_tree() {
        let mut fields = Fields::default();
        let zero = fields.take("data.items.0").expect("a path");
        let name = fields.take("data.items.0.name").expect("a path");
        assert_eq!(fields.take("data.items.0"), Ok(zero));
        let items = fields.named(Field::DATA, "items").expect("taken");
        assert_eq!(
            (fields.at(items, 0), fields.at(items, 1), fields.named(zero, "name")),
            (Some(zero), None, Some(name))
        );
        assert_eq!(fields.path(name), "data.items.0.name");
        assert!(!fields.is_attribute(name));
        let subject = fields.take("subject").expect("an attribute");
        assert!(fields.is_plain_attribute(subject) && !fields.is_plain_attribute(Field::TYPE));
    }

    #[test]
    fn wrong_paths_say_why() {
        let mut fields = Fields::default();
        for wrong in [
            "",
            ".",
            "data.",
            "data..x",
            "Type",
            "status.code",
            "data_base64",
            "data_base64.x",
            &"data.x".repeat(50),
        ] {
            assert!(fields.take(wrong).is_err(), "{wrong}");
        }
    }
}
