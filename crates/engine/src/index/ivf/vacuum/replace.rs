//! Lists are replaced by new ones; see the head of [`super`] for the steps.

use crate::index::page::{PageError, PageKind, init_page};
use crate::index::quantize::{Rankable, SplitMix};
use crate::index::storage::{Change, PageRead, PageWrite};
use crate::index::{HeapTid, IndexError};

use super::super::directory::code_of_centroid;
use super::super::encode::{Coded, decode};
use super::super::index::Index;
use super::super::insert::{NewElement, change_entry, entry_place, reopen_list};
use super::super::kmeans::{KmeansOptions, Points, kmeans};
use super::super::page::{
    CLOSED, DirectoryPage, Entry, ListState, Meta, PostingPage, PostingPageMut, init_directory, set_next,
    write_centroid, write_list,
};
use super::super::pages::take;
use super::census::{Census, ListCount};
use super::finish::{discard, set_state};
use super::plan::{LISTS_TOGETHER, Planner};
use super::writer::ListWriter;
use super::{Surroundings, VacuumStats, set_replacing};

/// Rows that are clustered for each new list, and at least.
const SAMPLE_ROWS_PER_LIST: usize = 64;
const SAMPLE_ROWS_MIN: usize = 1024;
/// Rounds of Lloyd's algorithm.
const ROUNDS: usize = 6;
/// Rows are copied in the open until fewer than this were added meanwhile...
const FEW_ROWS: u64 = 256;
/// ...or so often.
const PASSES: usize = 4;

/// How far an old list was copied.
#[derive(Debug, Clone, Copy)]
struct Source {
    number: u32,
    generation: u32,
    tail: u32,
    block: u32,
    row: usize,
    centroid: (u32, u16),
}

/// A row of an old list.
struct OldRow {
    tid: HeapTid,
    code: Coded,
    keys: Vec<u8>,
}

/// Replaces the lists that the planner chooses.
pub(super) fn replace<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    around: &mut impl Surroundings,
    planner: &mut Planner,
    census: &mut Census,
    stats: &mut VacuumStats,
) -> Result<(), IndexError> {
    let chosen = planner.choose(index, storage, census)?;
    let Some(&leader) = chosen.first() else {
        return Ok(());
    };
    let mut sources = Vec::new();
    for &number in &chosen {
        let Some(entry) = census.entries.get(number as usize) else {
            continue;
        };
        sources.push(Source {
            number,
            generation: entry.generation,
            tail: entry.tail,
            block: entry.head,
            row: 0,
            centroid: (entry.centroid_block, entry.centroid_slot),
        });
    }
    let rows = chosen
        .iter()
        .filter_map(|&number| census.counts.get(number as usize))
        .map(|count| count.rows)
        .sum::<u64>();
    let centroids = cluster(index, storage, around, &sources, (rows, planner.goal))?;
    let mut lists = begin(index, storage, census, &centroids)?;
    for pass in 0.. {
        let copied = copy(index, storage, around, &mut sources, &mut lists)?;
        if copied < FEW_ROWS || pass == PASSES {
            break;
        }
    }
    for list in &mut lists {
        list.flush(index, storage)?;
        announce(index, storage, list, leader)?;
    }
    close(index, storage, &sources, leader)?;
    copy(index, storage, around, &mut sources, &mut lists)?;
    for list in &mut lists {
        list.flush(index, storage)?;
    }
    let generation = sources.first().map_or(0, |source| source.generation);
    // Whoever has read some of the directory and not all of it reads it again, see `Directory::load`.
    set_replacing(storage, true)?;
    let mut stamp = 0;
    let retired = change_entry(index, storage, leader, |entry| {
        let ours = entry.state == ListState::Closing
            && entry.leader == Some(leader)
            && entry.generation == generation;
        // Under the lock of the page: whoever has seen the list before has begun before this transaction.
        stamp = around.next_transaction();
        ours.then_some(Entry {
            state: ListState::Retired,
            leader: None,
            stamp,
            ..entry
        })
    })?;
    if !retired {
        // An insertion had waited too long and opened the list again.
        for list in &lists {
            discard(index, storage, list.number)?;
        }
        for &number in &chosen {
            reopen_list(index, storage, number)?;
            planner.settle(number);
        }
    } else {
        for list in &lists {
            set_state(
                index,
                storage,
                list.number,
                ListState::Pending,
                ListState::Active,
                0,
            )?;
            planner.settle(list.number);
        }
        for &number in chosen.get(1..).unwrap_or_default() {
            set_state(
                index,
                storage,
                number,
                ListState::Closing,
                ListState::Retired,
                stamp,
            )?;
        }
        stats.lists_replaced += chosen.len() as u64;
        stats.lists_made += lists.len() as u64;
    }
    refresh(index, storage, census, chosen.iter().copied(), &lists)
}

/// Reads anew the entries that have changed.
fn refresh<S: PageRead>(
    index: &Index,
    storage: &mut S,
    census: &mut Census,
    chosen: impl Iterator<Item = u32>,
    lists: &[ListWriter],
) -> Result<(), IndexError> {
    for number in chosen.chain(lists.iter().map(|list| list.number)) {
        let (block, at) = entry_place(index, storage, number)?;
        let open = |bytes: &[u8]| DirectoryPage::open(bytes, &index.layout)?.entry(at);
        let entry = storage.read(block, open)?.map_err(|error| error.at(block))?;
        if let Some(place) = census.entries.get_mut(number as usize) {
            *place = entry;
        }
    }
    for list in lists {
        if let Some(count) = census.counts.get_mut(list.number as usize) {
            *count = ListCount {
                rows: list.rows,
                pages: list.rows.div_ceil(index.layout.rows_per_page() as u64).max(1),
            };
        }
    }
    Ok(())
}

/// Shows the rows of the old lists from where they were left, page by page, and moves on. Returns how many.
fn visit<S: PageRead>(
    index: &Index,
    storage: &mut S,
    source: &mut Source,
    mut look: impl FnMut(&mut S, OldRow) -> Result<(), IndexError>,
) -> Result<u64, IndexError> {
    let mut seen = 0;
    let mut pages = 0;
    loop {
        storage.check_interrupts()?;
        let (block, first) = (source.block, source.row);
        if block == 0 {
            return Ok(seen);
        }
        // Others add pages meanwhile.
        pages += 1;
        if pages > storage.blocks()? {
            return Err(PageError::content("pages of a list run in a circle").at(block));
        }
        let read = storage.read(block, |bytes| {
            let page = PostingPage::open(bytes, &index.layout)?;
            let head = page.head();
            if !head.is_of(source.number, source.generation) {
                return Err(PageError::content("page in the middle of a list is of another"));
            }
            let mut rows = Vec::new();
            let mut place = 0;
            for block_of_rows in page.blocks() {
                let block_of_rows = block_of_rows?;
                for row in 0..block_of_rows.count {
                    if place >= first {
                        let mut code = Coded::default();
                        page.code(place, &mut code)?;
                        rows.push(OldRow {
                            tid: block_of_rows.tid(row)?,
                            code,
                            keys: block_of_rows.keys(row).to_vec(),
                        });
                    }
                    place += 1;
                }
            }
            Ok((rows, head))
        })?;
        let (rows, head) = read.map_err(|error: PageError| error.at(block))?;
        seen += rows.len() as u64;
        for row in rows {
            look(storage, row)?;
        }
        source.row = head.count;
        if head.next == 0 {
            return Ok(seen);
        }
        (source.block, source.row) = (head.next, 0);
    }
}

/// The vector of a row: from the table, or about what its code says.
fn vector(
    around: &mut impl Surroundings,
    row: &OldRow,
    centroid: &[f32],
    out: &mut [f32],
) -> Result<(), IndexError> {
    if !around.vector(row.tid, out)? {
        decode(&row.code, centroid, out);
    }
    Ok(())
}

/// Clusters a sample of the rows of the old lists. Without rows, one list at the place of the first.
fn cluster<S: PageRead>(
    index: &Index,
    storage: &mut S,
    around: &mut impl Surroundings,
    sources: &[Source],
    (rows, goal): (u64, u64),
) -> Result<Vec<f32>, IndexError> {
    let dims = index.layout.dims;
    let clusters = ((rows + goal / 2) / goal.max(1)).clamp(1, LISTS_TOGETHER) as usize;
    let wanted = (clusters * SAMPLE_ROWS_PER_LIST).max(SAMPLE_ROWS_MIN);
    let possible = around.memory_bytes() / (2 * dims * size_of::<f32>());
    let wanted = wanted.min(possible.max(clusters)) as u64;
    let mut values: Vec<f32> = Vec::new();
    let (mut centroid, mut one) = (vec![0.0; dims], vec![0.0; dims]);
    let mut random = SplitMix(index.options.seed ^ rows);
    for source in sources {
        let mut source = *source;
        index.centroid(storage, source.centroid.0, source.centroid.1, &mut centroid)?;
        visit(index, storage, &mut source, |_, row| {
            // Each row as likely as the other.
            if rows > wanted && random.next() % rows >= wanted {
                return Ok(());
            }
            vector(around, &row, &centroid, &mut one)?;
            values.try_reserve(dims).map_err(|_| IndexError::OutOfMemory {
                what: "sample of the rows of lists",
                bytes: (values.len() + dims) * size_of::<f32>(),
            })?;
            values.extend_from_slice(&one);
            Ok(())
        })?;
    }
    if values.is_empty() {
        let first = sources.first().map_or((0, 0), |source| source.centroid);
        index.centroid(storage, first.0, first.1, &mut centroid)?;
        return Ok(centroid);
    }
    let options = KmeansOptions {
        clusters,
        iterations: ROUNDS,
        seed: index.options.seed,
        threads: 0,
    };
    kmeans(
        Points {
            values: &values,
            dims,
        },
        &options,
        &*around,
    )
}

/// Begins the new lists, in numbers that are free.
fn begin<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    census: &mut Census,
    centroids: &[f32],
) -> Result<Vec<ListWriter>, IndexError> {
    let count = centroids.len() / index.layout.dims;
    let mut free: Vec<u32> = (0_u32..)
        .zip(&census.entries)
        .filter(|(_, entry)| entry.state == ListState::Free)
        .map(|(number, _)| number)
        .take(count)
        .collect();
    while free.len() < count {
        free.push(append_list(index, storage, census)?);
    }
    let generation = next_generations(storage, count)?;
    let mut lists = Vec::new();
    for ((number, generation), centroid) in free
        .into_iter()
        .zip(generation..)
        .zip(centroids.chunks_exact(index.layout.dims))
    {
        lists.push(ListWriter::begin(index, storage, (number, generation), centroid)?);
        // Not to be taken for another list of this cleanup.
        if let Some(entry) = census.entries.get_mut(number as usize) {
            entry.state = ListState::Pending;
        }
    }
    Ok(lists)
}

/// Takes so many generations. Returns the first.
fn next_generations<S: PageWrite>(storage: &mut S, count: usize) -> Result<u32, IndexError> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let taken = storage.update(0, |page| {
        let result = Meta::parse(page).and_then(|meta| {
            let last = meta.generation.wrapping_add(count);
            Meta::write_version(page, meta.version, last)?;
            Ok(meta.generation.wrapping_add(1))
        });
        match result {
            Ok(first) => (Change::Made, Ok(first)),
            Err(error) => (Change::None, Err(error)),
        }
    })?;
    taken.map_err(|error| error.at(0))
}

/// Adds a free list at the end of the directory, with a place for its centroid.
fn append_list<S: PageWrite>(index: &Index, storage: &mut S, census: &mut Census) -> Result<u32, IndexError> {
    let number = u32::try_from(census.entries.len()).map_err(|_| IndexError::Limit {
        what: "number of lists",
        value: census.entries.len() as u64,
        limit: u64::from(u32::MAX),
    })?;
    let last = census.entries.last().copied().unwrap_or(Entry::EMPTY);
    let (centroid_block, centroid_slot) =
        if usize::from(last.centroid_slot) + 1 < index.layout.centroids_per_page {
            (last.centroid_block, last.centroid_slot + 1)
        } else {
            (take(storage, |page| init_page(page, PageKind::Centroids))?, 0)
        };
    let entry = Entry {
        state: ListState::Free,
        centroid_block,
        centroid_slot,
        ..Entry::EMPTY
    };
    let per_page = index.layout.lists_per_page();
    let at = census.entries.len() % per_page;
    let block = if at == 0 {
        let (block, _) = entry_place(index, storage, number - 1)?;
        let new = take(storage, init_directory)?;
        let linked = storage.update(block, |page| match set_next(page, new) {
            Ok(()) => (Change::Made, Ok(())),
            Err(error) => (Change::None, Err(error)),
        })?;
        linked.map_err(|error| error.at(block))?;
        new
    } else {
        entry_place(index, storage, number - 1)?.0
    };
    let code = code_of_centroid(index, &index.root);
    let written = storage.update(block, |page| {
        match write_list(page, &index.layout, at, &entry, &code) {
            Ok(()) => (Change::Made, Ok(())),
            Err(error) => (Change::None, Err(error)),
        }
    })?;
    written.map_err(|error| error.at(block))?;
    census.entries.push(entry);
    census.counts.push(ListCount::default());
    Ok(number)
}

/// Copies what the old lists have beyond what was copied. Returns how many rows.
fn copy<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    around: &mut impl Surroundings,
    sources: &mut [Source],
    lists: &mut [ListWriter],
) -> Result<u64, IndexError> {
    let dims = index.layout.dims;
    let centroids: Vec<f32> = lists
        .iter()
        .flat_map(|list| list.centroid().iter().copied())
        .collect();
    let (mut centroid, mut one) = (vec![0.0; dims], vec![0.0; dims]);
    let mut copied = 0;
    for source in sources {
        index.centroid(storage, source.centroid.0, source.centroid.1, &mut centroid)?;
        copied += visit(index, storage, source, |storage, row| {
            vector(around, &row, &centroid, &mut one)?;
            let (nearest, _) = index.kernels.nearest_row(&one, &centroids, dims);
            let Some(list) = lists.get_mut(nearest) else {
                return Err(IndexError::Failed {
                    what: "no list for a row",
                });
            };
            let element = NewElement {
                transformed: &one,
                rankable: Rankable::Yes,
                tid: row.tid,
                keys: &row.keys,
            };
            list.push(index, storage, &element)
        })?;
    }
    Ok(copied)
}

/// Writes a new list into the directory, where it is not searched until the leader of the old ones is retired.
fn announce<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    list: &ListWriter,
    leader: u32,
) -> Result<(), IndexError> {
    let (block, at) = entry_place(index, storage, list.number)?;
    let open = |bytes: &[u8]| DirectoryPage::open(bytes, &index.layout)?.entry(at);
    let old = storage.read(block, open)?.map_err(|error| error.at(block))?;
    let centroid_block = old.centroid_block;
    let written = storage.update(centroid_block, |page| {
        match write_centroid(page, &index.layout, old.centroid_slot, &list.rounded) {
            Ok(()) => (Change::Made, Ok(())),
            Err(error) => (Change::None, Err(error)),
        }
    })?;
    written.map_err(|error| error.at(centroid_block))?;
    let entry = Entry {
        state: ListState::Pending,
        head: list.head,
        tail: list.tail,
        generation: list.generation,
        leader: Some(leader),
        // Not that of a build.
        stamp: list.rows.max(1),
        ..old
    };
    let code = code_of_centroid(index, list.centroid());
    let written = storage.update(block, |page| {
        match write_list(page, &index.layout, at, &entry, &code) {
            Ok(()) => (Change::Made, Ok(())),
            Err(error) => (Change::None, Err(error)),
        }
    })?;
    written.map_err(|error| error.at(block))
}

/// Has nothing more be added to the old lists.
fn close<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    sources: &[Source],
    leader: u32,
) -> Result<(), IndexError> {
    for source in sources {
        change_entry(index, storage, source.number, |entry| {
            Some(Entry {
                state: ListState::Closing,
                leader: Some(leader),
                ..entry
            })
        })?;
        let (mut block, mut pages) = (source.tail, 0);
        loop {
            pages += 1;
            if pages > storage.blocks()? {
                return Err(PageError::content("pages of a list run in a circle").at(block));
            }
            let closed = storage.update(block, |bytes| {
                let mut page = match PostingPageMut::open(bytes, &index.layout) {
                    Ok(page) => page,
                    Err(error) => return (Change::None, Err(error)),
                };
                let head = page.head();
                if !head.is_of(source.number, source.generation) {
                    return (
                        Change::None,
                        Err(PageError::content("last page of a list is of another")),
                    );
                }
                if head.next != 0 {
                    return (Change::None, Ok(head.next));
                }
                // Another mark each time, see `unclose`.
                let flags = head.flags.wrapping_add(2) | CLOSED;
                match page.set_flags(flags) {
                    Ok(()) => (Change::Made, Ok(0)),
                    Err(error) => (Change::None, Err(error)),
                }
            })?;
            block = closed.map_err(|error| error.at(block))?;
            if block == 0 {
                break;
            }
        }
    }
    Ok(())
}
