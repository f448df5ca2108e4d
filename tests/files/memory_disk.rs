//! A disk in memory that can be full, not ready or read-only, and says whether it was synced.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, RwLock};

use tapegate::gate::Disk;
use tapegate::volume::{BlockShape, Shape, Stage, UnitIndex, UnitSource, VolumeError};
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;

pub struct MemoryDisk {
    shape: Shape,
    units: Vec<RwLock<Vec<u8>>>,
    pub ready: AtomicBool,
    pub writable: AtomicBool,
    pub full: AtomicBool,
    pub syncs: AtomicU32,
    /// Writes that found it full.
    pub found_full: AtomicU32,
}

impl MemoryDisk {
    /// 100 tracks of 1024 bytes: borders that fit no page.
    pub fn tracks() -> Arc<Self> {
        Self::new(Shape::Ckd(Geometry::new(DeviceType::Ibm3390, 20, 5, 1024).unwrap()))
    }

    /// 1001 blocks; the last unit is short.
    pub fn blocks() -> Arc<Self> {
        Self::new(Shape::FixedBlock(BlockShape { blocks: 1001, block_bytes: 512, unit_blocks: 8 }))
    }

    fn new(shape: Shape) -> Arc<Self> {
        let units = (0..shape.units()).map(|unit| RwLock::new(vec![0; shape.unit_bytes(UnitIndex(unit)) as usize])).collect();
        let (ready, writable, full) = (AtomicBool::new(true), AtomicBool::new(true), AtomicBool::new(false));
        Arc::new(Self { shape, units, ready, writable, full, syncs: AtomicU32::new(0), found_full: AtomicU32::new(0) })
    }

    /// All units, one after the other.
    pub fn content(&self) -> Vec<u8> {
        self.units.iter().flat_map(|unit| unit.read().unwrap().clone()).collect()
    }
}

impl UnitSource for MemoryDisk {
    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn name(&self) -> &Path {
        Path::new("memory")
    }

    fn read_units(&self, _first: UnitIndex, _count: u32, _stage: &mut Stage) -> Result<(), VolumeError> {
        unimplemented!("files are read by slots")
    }

    fn measure_units(&self, _first: UnitIndex, _body_bytes: &mut [u32]) -> Result<(), VolumeError> {
        unimplemented!("files are read by slots")
    }
}

impl Disk for MemoryDisk {
    fn read_slot(&self, unit: UnitIndex, buffer: &mut [u8]) -> Result<(), VolumeError> {
        buffer.copy_from_slice(&self.units[unit.0 as usize].read().unwrap());
        Ok(())
    }

    fn write_slot(&self, unit: UnitIndex, offset: u32, bytes: &[u8]) -> Result<(), VolumeError> {
        if self.full.load(Ordering::SeqCst) {
            self.found_full.fetch_add(1, Ordering::SeqCst);
            return Err(VolumeError::NoRoom {
                path: "memory".into(),
                address: self.shape.address(unit),
                needed_bytes: bytes.len() as u64,
                size_bytes: 1,
                limit_bytes: 1,
            });
        }
        let offset = offset as usize;
        self.units[unit.0 as usize].write().unwrap()[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> Result<(), VolumeError> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn is_writable(&self) -> bool {
        self.writable.load(Ordering::SeqCst)
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }
}
