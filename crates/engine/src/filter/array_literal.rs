//! PostgreSQL's text format of a one-dimensional array.

/// Writes elements as an array literal: `{"a","b \"c\""}`.
///
/// Every element is quoted, so that neither the word NULL nor empty, blank or braced text is misread. The separator
/// is the comma for every built-in type but box, which cannot be filtered on.
pub fn write<S: AsRef<str>>(elements: &[S]) -> String {
    let mut literal = String::from("{");
    for (position, element) in elements.iter().enumerate() {
        if position > 0 {
            literal.push(',');
        }
        literal.push('"');
        for character in element.as_ref().chars() {
            if matches!(character, '"' | '\\') {
                literal.push('\\');
            }
            literal.push(character);
        }
        literal.push('"');
    }
    literal.push('}');
    literal
}
