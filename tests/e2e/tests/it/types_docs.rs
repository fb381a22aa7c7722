//! The tables of docs/types.md hold what the catalogue holds, and nothing else; its statements run.

use std::collections::BTreeSet;

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::query::{column, failure, run, value};
use postgres::Client;

use crate::index_docs::run_statements_of;
use crate::index_setting::plain;

const TYPES: [&str; 4] = ["vector", "halfvec", "sparsevec", "bit"];

/// The members of the extension in a catalogue that are not of schema castmatch, the extension's own.
const MEMBERS: &str = "JOIN pg_depend d ON d.objid = o.oid AND d.classid = tableoid_of AND d.deptype = 'e'
    JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'castmatch'";

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/types.md");
    std::fs::read_to_string(path).unwrap()
}

/// The cells of the first table below a heading: the heads of its columns, then the rows.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = page();
    let (_, section) = page
        .split_once(&format!("\n### {heading}\n"))
        .unwrap_or_else(|| panic!("no heading {heading}"));
    let rows: Vec<Vec<String>> = section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .map(cells)
        .filter(|row| !row[0].starts_with("---"))
        .collect();
    assert!(rows.len() > 4, "{heading}: {rows:?}");
    let width = rows[0].len();
    for row in &rows {
        assert_eq!(row.len(), width, "{heading}: {row:?}");
    }
    rows
}

/// The cells of a line, of which code loses its marks.
fn cells(line: &str) -> Vec<String> {
    let line = line.trim().trim_start_matches('|').trim_end_matches('|');
    line.replace("\\|", "\u{1}")
        .split('|')
        .map(|cell| cell.trim().trim_matches('`').replace('\u{1}', "|"))
        .collect()
}

/// What the rows say of each type whose column is marked: of the row's first cell and its result, with the type's name for `T`.
fn marked(heading: &str, describe: impl Fn(&str, &str, &str) -> String) -> BTreeSet<String> {
    let table = table(heading);
    let head = &table[0];
    let place = |name: &str| head.iter().position(|cell| cell == name).unwrap();
    let mut described = BTreeSet::new();
    for row in &table[1..] {
        let mut marks = 0;
        for name in TYPES {
            match row[place(name)].as_str() {
                "" => continue,
                "✓" => marks += 1,
                other => panic!("{heading}: {other} in {row:?}"),
            }
            let of_type = |text: &str| with_type(text, name);
            let new = described.insert(describe(name, &of_type(&row[0]), &of_type(&row[place("result")])));
            assert!(new, "{heading}: {row:?} is there twice");
        }
        assert!(marks > 0, "{heading}: no type in {row:?}");
    }
    described
}

/// A text with the name of a type where `T` stands alone or beside an underscore.
fn with_type(text: &str, name: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let alone = |at: usize| {
        let beside = |other: Option<&char>| other.is_some_and(|other| other.is_alphanumeric());
        chars[at] == 'T' && !beside(chars.get(at + 1)) && !(at > 0 && beside(chars.get(at - 1)))
    };
    (0..chars.len())
        .map(|at| {
            if alone(at) {
                name.to_owned()
            } else {
                chars[at].to_string()
            }
        })
        .collect()
}

/// One column of the members of a catalogue.
fn members(client: &mut Client, catalogue: &str, select: &str, condition: &str) -> BTreeSet<String> {
    let members = MEMBERS.replace("tableoid_of", &format!("'{catalogue}'::regclass"));
    let sql = format!("SELECT {select} FROM {catalogue} o {members} WHERE {condition}");
    column::<String>(client, &sql).into_iter().collect()
}

fn assert_same(what: &str, page: &BTreeSet<String>, catalogue: &BTreeSet<String>) {
    let missing: Vec<_> = catalogue.difference(page).collect();
    let stale: Vec<_> = page.difference(catalogue).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "{what} that docs/types.md lacks: {missing:#?}, that only it has: {stale:#?}"
    );
}

#[test]
fn tables_of_the_page_of_types_are_those_of_the_catalogue() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut cluster.database("types");

    let page = marked("Operators", |name, operator, result| {
        format!("{name} {operator} {name} = {result}")
    });
    let select = "format('%s %s %s = %s', oprleft::regtype, oprname, oprright::regtype, oprresult::regtype)";
    assert_same(
        "operators",
        &page,
        &members(client, "pg_operator", select, "true"),
    );

    let page = marked("Functions", |_, function, result| {
        format!("{function} = {result}")
    });
    let select =
        "format('%s(%s) = %s', proname, pg_get_function_identity_arguments(o.oid), prorettype::regtype)";
    let outside = "pronamespace <> 'castmatch'::regnamespace";
    assert_same("functions", &page, &members(client, "pg_proc", select, outside));

    let table_of_casts = table("Casts");
    let mut page = BTreeSet::new();
    for row in &table_of_casts[1..] {
        for (target, context) in table_of_casts[0].iter().zip(row).skip(1) {
            if !context.is_empty() {
                page.insert(format!("{} to {target}: {context}", row[0]));
            }
        }
    }
    let select = "format('%s to %s: %s', castsource::regtype, casttarget::regtype,
        CASE castcontext WHEN 'i' THEN 'implicit' WHEN 'a' THEN 'assignment' ELSE 'explicit' END)";
    assert_same("casts", &page, &members(client, "pg_cast", select, "true"));
}

#[test]
fn the_operator_classes_of_the_page_of_types_are_those_of_the_catalogue() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut cluster.database("types");
    let mut page = BTreeSet::new();
    for row in &table("Operator classes")[1..] {
        let [class, of_type, methods, operators] = row.as_slice() else {
            panic!("{row:?}");
        };
        let operators: BTreeSet<&str> = operators
            .split_whitespace()
            .map(|name| name.trim_matches('`'))
            .collect();
        for method in methods.split(", ") {
            let (method, default) = match method.split_once(" (default)") {
                Some((method, "")) => (method, "default"),
                _ => (method, ""),
            };
            let method = method.trim_matches('`');
            page.insert(format!("{class} {of_type} {method} {default} {operators:?}"));
        }
    }
    // Classes of filter columns are of PostgreSQL's own types and stand in the page of the index.
    let select = "format('%s %s %s %s %s', opcname, opcintype::regtype, (SELECT amname FROM pg_am WHERE oid = opcmethod),
        CASE WHEN opcdefault THEN 'default' ELSE '' END,
        (SELECT string_agg(oprname, ' ') FROM pg_amop JOIN pg_operator p ON p.oid = amopopr
            WHERE amopfamily = opcfamily AND amoplefttype = opcintype AND amoprighttype = opcintype))";
    let of_types = "opcintype = ANY (ARRAY['vector', 'halfvec', 'sparsevec', 'bit']::regtype[])";
    let catalogue = members(client, "pg_opclass", select, of_types)
        .into_iter()
        .map(|line| {
            let parts: Vec<&str> = line.splitn(5, ' ').collect();
            let operators: BTreeSet<&str> = parts[4].split_whitespace().collect();
            format!(
                "{} {} {} {} {operators:?}",
                parts[0], parts[1], parts[2], parts[3]
            )
        })
        .collect();
    assert_same("operator classes", &page, &catalogue);
}

/// The number in a row of the table of limits, for a type.
fn limit(row: &str, of_type: &str) -> Option<i64> {
    let table = table("Limits");
    let place = table[0].iter().position(|cell| cell == of_type).unwrap();
    let row = table.iter().find(|cells| cells[0] == row).unwrap();
    row[place].parse().ok()
}

#[test]
fn the_limits_of_the_page_of_types_hold() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut cluster.database("types");
    for of_type in ["vector", "halfvec", "sparsevec"] {
        let sparse = of_type == "sparsevec";
        let widest = limit("dimensions of a type modifier", of_type).unwrap();
        run(client, &format!("SELECT NULL::{of_type}({widest})"));
        let error = failure(client, &format!("SELECT NULL::{of_type}({})", widest + 1));
        assert_eq!(error.code().code(), "22023");

        let most = limit("dimensions of a value", of_type).unwrap();
        let cast = |dims: i64| match sparse {
            true => format!("SELECT '{{}}/{dims}'::{of_type}"),
            false => format!("SELECT ('[1' || repeat(',1', {}) || ']')::{of_type}", dims - 1),
        };
        run(client, &cast(most));
        assert_eq!(failure(client, &cast(most + 1)).code().code(), "54000");

        let (header, element) = (
            limit("bytes of a header", of_type).unwrap(),
            limit("bytes of an element", of_type).unwrap(),
        );
        for elements in [1, 2, 9] {
            let cast = format!("array_fill(1, ARRAY[{elements}])::{of_type}");
            let bytes: i32 = value(client, &format!("SELECT pg_column_size({cast})"));
            assert_eq!(i64::from(bytes), header + element * elements, "{cast}");
        }
    }
    let most = limit("elements that are not zero", "sparsevec").unwrap();
    let cast = |elements: i64| format!("SELECT (array_fill(1, ARRAY[{elements}]) || 0)::sparsevec");
    run(client, &cast(most));
    assert_eq!(failure(client, &cast(most + 1)).code().code(), "54000");
}

#[test]
fn statements_of_the_page_of_types_run() {
    run_statements_of("types", 5);
}
