#![allow(clippy::unwrap_used)]
use super::*;
use std::sync::Arc;

fn unused(_: ModelRef) -> bool {
    false
}

fn full_of_loaded_models() -> ModelTable {
    let table = ModelTable::ZERO;
    for number in 1..MODELS {
        let model = table
            .claim(&format!("model {number}"), number as u64, unused)
            .unwrap();
        assert_eq!(table.start_wanted(), Some((model, format!("model {number}"))));
        table.loaded(model, 10 * number, number as u64, "folder");
    }
    table
}

#[test]
fn zeros_mean_one_known_model_that_is_not_loaded() {
    let table = ModelTable::ZERO;
    let names: Vec<String> = table.all().into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, [BUILTIN]);
    assert_eq!(table.find(BUILTIN), Some(ModelRef::BUILTIN));
    assert_eq!(table.find(""), None);
    assert_eq!(table.find("tiny"), None);
    assert_eq!(table.start_wanted(), None);
    assert_eq!(table.message(ModelRef::BUILTIN), "");
    let facts = table.facts(ModelRef::BUILTIN).unwrap();
    assert_eq!((facts.condition, facts.version), (Condition::Stopped, 0));
}

#[test]
fn a_model_is_claimed_once_and_loaded_once_it_is_wanted() {
    let table = ModelTable::ZERO;
    let tiny = table.claim("tiny", 5, unused).unwrap();
    assert_eq!(table.claim("tiny", 6, unused), Ok(tiny));
    assert_eq!(table.find("tiny"), Some(tiny));
    assert_eq!(ModelRef::from_bits(tiny.to_bits()), tiny);
    assert_eq!(table.start_wanted(), Some((tiny, "tiny".to_owned())));
    assert_eq!(table.facts(tiny).unwrap().condition, Condition::Starting);
    assert_eq!(table.start_wanted(), None);
    table.loaded(tiny, 64, 7, "tiny");
    let facts = table.facts(tiny).unwrap();
    assert_eq!(
        (
            facts.condition,
            facts.dimensions,
            facts.version,
            facts.load_attempts
        ),
        (Condition::Ready, 64, 7, 1)
    );
    table.want(tiny);
    assert_eq!(table.start_wanted(), None, "it is there");
    assert_eq!(
        table.facts(ModelRef::BUILTIN).unwrap().condition,
        Condition::Stopped,
        "each has a condition of its own"
    );
}

#[test]
fn what_is_known_outlasts_the_end_of_the_worker_but_not_a_failure() {
    let table = full_of_loaded_models();
    let model = table.find("model 3").unwrap();
    table.stop_all();
    let facts = table.facts(model).unwrap();
    assert_eq!(
        (facts.condition, facts.dimensions, facts.version),
        (Condition::Stopped, 30, 3)
    );
    table.not_loaded(model, Condition::Failed, "broken");
    let facts = table.facts(model).unwrap();
    assert_eq!(
        (facts.condition, facts.dimensions, facts.version),
        (Condition::Failed, 0, 0)
    );
    assert_eq!(table.message(model), "broken");
}

#[test]
fn a_full_table_gives_away_what_was_unused_for_longest() {
    let table = full_of_loaded_models();
    assert_eq!(table.claim("one more", 100, unused), Err(TableFull));
    assert!(table.claim("model 4", 100, unused).is_ok());
    let (two, five) = (table.find("model 2").unwrap(), table.find("model 5").unwrap());
    table.touch(two, 50);
    table.unloaded(two);
    table.unloaded(five);
    assert_eq!(
        table.claim("one more", 100, |model| model == two || model == five),
        Err(TableFull)
    );
    assert!(table.is_current(five), "looking at it changed nothing");
    let new = table.claim("one more", 100, unused).unwrap();
    assert_eq!(new.index(), five.index());
    assert_eq!(table.find("model 5"), None);
    assert_eq!(table.facts(five), None);
    assert!(!table.is_current(five));
    // What the worker says about the earlier model does not reach the later one.
    table.loaded(five, 99, 99, "late");
    let facts = table.facts(new).unwrap();
    assert_eq!(
        (facts.condition, facts.dimensions, facts.load_attempts),
        (Condition::Stopped, 0, 0)
    );
    assert_eq!(table.start(five), None);
    assert_eq!(table.start(new), Some((new, "one more".to_owned())));
    assert_eq!(table.claim("model 5", 101, unused).unwrap().index(), two.index());
}

#[test]
fn a_message_is_cut_between_characters() {
    let table = ModelTable::ZERO;
    table.not_loaded(ModelRef::BUILTIN, Condition::Failed, &"ऑ".repeat(MESSAGE_BYTES));
    assert_eq!(table.message(ModelRef::BUILTIN), "ऑ".repeat(MESSAGE_BYTES / 3));
}

#[test]
fn the_longest_name_is_kept_whole() {
    let table = ModelTable::ZERO;
    let name = "n".repeat(MAX_NAME_BYTES);
    let model = table.claim(&name, 0, unused).unwrap();
    assert_eq!(table.name(model).unwrap(), name);
    assert_eq!(table.find(&name), Some(model));
}

/// Backends claim more models than there are entries while a worker says that none can be loaded.
#[test]
fn nobody_ever_sees_another_models_facts() {
    let table = Arc::new(ModelTable::ZERO);
    let number_of = |name: &str| name.strip_prefix('m').unwrap().parse::<u64>().unwrap();
    let over = Arc::new(AtomicU32::new(0));
    let worker = {
        let (table, over) = (Arc::clone(&table), Arc::clone(&over));
        std::thread::spawn(move || {
            while over.load(Ordering::Relaxed) == 0 {
                if let Some((model, name)) = table.start_wanted() {
                    table.loaded(model, number_of(&name) as usize, number_of(&name), &name);
                    table.unloaded(model);
                }
            }
        })
    };
    let backends: Vec<_> = (0..3)
        .map(|backend| {
            let table = Arc::clone(&table);
            std::thread::spawn(move || {
                let mut seen = 0;
                for round in 0..400_u64 {
                    let number = 1 + (round * 7 + backend) % 20;
                    let Ok(model) = table.claim(&format!("m{number}"), round, unused) else {
                        continue;
                    };
                    let known = || table.facts(model).filter(|facts| facts.version != 0);
                    for _ in 0..50 {
                        if let Some(facts) = known() {
                            assert_eq!((facts.version, facts.dimensions as u64), (number, number));
                            seen += 1;
                            break;
                        }
                        std::thread::yield_now();
                    }
                    if let Some(name) = table.name(model) {
                        assert_eq!(name, format!("m{number}"));
                    }
                }
                seen
            })
        })
        .collect();
    let seen: u64 = backends.into_iter().map(|backend| backend.join().unwrap()).sum();
    over.store(1, Ordering::Relaxed);
    worker.join().unwrap();
    assert!(seen > 0);
    let mut names: Vec<String> = table.all().into_iter().map(|(name, ..)| name).collect();
    names.sort();
    let listed = names.len();
    names.dedup();
    assert_eq!(names.len(), listed, "no model has two entries");
}
