//! The snippets of docs/clients.md; tests/clients/snippets.py looks for them here.

use castmatch_clients::Outcome;
use postgres::{Config, NoTls};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Row};

fn with_postgres() -> Outcome {
    let mut config = Config::new();
    config
        .host(&std::env::var("PGHOST")?)
        .port(std::env::var("PGPORT")?.parse()?);
    let mut client = config
        .user(&std::env::var("PGUSER")?)
        .dbname("app")
        .connect(NoTls)?;

    let query = pgvector::Vector::from(vec![3.0, 1.0, 2.0]);
    client.execute("INSERT INTO items (embedding) VALUES ($1)", &[&query])?;
    for row in client.query(
        "SELECT embedding FROM items ORDER BY embedding <-> $1 LIMIT 5",
        &[&query],
    )? {
        let embedding: pgvector::Vector = row.try_get(0)?;
        println!("{embedding:?}");
    }
    Ok(())
}

async fn with_sqlx() -> Outcome {
    let mut connection = PgConnectOptions::new().database("app").connect().await?;

    let query = pgvector::Vector::from(vec![3.0, 1.0, 2.0]);
    let nearest = sqlx::query("SELECT embedding FROM items ORDER BY embedding <-> $1 LIMIT 5").bind(query);
    for row in nearest.fetch_all(&mut connection).await? {
        let embedding: pgvector::Vector = row.try_get(0)?;
        println!("{embedding:?}");
    }
    Ok(())
}

fn main() -> Outcome {
    with_postgres()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(with_sqlx())
}
