//! Insertions leave every element reachable.

use super::checks::{check_lists, elements, unreachable};
use super::storages::Busy;
use super::*;

#[test]
fn an_element_that_every_list_would_refuse_is_reachable() {
    let mut random = Random(51);
    let vectors = random.vectors(300, 16);
    let kind = Kind {
        m: 2,
        ef_construction: 16,
        bits: CodeBits::Eight,
        ..Kind::new(Metric::L2, 16)
    };
    let (index, mut storage) = empty_index(kind);
    let mut insertions = Insertions::default();
    let mut inserted = Vec::new();
    for (row, vector) in vectors.iter().enumerate() {
        inserted.push(insertions.insert(&index, &mut storage, vector, row).unwrap());
    }
    // Far from all others: the four places of each list are taken by nearer ones that lie in as many directions.
    for (row, sign) in (300..).zip([1.0, -1.0]) {
        let far = vec![sign * 40.0; 16];
        let id = insertions.insert(&index, &mut storage, &far, row).unwrap();
        let all = check_lists(&index, &mut storage);
        assert!(all.values().any(|element| element.lists[0].contains(&id)));
        inserted.push(id);
    }
    let lost = unreachable(&index, &mut storage);
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn no_insertion_cuts_off_what_was_reachable() {
    for (m, metric) in [(2, Metric::L2), (4, Metric::Cosine), (4, Metric::L1)] {
        let mut random = Random(52);
        let vectors = random.clustered(700, 16, 6);
        let kind = Kind {
            m,
            ef_construction: 16,
            bits: CodeBits::Eight,
            ..Kind::new(metric, 16)
        };
        let (index, mut storage) = empty_index(kind);
        let mut insertions = Insertions::default();
        for (row, vector) in vectors.iter().enumerate() {
            insertions.insert(&index, &mut storage, vector, row).unwrap();
            if row % 10 == 9 {
                let lost = unreachable(&index, &mut storage);
                assert!(lost.is_empty(), "m {m}, {metric:?}, row {row}: {lost:?}");
            }
        }
    }
}

#[test]
fn two_insertions_into_an_empty_index_meet() {
    let vectors = [vec![0.2; 8], vec![0.7; 8]];
    for at in 0.. {
        let (index, storage) = empty_index(Kind::new(Metric::L2, 8));
        let (mut calls, mut other) = (0, None);
        let mut busy = Busy {
            inner: storage,
            others: |storage: &mut MemoryStorage| {
                if calls == at {
                    other = Some(
                        Insertions::default()
                            .insert(&index, storage, &vectors[1], 1)
                            .unwrap(),
                    );
                }
                calls += 1;
            },
        };
        let first = Insertions::default()
            .insert(&index, &mut busy, &vectors[0], 0)
            .unwrap();
        let mut storage = busy.inner;
        let Some(second) = other else {
            assert!(at > 5, "an insertion in {at} steps");
            break;
        };
        let all = elements(&index, &mut storage);
        assert_eq!(all[&first].lists[0], [second], "before step {at}");
        assert_eq!(all[&second].lists[0], [first], "before step {at}");
    }
}
