#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

fn semantic(hits: &[(&str, f64)]) -> Vec<SemanticHit> {
    hits.iter()
        .map(|&(key, similarity)| SemanticHit {
            key: key.to_owned(),
            similarity,
        })
        .collect()
}

fn text(hits: &[(&str, f64)]) -> Vec<TextHit> {
    hits.iter()
        .map(|&(key, rank)| TextHit {
            key: key.to_owned(),
            rank,
        })
        .collect()
}

fn keys(rows: &[Fused]) -> Vec<&str> {
    rows.iter().map(|row| row.key.as_str()).collect()
}

fn hybrid(s: &[(&str, f64)], t: &[(&str, f64)]) -> Vec<Fused> {
    fuse(
        &semantic(s),
        &text(t),
        Mode::Hybrid,
        usize::MAX,
        &Fusion::default(),
    )
}

#[test]
fn first_in_both_legs_scores_one_and_first_in_one_a_half() {
    let rows = hybrid(&[("a", 0.9), ("b", 0.8)], &[("a", 0.5), ("c", 0.4)]);
    assert_eq!(keys(&rows), ["a", "b", "c"]);
    assert!((rows[0].score - 1.0).abs() < 1e-12);
    // (1 / 62) / (2 / 61)
    assert!((rows[1].score - 61.0 / 124.0).abs() < 1e-12);
    assert_eq!(
        (rows[1].semantic_rank, rows[1].text_rank, rows[1].similarity),
        (Some(2), None, Some(0.8))
    );
    assert_eq!(
        (rows[2].semantic_rank, rows[2].text_rank, rows[2].similarity),
        (None, Some(2), None)
    );
}

#[test]
fn ties_go_by_key_integers_by_value() {
    // Equal similarity: ranked by key; 9 before 10 although "10" < "9" as text.
    let rows = hybrid(&[("10", 0.5), ("9", 0.5), ("x", 0.5)], &[]);
    assert_eq!(keys(&rows), ["9", "10", "x"]);
    // b is second in the semantic leg, a second in the text leg: equal sums.
    let rows = hybrid(&[("top", 0.9), ("b", 0.8)], &[("top", 0.9), ("a", 0.8)]);
    assert_eq!(keys(&rows), ["top", "a", "b"]);
    assert_eq!(rows[1].score.to_bits(), rows[2].score.to_bits());
}

#[test]
fn single_leg_modes_have_their_own_score_and_ignore_the_other_leg() {
    let s = semantic(&[("a", 1.2), ("b", 0.3), ("c", -0.1), ("d", -0.2)]);
    let t = text(&[("b", 1.0), ("e", 3.0), ("f", f64::INFINITY)]);
    let rows = fuse(&s, &t, Mode::Semantic, 10, &Fusion::default());
    assert_eq!(keys(&rows), ["a", "b", "c", "d"]);
    assert_eq!(
        rows.iter().map(|r| r.score).collect::<Vec<_>>(),
        [1.0, 0.3, 0.0, 0.0]
    );
    assert!(rows.iter().all(|row| row.text_rank.is_none()));
    let rows = fuse(&s, &t, Mode::Text, 10, &Fusion::default());
    assert_eq!(keys(&rows), ["f", "e", "b"]);
    assert_eq!(rows.iter().map(|r| r.score).collect::<Vec<_>>(), [1.0, 0.75, 0.5]);
    assert!(rows.iter().all(|row| row.similarity.is_none()));
}

#[test]
fn repeated_keys_and_nan_do_no_harm() {
    let rows = hybrid(
        &[("a", 0.1), ("a", 0.9), ("nan", f64::NAN), ("b", 0.5)],
        &[("a", f64::NAN)],
    );
    assert_eq!(keys(&rows), ["a", "b", "nan"]);
    assert_eq!((rows[0].semantic_rank, rows[0].similarity), (Some(1), Some(0.9)));
    assert_eq!(rows[2].semantic_rank, Some(3));
    assert!(rows.iter().all(|row| row.score.is_finite()));
    assert!(hybrid(&[], &[]).is_empty());
}

#[test]
fn weights_shift_the_balance() {
    let (s, t) = (semantic(&[("s", 0.9)]), text(&[("t", 0.9)]));
    for (semantic_weight, text_weight, best) in [(2.0, 1.0, "s"), (1.0, 2.0, "t"), (1e-300, 0.0, "s")] {
        let fusion = Fusion::new(60, semantic_weight, text_weight).unwrap();
        let rows = fuse(&s, &t, Mode::Hybrid, 1, &fusion);
        assert_eq!(keys(&rows), [best]);
        assert!(rows[0].score > 0.5 && rows[0].score <= 1.0);
    }
    for (a, b) in [(0.0, 0.0), (-1.0, 1.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
        assert!(Fusion::new(60, a, b).is_err(), "{a} {b}");
    }
}

#[test]
fn mode_names_parse_and_others_name_the_choices() {
    for mode in [Mode::Hybrid, Mode::Semantic, Mode::Text] {
        assert_eq!(mode.name().parse::<Mode>(), Ok(mode));
    }
    assert_eq!(
        "Hybrid".parse::<Mode>().unwrap_err().to_string(),
        "unknown mode \"Hybrid\", must be \"hybrid\", \"semantic\" or \"text\""
    );
}

fn leg() -> impl Strategy<Value = Vec<(String, f64)>> {
    proptest::collection::vec(("[0-9a-c]{1,2}", prop_oneof![any::<f64>(), 0.0..1.0]), 0..30)
}

proptest! {
    #[test]
    fn fusion_is_an_order_without_duplicates(s in leg(), t in leg(), limit in 0_usize..40) {
        let to_s = |leg: &[(String, f64)]| leg.iter()
            .map(|(key, v)| SemanticHit { key: key.clone(), similarity: *v }).collect::<Vec<_>>();
        let to_t = |leg: &[(String, f64)]| leg.iter()
            .map(|(key, v)| TextHit { key: key.clone(), rank: *v }).collect::<Vec<_>>();
        let rows = fuse(&to_s(&s), &to_t(&t), Mode::Hybrid, limit, &Fusion::default());
        let unique: std::collections::HashSet<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        prop_assert_eq!(unique.len(), rows.len());
        prop_assert!(rows.len() <= limit);
        for pair in rows.windows(2) {
            prop_assert!(pair[0].score >= pair[1].score);
        }
        for row in &rows {
            prop_assert!((0.0..=1.0).contains(&row.score));
            prop_assert!(row.semantic_rank.is_some() || row.text_rank.is_some());
            prop_assert!(row.semantic_rank != Some(0) && row.text_rank != Some(0));
        }
        // The order of arrival does not matter.
        let (mut s, mut t) = (s, t);
        s.reverse();
        t.reverse();
        let again = fuse(&to_s(&s), &to_t(&t), Mode::Hybrid, limit, &Fusion::default());
        prop_assert_eq!(keys(&rows), keys(&again));
    }

    #[test]
    fn both_legs_at_a_rank_beat_either_alone(rank in 1_u32..10_000) {
        let fusion = Fusion::default();
        let both = fusion.score(Some(rank), Some(rank));
        prop_assert!(both > fusion.score(Some(rank), None));
        prop_assert!(both > fusion.score(None, Some(rank)));
    }

    #[test]
    fn key_order_is_transitive(a in "[0-9]{0,2}[a-b]{0,1}", b in "[0-9]{0,2}[a-b]{0,1}", c in "[0-9]{0,2}[a-b]{0,1}") {
        if compare_keys(&a, &b).is_le() && compare_keys(&b, &c).is_le() {
            prop_assert!(compare_keys(&a, &c).is_le());
        }
        prop_assert_eq!(compare_keys(&a, &b), compare_keys(&b, &a).reverse());
    }
}
