//! Finds tracks that two data sets claim, or a data set and the VTOC.

use std::collections::HashMap;

use super::data_set::{DataSet, Extent};
use super::vtoc::VtocInfo;
use crate::finding::Finding;

/// Who claims an extent: a data set by its place in the list, or the VTOC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    DataSet(usize),
    Vtoc,
}

/// Reports names that stand in the VTOC twice and tracks that are claimed twice, and marks the data sets concerned.
pub(super) fn check(data_sets: &mut [DataSet], vtoc: &VtocInfo, findings: &mut Vec<Finding>) {
    let mut names = HashMap::with_capacity(data_sets.len());
    for (index, data_set) in data_sets.iter().enumerate() {
        if let Some(first) = names.insert(data_set.name, index) {
            let detail = format!("the name is in the VTOC twice{}", place(&data_sets[first]));
            findings.push(with_address(Finding::damage("duplicate-name", detail).of(data_set.name), data_set));
        }
    }

    let mut claims: Vec<(Extent, Owner)> = vec![(vtoc.extent, Owner::Vtoc)];
    for (index, data_set) in data_sets.iter().enumerate() {
        claims.extend(data_set.all_extents().map(|extent| (extent, Owner::DataSet(index))));
    }
    claims.sort_by_key(|(extent, _)| extent.first);
    // Sorted by first track, a claim can only overlap those before it that reach farthest.
    let Some((mut reach, mut owner)) = claims.first().copied() else { return };
    for &(extent, claimant) in &claims[1..] {
        if extent.first <= reach.last() {
            report(data_sets, extent, claimant, owner, findings);
        }
        if extent.last() > reach.last() {
            (reach, owner) = (extent, claimant);
        }
    }
}

fn report(data_sets: &mut [DataSet], extent: Extent, claimant: Owner, owner: Owner, findings: &mut Vec<Finding>) {
    let name = |owner: Owner| match owner {
        Owner::DataSet(index) => data_sets[index].name.to_string(),
        Owner::Vtoc => "the VTOC".to_owned(),
    };
    // The finding is about a data set, also where the VTOC begins inside one.
    let (claimant, owner) = if claimant == Owner::Vtoc { (owner, claimant) } else { (claimant, owner) };
    let detail = if claimant == owner {
        format!("two of its extents overlap from track {}", extent.first)
    } else {
        format!("its tracks from track {} on belong to {} too", extent.first, name(owner))
    };
    findings.push(Finding::damage("extent-overlap", detail).of(name(claimant)));
    for owner in [claimant, owner] {
        if let Owner::DataSet(index) = owner {
            data_sets[index].defective = true;
        }
    }
}

fn place(data_set: &DataSet) -> String {
    data_set.dscb.map_or_else(String::new, |address| format!(", first at {address}"))
}

fn with_address(finding: Finding, data_set: &DataSet) -> Finding {
    match data_set.dscb {
        Some(address) => finding.at(address),
        None => finding,
    }
}
