//! The statements of docs/hnsw.md run, in the order of the page.

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::query::run;

use crate::index_setting::plain;

/// The statements of the page's SQL blocks.
fn statements() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/hnsw.md");
    let text = std::fs::read_to_string(path).unwrap();
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

#[test]
fn statements_of_the_index_page_run() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut cluster.database("docs");
    let statements = statements();
    assert!(statements.len() > 15, "{statements:#?}");
    for sql in &statements {
        run(client, sql);
    }
}
