//! The README's first query does what the README says.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::query::column;

/// The first block of SQL in the README, statement by statement.
fn first_statements() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let block = text
        .split("```sql\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let code: Vec<&str> = block
        .lines()
        .map(|line| line.split("--").next().unwrap().trim_end())
        .collect();
    code.join("\n")
        .split(";\n")
        .map(|sql| sql.trim().trim_end_matches(';').to_owned())
        .filter(|sql| !sql.is_empty())
        .collect()
}

#[test]
fn first_query_of_the_readme_works_as_it_stands() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.connect("postgres", "postgres");
    let statements = first_statements();
    assert_eq!(statements.len(), 7, "{statements:#?}");
    for sql in &statements[..4] {
        client
            .batch_execute(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    assert_eq!(column::<i64>(client, &statements[4]), [3], "{}", statements[4]);
    assert_eq!(
        column::<String>(client, &statements[5]),
        ["Asha", "Meera"],
        "{}",
        statements[5]
    );
    let reply = column::<String>(client, &statements[6]);
    assert!(reply[0].contains("1. Asha"), "{reply:?}");
}
