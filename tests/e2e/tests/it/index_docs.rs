//! The statements of docs/hnsw.md and docs/ivf.md run, in the order of the page, and so do those of other pages for their own tests.

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::query::run;

use crate::index_setting::plain;

/// The text of a page of docs/.
pub fn page(name: &str) -> String {
    let path = format!("{}/../../docs/{name}.md", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// The statements of the SQL blocks in a page or a part of one.
pub fn statements_in(text: &str) -> Vec<String> {
    let blocks = text
        .split("```sql\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    let code: Vec<&str> = blocks
        .flat_map(str::lines)
        .map(|line| line.split("--").next().unwrap().trim_end())
        .collect();
    code.join("\n")
        .split(";\n")
        .map(|sql| sql.trim().trim_end_matches(';').to_owned())
        .filter(|sql| !sql.is_empty())
        .collect()
}

/// Runs the statements of a page that has that many at least.
pub fn run_statements_of(name: &str, at_least: usize) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut cluster.database("docs");
    let statements = statements_in(&page(name));
    assert!(statements.len() >= at_least, "{statements:#?}");
    for sql in &statements {
        run(client, sql);
    }
}

#[test]
fn statements_of_the_index_page_run() {
    run_statements_of("hnsw", 16);
}

#[test]
fn statements_of_the_page_of_the_inverted_file_run() {
    run_statements_of("ivf", 16);
}
