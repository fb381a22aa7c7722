//! Tests that run inside a server (`cargo pgrx test`): what needs a backend but no second session. What users see is in
//! `tests/pg_regress`, what needs several sessions or a restart in `tests/e2e`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use crate::embed::Embedder;
use crate::embed::client::{self, Request};
use crate::error::internal;
use crate::matching::target::Target;
use crate::pg::role::{Restriction, act_as, current};
use crate::pg::spi::{Access, session};
use crate::pg::value::{Value, to_portable_text};
use crate::pg::worker::my_pid;
use crate::pg::xact::{self, in_subtransaction};
use crate::pg::{catalog, vector};
use crate::shared::shared;
use castmatch_engine::shared::embedder::{Slot, SlotState, Urgency};
use core::sync::atomic::Ordering;
use pgrx::pg_sys;
use pgrx::prelude::*;

fn one<T: pgrx::FromDatum + pgrx::IntoDatum>(sql: &str) -> T {
    session(Access::ReadWrite, |session| session.run(sql, &[])?.require(0, 1)).unwrap()
}

fn run(sql: &str) {
    session(Access::ReadWrite, |session| session.run_utility(sql)).unwrap();
}

#[pg_schema]
mod tests {
    use super::*;

    #[pg_test]
    fn a_read_only_session_does_not_see_what_the_statement_itself_wrote() {
        run("CREATE TABLE written (a integer)");
        let seen = session(Access::ReadWrite, |outer| {
            outer.run("INSERT INTO written VALUES (1)", &[])?;
            let read_only: i64 = session(Access::ReadOnly, |inner| {
                inner.run("SELECT count(*) FROM written", &[])?.require(0, 1)
            })?;
            let read_write: i64 = outer.run("SELECT count(*) FROM written", &[])?.require(0, 1)?;
            Ok((read_only, read_write))
        });
        assert_eq!(seen.unwrap(), (0, 1));
    }

    #[pg_test]
    fn a_value_of_another_type_is_an_error_not_a_wrong_number() {
        let result = session(Access::ReadOnly, |session| {
            session.run("SELECT 'text'", &[])?.require::<i64>(0, 1)
        });
        assert!(result.unwrap_err().message().contains("has type"));
        let result = session(Access::ReadOnly, |session| {
            session.run("SELECT 1", &[])?.require::<i32>(1, 1)
        });
        assert!(result.unwrap_err().message().contains("does not exist"));
        let result = session(Access::ReadOnly, |session| {
            session.run("SELECT 1", &[])?.require::<i32>(0, 2)
        });
        assert!(result.unwrap_err().message().contains("does not exist"));
    }

    #[pg_test]
    fn a_kept_plan_follows_a_change_of_its_table() {
        run("CREATE TABLE changing (a integer)");
        run("INSERT INTO changing VALUES (1)");
        let read = || one::<i32>("SELECT a FROM changing");
        assert_eq!(read(), 1);
        run("ALTER TABLE changing ADD COLUMN b text");
        run("UPDATE changing SET a = 2");
        assert_eq!(read(), 2);
    }

    #[pg_test]
    fn more_statements_than_plans_are_kept_all_work() {
        for number in 0..200 {
            assert_eq!(one::<i32>(&format!("SELECT {number}")), number);
        }
        assert_eq!(one::<i32>("SELECT 0"), 0);
    }

    #[pg_test]
    fn rows_come_in_portions_and_all_of_them() {
        let mut portions = Vec::new();
        let mut sum = 0;
        session(Access::ReadOnly, |session| {
            session.run_in_portions("SELECT n FROM pg_catalog.generate_series(1, 25) n", 10, |rows| {
                portions.push(rows.len());
                sum += rows.column_values::<i32>(1)?.iter().sum::<i32>();
                Ok(())
            })
        })
        .unwrap();
        assert_eq!(portions, [10, 10, 5]);
        assert_eq!(sum, 325);
    }

    #[pg_test]
    fn a_failed_subtransaction_leaves_nothing_and_gives_the_message() {
        run("CREATE TABLE kept (a integer CHECK (a > 0))");
        let failed = in_subtransaction(|| {
            session(Access::ReadWrite, |session| {
                session.run("INSERT INTO kept VALUES (1)", &[])?;
                session.run("INSERT INTO kept VALUES (-1)", &[])
            })
            .map(drop)
        });
        assert!(failed.unwrap_err().contains("violates check constraint"));
        assert_eq!(
            in_subtransaction(|| -> crate::error::Result<()> { Err(internal("no")) }),
            Err("no".to_owned())
        );
        in_subtransaction(|| {
            session(Access::ReadWrite, |session| {
                session.run("INSERT INTO kept VALUES (2)", &[])
            })
            .map(drop)
        })
        .unwrap();
        assert_eq!(one::<i64>("SELECT count(*) FROM kept"), 1);
    }

    #[pg_test]
    fn the_role_is_restored_after_success_and_after_an_error() {
        run("CREATE ROLE castmatch_test_role");
        let role =
            one::<pg_sys::Oid>("SELECT oid FROM pg_catalog.pg_roles WHERE rolname = 'castmatch_test_role'");
        let before = current();
        assert_eq!(act_as(role, Restriction::Restricted, current), role);
        assert_eq!(current(), before);
        let failed = in_subtransaction(|| {
            act_as(role, Restriction::Restricted, || {
                session(Access::ReadWrite, |session| {
                    session.run_utility("CREATE ROLE castmatch_other")
                })
            })
        });
        assert!(failed.unwrap_err().contains("permission denied"));
        assert_eq!(current(), before);
    }

    #[pg_test]
    fn a_key_is_written_the_same_under_any_date_style() {
        let read = || {
            session(Access::ReadOnly, |session| {
                let rows = session.run("SELECT '2026-03-01'::date", &[])?;
                let (type_oid, datum) = rows.cell(0, 1)?;
                Ok(to_portable_text(type_oid, datum.unwrap()))
            })
            .unwrap()
        };
        assert_eq!(read(), "2026-03-01");
        run("SET DateStyle = 'German'");
        assert_eq!(read(), "2026-03-01");
        assert_eq!(one::<String>("SELECT '2026-03-01'::date::text"), "01.03.2026");
    }

    #[pg_test]
    fn a_domain_counts_as_its_base_type() {
        run("CREATE DOMAIN short_text AS text CHECK (length(VALUE) < 10)");
        run("CREATE DOMAIN shorter_text AS short_text");
        run("CREATE TABLE described (id bigint PRIMARY KEY, word shorter_text, words text[], n numeric)");
        let table = one::<pg_sys::Oid>("SELECT 'described'::regclass::oid");
        let target = session(Access::ReadWrite, |session| Target::load(session, table)).unwrap();
        let columns = target.filter_columns();
        let kinds: Vec<(&str, u32, u32)> = columns
            .iter()
            .map(|column| (column.name.as_str(), column.type_oid, column.element_type_oid))
            .collect();
        assert_eq!(
            kinds,
            [
                ("id", 20, 0),
                ("word", 25, 0),
                ("words", 1009, 25),
                ("n", 1700, 0)
            ]
        );
        assert!(target.require_text_column("word").is_ok());
        assert!(target.require_text_column("words").is_err());
    }

    #[pg_test]
    fn embeddings_come_back_in_order_and_do_not_depend_on_company() {
        let texts = [
            "a horse",
            "",
            "मुंबई की एक अभिनेत्री",
            "a stern police inspector",
            "a horse",
        ];
        let builtin = Embedder::builtin();
        let together = client::embed(&builtin, &texts, Urgency::Interactive)
            .ok()
            .unwrap();
        assert_eq!(together.len(), texts.len());
        for (text, vector) in texts.iter().zip(&together) {
            let alone = client::embed(&builtin, &[text], Urgency::Background)
                .ok()
                .unwrap()
                .pop()
                .unwrap();
            let dot: f32 = alone.iter().zip(vector).map(|(a, b)| a * b).sum();
            assert!(dot > 0.999_99, "{text:?}: cosine {dot}");
        }
        assert_eq!(together[0], together[4]);
    }

    #[pg_test]
    fn a_request_outlives_the_subtransaction_that_made_it() {
        let builtin = Embedder::builtin();
        let expected = client::embed(&builtin, &["a horse"], Urgency::Interactive)
            .ok()
            .unwrap();
        let submit = |requests: &mut Vec<Request>| {
            let request = client::submit(&builtin, &["a horse"], Urgency::Background)?;
            requests.push(request);
            Ok::<(), pgrx::pg_sys::panic::ErrorReport>(())
        };
        let mut requests = Vec::new();
        in_subtransaction(|| submit(&mut requests)).unwrap();
        let failed = in_subtransaction(|| {
            submit(&mut requests)?;
            Err::<(), _>(internal("undo"))
        });
        assert!(failed.is_err());
        assert_eq!(requests.len(), 2);
        for request in requests {
            assert_eq!(request.wait().ok().unwrap(), expected);
        }
        let mut none = client::submit(&builtin, &[], Urgency::Background).ok().unwrap();
        assert!(none.is_done());
        assert!(none.wait().ok().unwrap().is_empty());
    }

    /// Slots of this process.
    fn my_slots() -> usize {
        let slots = &shared().unwrap().embedder.slots;
        let mine =
            |slot: &&Slot| !slot.is(SlotState::Free) && slot.owner_pid.load(Ordering::Relaxed) == my_pid();
        slots.iter().filter(mine).count()
    }

    /// Segments of dynamic shared memory that this process has mapped.
    fn mapped_segments() -> usize {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines()
            .filter(|line| line.contains("/dev/shm/PostgreSQL."))
            .count()
    }

    #[pg_test]
    fn a_request_that_is_dropped_gives_its_slot_back() {
        let builtin = Embedder::builtin();
        let submit = || {
            client::submit(&builtin, &["a horse", "a mare"], Urgency::Background)
                .map_err(pgrx::pg_sys::panic::ErrorReport::from)
        };
        drop(submit().unwrap());
        let mapped = mapped_segments();
        // More than there are slots, so that a leak shows.
        for _ in 0..300 {
            drop(submit().unwrap());
        }
        assert_eq!(mapped_segments(), mapped);
        for _ in 0..300 {
            let failed = in_subtransaction(|| {
                let _request = submit()?;
                assert_eq!(my_slots(), 1);
                session(Access::ReadOnly, |session| {
                    session.run("SELECT 1/0", &[]).map(drop)
                })
            });
            assert_eq!(failed, Err("division by zero".to_owned()));
        }
        assert_eq!(my_slots(), 0);
        // The last one is still mapped: its transaction has not ended.
        assert_eq!(mapped_segments(), mapped + 1);
        let mut request = submit().unwrap();
        while !request.is_done() {
            pgrx::check_for_interrupts!();
        }
        assert_eq!(request.wait().ok().unwrap().len(), 2);
        assert_eq!(mapped_segments(), mapped);
    }

    #[pg_test]
    fn texts_that_are_too_many_for_one_handing_over_come_back_in_order() {
        let builtin = Embedder::builtin();
        let texts: Vec<String> = (0..700).map(|number| format!("number {}", number % 7)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let request = client::submit(&builtin, &texts, Urgency::Background)
            .ok()
            .unwrap();
        let vectors = request.wait().ok().unwrap();
        assert_eq!(vectors.len(), 700);
        for (number, vector) in vectors.iter().enumerate() {
            let dot: f32 = vector.iter().zip(&vectors[number % 7]).map(|(a, b)| a * b).sum();
            assert!(dot > 0.999_99, "{number}: cosine {dot}");
        }
    }

    #[pg_test]
    fn a_vector_survives_the_way_through_a_datum() {
        let vector_type = catalog::extension_types().unwrap().vector;
        let elements: Vec<f32> = (0_u16..384).map(|n| f32::from(n) / 7.0).collect();
        let datum = vector::vector_datum(&elements).unwrap();
        let text = session(Access::ReadOnly, |session| {
            session
                .run("SELECT $1::text", &[Value::datum(vector_type, Some(datum))])?
                .require::<String>(0, 1)
        })
        .unwrap();
        let mut expected = String::new();
        castmatch_engine::vector::text::format(&elements, &mut expected);
        assert_eq!(text, expected);
    }

    #[pg_test]
    fn the_transaction_remembers_that_it_queued_rows() {
        run("CREATE TABLE queued (id integer PRIMARY KEY, bio text)");
        run("SELECT castmatch.attach('queued', content => '{bio}')");
        assert!(!xact::has_enqueued(), "an empty table leaves nothing to do");
        run("INSERT INTO queued VALUES (1, 'a dancer'), (2, NULL)");
        let entries = one::<i64>("SELECT count(*) FROM castmatch.queue WHERE target = 'queued'::regclass");
        assert_eq!(entries, 2);
        assert!(xact::has_enqueued());
        run("UPDATE queued SET bio = bio");
        let entries = one::<i64>("SELECT count(*) FROM castmatch.queue WHERE target = 'queued'::regclass");
        assert_eq!(entries, 2, "an unchanged text must not be queued");
        run("UPDATE queued SET bio = 'a singer' WHERE id = 1");
        let entries = one::<i64>("SELECT count(*) FROM castmatch.queue WHERE target = 'queued'::regclass");
        assert_eq!(entries, 3);
    }

    #[pg_test(error = "castmatch.sync cannot wait for rows that its own transaction has changed")]
    fn sync_does_not_wait_for_its_own_transaction() {
        run("CREATE TABLE waiting (id integer PRIMARY KEY, bio text)");
        run("INSERT INTO waiting VALUES (1, 'a dancer')");
        run("SELECT castmatch.attach('waiting', content => '{bio}')");
        run("SELECT castmatch.sync('waiting')");
    }

    #[pg_test]
    fn what_a_rolled_back_subtransaction_queued_is_forgotten() {
        run("CREATE TABLE undone (id integer PRIMARY KEY, bio text)");
        run("SELECT castmatch.attach('undone', content => '{bio}')");
        let failed = in_subtransaction(|| {
            session(Access::ReadWrite, |session| {
                session.run_utility("INSERT INTO undone VALUES (1, 'a dancer')")
            })?;
            assert!(xact::has_enqueued());
            Err::<(), _>(internal("undo"))
        });
        assert!(failed.is_err());
        assert!(!xact::has_enqueued());
        assert_eq!(one::<i64>("SELECT castmatch.sync('undone')"), 0);
    }

    #[pg_test]
    fn both_legs_and_the_filter_agree_on_a_row() {
        run("CREATE TABLE actors (id integer PRIMARY KEY, bio text, city text)");
        run(
            "INSERT INTO actors VALUES (1, 'rides horses and plays stern inspectors', 'Pune'),
             (2, 'sings ghazals at weddings', 'Mumbai'), (3, 'a stern inspector on a horse', 'Mumbai')",
        );
        run("SELECT castmatch.attach('actors', content => '{bio}', embed_mode => 'off')");
        run("UPDATE actors SET embedding = castmatch.embed(bio)");
        let best = one::<String>(
            "SELECT key FROM castmatch.match('actors', 'inspector with a horse', k => 1, filter => '{\"city\": \"Mumbai\"}')",
        );
        assert_eq!(best, "3");
        let found = one::<i64>("SELECT count(*) FROM castmatch.match('actors', 'inspector with a horse')");
        assert_eq!(found, 3, "every row with an embedding is found when k allows it");
        let text_only = one::<i64>(
            "SELECT count(*) FROM castmatch.match('actors', 'inspector with a horse', mode => 'text')",
        );
        assert_eq!(text_only, 2);
    }

    #[pg_test]
    fn a_turn_of_a_chat_is_stored_and_answered() {
        run("CREATE TABLE cast_list (id integer PRIMARY KEY, name text, age integer, bio text)");
        run(
            "INSERT INTO cast_list VALUES (1, 'Asha', 41, 'a classical dancer'), (2, 'Meera', 29, 'a young classical dancer')",
        );
        run("SELECT castmatch.attach('cast_list', content => '{bio}', embed_mode => 'off')");
        run("UPDATE cast_list SET embedding = castmatch.embed(bio)");
        let answer =
            one::<pgrx::JsonB>("SELECT castmatch.chat('a classical dancer', target => 'cast_list', k => 1)")
                .0;
        let conversation = answer["conversation_id"].as_str().unwrap().to_owned();
        assert_eq!(answer["sources"][0]["key"], "1");
        let follow_up = format!("SELECT castmatch.chat('…and someone younger?', '{conversation}')");
        let answer = one::<pgrx::JsonB>(&follow_up).0;
        assert_eq!(answer["sources"].as_array().unwrap().len(), 1, "{answer}");
        assert_eq!(answer["sources"][0]["key"], "2");
        let messages = one::<i64>(&format!(
            "SELECT count(*) FROM castmatch.history('{conversation}')"
        ));
        assert_eq!(messages, 4);
    }
}
