//! Concepts from labelled embeddings: logistic regression for each category against everything else, on embeddings of unit
//! length, so that its weights are a direction, its intercept a threshold of the cosine, and its norm a slope.
//!
//! Invariant: the same examples give the same concepts; precision and recall are those of examples that were held out.

use std::collections::BTreeSet;

use super::concepts::Concept;

/// Examples of a category, and of everything else, that it takes.
const FEWEST: usize = 10;
/// Parts that are held out in turn.
const FOLDS: usize = 5;
/// Weight of the squared norm in the loss (a mean over examples): small, since a CLIP embedding says a lot.
const REGULARISATION: f64 = 1e-4;
const ITERATIONS: usize = 1000;

/// An embedding and what it is an example of; of nothing to object to, if that is empty.
#[derive(Debug, Clone)]
pub struct Example {
    pub categories: BTreeSet<String>,
    pub embedding: Vec<f32>,
}

/// A linear score: `weights . x + bias`, in logits.
#[derive(Clone)]
struct Line {
    weights: Vec<f64>,
    bias: f64,
}

impl Line {
    fn at(&self, x: &[f64]) -> f64 {
        dot(&self.weights, x) + self.bias
    }
}

/// A concept for each category that the examples name. `precision` is what the thresholds aim at: the most is found that
/// can be while that share of it is right. Where it cannot be had, a concept's own precision says so.
pub fn learn(examples: &[Example], precision: f32) -> Result<Vec<Concept>, String> {
    let units: Vec<Vec<f64>> = examples.iter().map(|example| unit(&example.embedding)).collect();
    let width = units.first().map_or(0, Vec::len);
    if units.iter().any(|x| x.len() != width || !x.iter().all(|x| x.is_finite())) {
        return Err("the embeddings do not fit each other".to_owned());
    }
    let categories: BTreeSet<&String> = examples.iter().flat_map(|example| &example.categories).collect();
    if categories.is_empty() {
        return Err("no example names a category".to_owned());
    }
    categories
        .into_iter()
        .map(|category| {
            let labels: Vec<bool> = examples.iter().map(|example| example.categories.contains(category)).collect();
            let positive = labels.iter().filter(|label| **label).count();
            if positive < FEWEST || labels.len() - positive < FEWEST {
                let others = labels.len() - positive;
                return Err(format!(
                    "{category}: {positive} examples, {others} others; it takes {FEWEST} of each at the least"
                ));
            }
            let concept = concept(category, &units, &labels, precision);
            let is_finite = concept.vector.iter().chain([&concept.threshold, &concept.slope]).all(|x| x.is_finite());
            if is_finite { Ok(concept) } else { Err(format!("{category}: its examples and the others are alike")) }
        })
        .collect()
}

fn concept(category: &str, units: &[Vec<f64>], labels: &[bool], least_precision: f32) -> Concept {
    let held_out = held_out_scores(units, labels);
    let (cut, precision, recall) = best_cut(&held_out, labels, f64::from(least_precision));
    let all: Vec<usize> = (0..units.len()).collect();
    let line = fit(units, labels, &all);
    let norm = dot(&line.weights, &line.weights).sqrt();
    #[expect(clippy::cast_possible_truncation, reason = "vectors of moderate numbers")]
    let narrow = |x: f64| x as f32;
    Concept {
        category: category.to_owned(),
        vector: line.weights.iter().map(|x| narrow(x / norm)).collect(),
        threshold: narrow((cut - line.bias) / norm),
        slope: narrow(norm),
        examples: labels.iter().filter(|label| **label).count(),
        precision: narrow(precision),
        recall: narrow(recall),
    }
}

/// The score of every example by a line that was fitted without it.
fn held_out_scores(units: &[Vec<f64>], labels: &[bool]) -> Vec<f64> {
    // Examples of both kinds are dealt out in turn, so that each part has its share of either.
    let mut dealt = [0, 0];
    let folds: Vec<usize> = labels
        .iter()
        .map(|label| {
            let count = &mut dealt[usize::from(*label)];
            *count += 1;
            *count % FOLDS
        })
        .collect();
    let mut scores = vec![0.0; units.len()];
    for fold in 0..FOLDS {
        let rest: Vec<usize> = (0..units.len()).filter(|i| folds[*i] != fold).collect();
        let line = fit(units, labels, &rest);
        for i in (0..units.len()).filter(|i| folds[*i] == fold) {
            scores[i] = line.at(&units[i]);
        }
    }
    scores
}

/// Where to cut, and the precision and recall there: the most recall at the least precision wanted; where that cannot be
/// had, the best balance of the two (F1).
fn best_cut(scores: &[f64], labels: &[bool], least_precision: f64) -> (f64, f64, f64) {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let positives = count(labels.iter().filter(|label| **label).count());
    // (good enough, what there is most of, cut, precision, recall)
    let mut best = (false, f64::NEG_INFINITY, 0.0, 0.0, 0.0);
    let mut right = 0;
    for (rank, i) in order.iter().enumerate() {
        right += usize::from(labels[*i]);
        let next = order.get(rank + 1).map_or(scores[*i] - 1.0, |next| scores[*next]);
        // Equal scores are on one side.
        if next >= scores[*i] {
            continue;
        }
        let (precision, recall) = (count(right) / count(rank + 1), count(right) / positives);
        let good = precision >= least_precision && right > 0;
        let f1 = if right == 0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) };
        let value = if good { recall } else { f1 };
        if (good, value) > (best.0, best.1) {
            best = (good, value, f64::midpoint(scores[*i], next), precision, recall);
        }
    }
    (best.2, best.3, best.4)
}

/// Logistic regression on the chosen examples, both kinds counting the same, by accelerated gradient descent (Nesterov) on
/// centred embeddings: what all of them have in common would make it slow.
fn fit(units: &[Vec<f64>], labels: &[bool], chosen: &[usize]) -> Line {
    let width = units.first().map_or(0, Vec::len);
    let mut mean = vec![0.0; width];
    for i in chosen {
        add(&mut mean, 1.0 / count(chosen.len()), &units[*i]);
    }
    let positives = chosen.iter().filter(|i| labels[**i]).count();
    let weight = |label: bool| 0.5 / count(if label { positives } else { chosen.len() - positives }.max(1));
    let rows: Vec<(Vec<f64>, f64, f64)> = chosen
        .iter()
        .map(|i| {
            let centred = units[*i].iter().zip(&mean).map(|(x, m)| x - m).collect();
            (centred, f64::from(u8::from(labels[*i])), weight(labels[*i]))
        })
        .collect();
    // The loss bends by at most a quarter of the longest row squared (with the intercept's 1).
    let longest = rows.iter().map(|(x, ..)| dot(x, x)).fold(0.0, f64::max);
    let bend = 0.25 * (longest + 1.0) + REGULARISATION;
    let mut line = Line { weights: vec![0.0; width], bias: 0.0 };
    let mut ahead = line.clone();
    let mut momentum = 1.0_f64;
    for _ in 0..ITERATIONS {
        let mut step = Line { weights: ahead.weights.iter().map(|w| -REGULARISATION * w).collect(), bias: 0.0 };
        for (x, label, weight) in &rows {
            let error = weight * (label - 1.0 / (1.0 + (-ahead.at(x)).exp()));
            add(&mut step.weights, error, x);
            step.bias += error;
        }
        let next_momentum = f64::midpoint(1.0, (1.0 + 4.0 * momentum * momentum).sqrt());
        let push = (momentum - 1.0) / next_momentum;
        momentum = next_momentum;
        let mut next = ahead;
        add(&mut next.weights, 1.0 / bend, &step.weights);
        next.bias += step.bias / bend;
        ahead = next.clone();
        for ((ahead, new), old) in ahead.weights.iter_mut().zip(&next.weights).zip(&line.weights) {
            *ahead += push * (new - old);
        }
        ahead.bias += push * (next.bias - line.bias);
        line = next;
    }
    line.bias -= dot(&line.weights, &mean);
    line
}

fn unit(x: &[f32]) -> Vec<f64> {
    let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
    let norm = dot(&x, &x).sqrt();
    x.iter().map(|x| x / norm).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(sum: &mut [f64], factor: f64, x: &[f64]) {
    sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += factor * x);
}

#[expect(clippy::cast_precision_loss, reason = "numbers of examples")]
fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between -1 and 1 that look random.
    fn noise(seed: &mut u64) -> f32 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f32::from(u16::try_from(*seed >> 48).unwrap()) / 32_768.0 - 1.0
    }

    /// Embeddings of 16 numbers with much in common, of which the third and the fifth say something.
    fn examples(count: usize, spread: f32) -> Vec<Example> {
        let mut seed = 7;
        (0..count)
            .map(|i| {
                let kind = i % 3;
                let mut embedding: Vec<f32> = (0..16).map(|_| 5.0 + spread * noise(&mut seed)).collect();
                embedding[2] += if kind == 0 { 3.0 } else { 0.0 };
                embedding[4] += if kind == 1 { 3.0 } else { 0.0 };
                let name = ["weapons", "drugs", ""][kind];
                let categories = (kind < 2).then(|| name.to_owned()).into_iter().collect();
                Example { categories, embedding }
            })
            .collect()
    }

    #[test]
    fn what_can_be_told_apart_is_told_apart_also_where_it_was_not_seen() {
        let concepts = learn(&examples(120, 1.0), 0.95).unwrap();
        assert_eq!(concepts.iter().map(|c| c.category.as_str()).collect::<Vec<_>>(), ["drugs", "weapons"]);
        for concept in &concepts {
            assert_eq!((concept.examples, concept.precision, concept.recall), (40, 1.0, 1.0));
        }
        for example in examples(300, 1.0).iter().skip(120) {
            for concept in &concepts {
                let score = concept.score(&example.embedding);
                assert_eq!(score > 0.5, example.categories.contains(&concept.category), "{score} {example:?}");
            }
        }
    }

    #[test]
    fn the_precision_that_is_wanted_costs_recall() {
        let blurred = examples(600, 4.0);
        let strict = learn(&blurred, 0.99).unwrap();
        let loose = learn(&blurred, 0.7).unwrap();
        for (strict, loose) in strict.iter().zip(&loose) {
            assert!(strict.precision >= 0.99 && loose.precision >= 0.7, "{} {}", strict.precision, loose.precision);
            assert!(strict.recall < loose.recall && loose.recall < 1.0, "{} {}", strict.recall, loose.recall);
            assert!(strict.threshold > loose.threshold);
        }
    }

    #[test]
    fn labels_that_mean_nothing_are_not_believed() {
        let mut seed = 3;
        let mut random = examples(200, 1.0);
        for (i, example) in random.iter_mut().enumerate() {
            example.embedding = (0..16).map(|_| noise(&mut seed)).collect();
            example.categories = (i % 2 == 0).then(|| "odd".to_owned()).into_iter().collect();
        }
        let concept = &learn(&random, 0.95).unwrap()[0];
        assert!(concept.precision < 0.7 || concept.recall < 0.1, "{} {}", concept.precision, concept.recall);
    }

    #[test]
    fn too_few_examples_are_an_error_that_says_of_what() {
        let few = examples(27, 1.0);
        assert_eq!(learn(&few, 0.95).unwrap_err(), "drugs: 9 examples, 18 others; it takes 10 of each at the least");
        assert!(learn(&[], 0.95).is_err());
        let mut alike = examples(60, 1.0);
        for example in &mut alike {
            example.embedding = vec![1.0; 16];
        }
        assert_eq!(learn(&alike, 0.95).unwrap_err(), "drugs: its examples and the others are alike");
    }
}
