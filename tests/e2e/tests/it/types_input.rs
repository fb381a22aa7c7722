//! Text, messages and stored bytes of any kind are values of a type, and the same value again, or refused: nothing ends the session.

use std::io::Write;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::query::{run, value};
use castmatch_e2e::random::Random;
use postgres::Client;

use crate::index_setting::plain;

/// Texts, and damaged values, of each type.
const CASES: usize = 400;
/// Messages of each type: 5,000 in all.
const MESSAGES: usize = 5_000usize.div_ceil(TYPES.len());

/// Each type with texts of values to start from and what its texts are made of.
const TYPES: [(&str, &[&str], &str); 3] = [
    (
        "vector",
        &["[1,2,3]", "[-0.5]", "[1e-45,3.4028235e38,-0]"],
        "[],.+-eExX0123456789 \t\ninfNa",
    ),
    (
        "halfvec",
        &["[1,2,3]", "[-0.5]", "[65504,6e-8,-0]"],
        "[],.+-eExX0123456789 \t\ninfNa",
    ),
    (
        "sparsevec",
        &["{1:1,3:-2}/5", "{}/1", "{7:0.5,1000000000:3e38}/1000000000"],
        "{}:/,.+-eExX0123456789 \t\ninfNa",
    ),
];

/// A few changes of a value's bytes: others in their place, more, fewer.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>, byte: impl Fn(&mut Random) -> u8) {
    for _ in 0..random.within(1..5) {
        let place = usize::try_from(random.within(0..i64::try_from(bytes.len()).unwrap() + 1)).unwrap();
        let new = byte(random);
        match random.within(0..8) {
            0..4 if place < bytes.len() => bytes[place] = new,
            0..6 => bytes.insert(place, new),
            6 if place < bytes.len() => drop(bytes.remove(place)),
            _ => bytes.truncate(place),
        }
    }
}

/// The SQLSTATE of a refusal, which must be one of these.
fn refusal(error: &postgres::Error, allowed: &[&str], of: &str) -> String {
    let code = error
        .code()
        .unwrap_or_else(|| panic!("{of}: {error:?}"))
        .code()
        .to_owned();
    assert!(allowed.contains(&code.as_str()), "{of}: {error:?}");
    code
}

#[test]
fn any_text_is_a_value_or_refused() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut cluster.database("types");
    let mut random = Random::new(1);
    for (name, texts, alphabet) in TYPES {
        let (mut accepted, mut refused) = (0, 0);
        let statement = client
            .prepare(&format!(
                "SELECT v::text::{name}::text = v::text FROM CAST(CAST($1 AS text) AS {name}) v"
            ))
            .unwrap();
        for _ in 0..CASES {
            let mut text = random.of(texts).as_bytes().to_vec();
            mutate(&mut random, &mut text, |random| *random.of(alphabet.as_bytes()));
            let text = String::from_utf8(text).unwrap();
            match client.query_one(&statement, &[&text]) {
                Ok(row) => {
                    assert!(row.get::<_, bool>(0), "{name}: {text:?}");
                    accepted += 1;
                }
                Err(error) => {
                    refusal(
                        &error,
                        &["22P02", "22003", "22000", "54000"],
                        &format!("{name}: {text:?}"),
                    );
                    refused += 1;
                }
            }
        }
        assert!(
            accepted > 20 && refused > 20,
            "{name}: {accepted} accepted, {refused} refused"
        );
    }
}

/// Hands a message to the receive function of the column's type, by a binary COPY of one row.
fn copy(client: &mut Client, message: &[u8]) -> Result<u64, postgres::Error> {
    let mut file = b"PGCOPY\n\xff\r\n\0".to_vec();
    file.extend([0; 8]);
    file.extend(1_i16.to_be_bytes());
    file.extend(i32::try_from(message.len()).unwrap().to_be_bytes());
    file.extend(message);
    file.extend((-1_i16).to_be_bytes());
    let mut writer = client.copy_in("COPY received FROM STDIN (FORMAT binary)")?;
    writer.write_all(&file).unwrap();
    writer.finish()
}

#[test]
fn any_message_is_a_value_or_refused() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut cluster.database("types");
    let mut random = Random::new(2);
    for (name, texts, _) in TYPES {
        run(client, &format!("CREATE TABLE received (v {name})"));
        let messages: Vec<Vec<u8>> = texts
            .iter()
            .map(|text| value(client, &format!("SELECT {name}_send('{text}')")))
            .collect();
        let (mut accepted, mut refused) = (0, 0);
        for _ in 0..MESSAGES {
            let mut message = random.of(&messages).clone();
            mutate(&mut random, &mut message, |random| match random.within(0..2) {
                0 => *random.of(&[0, 1, 2, 0x7f, 0x80, 0xff]),
                _ => random.bits() as u8,
            });
            let of = format!("{name}: {message:02x?}");
            match copy(client, &message) {
                Ok(_) => {
                    let sent: Vec<u8> = value(client, &format!("SELECT {name}_send(v) FROM received"));
                    assert_eq!(sent, message, "{of}");
                    run(client, "TRUNCATE received");
                    accepted += 1;
                }
                Err(error) => {
                    refusal(&error, &["22P03", "22000", "54000"], &of);
                    refused += 1;
                }
            }
        }
        assert!(
            accepted > 20 && refused > 20,
            "{name}: {accepted} accepted, {refused} refused"
        );
        run(client, "DROP TABLE received");
    }
}

/// Bytes that PostgreSQL takes for a value of the type, as damage of a page would put them there.
#[test]
fn damaged_values_are_refused() {
    let cluster = Cluster::start(&Options {
        damages: true,
        ..plain(&[])
    });
    let client = &mut cluster.database("types");
    let mut random = Random::new(3);
    let expressions = [
        (
            "vector",
            "v::text || vector_send(v)::text || (v <-> v) || vector_cmp(v, v) || l2_norm(v)",
        ),
        (
            "halfvec",
            "v::text || halfvec_send(v)::text || (v <+> v) || halfvec_cmp(v, v) || l2_norm(v)",
        ),
        (
            "sparsevec",
            "v::text || sparsevec_send(v)::text || (v <=> v) || sparsevec_cmp(v, v) || l2_normalize(v)::text",
        ),
        ("varbit", "((v <~> v) + (v <%> v))::text"),
    ];
    for (name, expression) in expressions {
        run(client, &format!("CREATE CAST (bytea AS {name}) WITHOUT FUNCTION"));
        let words: &[i32] = match name {
            "sparsevec" => &[5, 2, 0, 0, 4, 0x3f80_0000, 0x4000_0000],
            "varbit" => &[40, 0x0102_0304],
            _ => &[2, 0x3f80_0000, 0x4000_0000],
        };
        let mut valid: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        match name {
            "varbit" => valid.push(7),
            "halfvec" => valid.truncate(8),
            _ => {}
        }
        let statement = client
            .prepare(&format!(
                "SELECT {expression} FROM CAST(CAST($1 AS bytea) AS {name}) v"
            ))
            .unwrap();
        client.query_one(&statement, &[&valid]).unwrap();
        let mut refused = 0;
        for _ in 0..CASES {
            let mut bytes = valid.clone();
            mutate(&mut random, &mut bytes, |random| match random.within(0..2) {
                0 => *random.of(&[0, 1, 2, 4, 5, 0x7f, 0x80, 0xff]),
                _ => random.bits() as u8,
            });
            if let Err(error) = client.query_one(&statement, &[&bytes]) {
                refusal(&error, &["XX001", "22003"], &format!("{name}: {bytes:02x?}"));
                refused += 1;
            }
        }
        assert!(refused > 20, "{name}: {refused} refused");
        run(client, &format!("DROP CAST (bytea AS {name})"));
    }
}
