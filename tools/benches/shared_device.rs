//! What an exchange with a shared device client costs over the loopback interface. Run it with
//! `cargo bench --bench shared_device`.
//!
//! The disk is in memory, so that the protocol is measured: connection, locking, gate. One client asks and waits, as
//! clients do. Beside it the least that such an exchange can take: a thread that answers 8 bytes with 8 bytes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use divan::Bencher;
use divan::counter::ItemsCount;
use tapegate::channel::shared_device::{DeviceOptions, Listener, SharedDevice, SharedDeviceConfig, SharedDeviceServer};
use tapegate::gate::{Disk, VolumeGate};
use tapegate::volume::{Shape, Stage, UnitIndex, UnitSource, VolumeError};
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;
use tokio::runtime::Runtime;

/// A slot of a 3390.
const SLOT_BYTES: usize = 56_832;
const DEVICE: u16 = 0x150;

fn main() {
    divan::main();
}

/// One track in memory, which stands for all.
struct OneTrack {
    shape: Shape,
    slot: Mutex<Vec<u8>>,
}

impl UnitSource for OneTrack {
    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn name(&self) -> &Path {
        Path::new("memory")
    }

    fn read_units(&self, _first: UnitIndex, _count: u32, _stage: &mut Stage) -> Result<(), VolumeError> {
        unreachable!("front-ends read slots")
    }

    fn measure_units(&self, _first: UnitIndex, _body_bytes: &mut [u32]) -> Result<(), VolumeError> {
        unreachable!("front-ends measure nothing")
    }
}

impl Disk for OneTrack {
    fn read_slot(&self, _unit: UnitIndex, buffer: &mut [u8]) -> Result<(), VolumeError> {
        buffer.copy_from_slice(&self.slot.lock().expect("no thread panics"));
        Ok(())
    }

    fn write_slot(&self, _unit: UnitIndex, offset: u32, bytes: &[u8]) -> Result<(), VolumeError> {
        self.slot.lock().expect("no thread panics")[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> Result<(), VolumeError> {
        Ok(())
    }

    fn is_writable(&self) -> bool {
        true
    }
}

/// A client that has attached the device.
struct Client {
    stream: TcpStream,
    id: [u8; 2],
    reply: Vec<u8>,
    /// Serves as long as it lives.
    _runtime: Runtime,
}

impl Client {
    fn attach() -> Self {
        let geometry = Geometry::standard(DeviceType::Ibm3390, 10).expect("a 3390 of 10 cylinders");
        // A home address, R0 and twelve records of 4,096 bytes, as Linux formats tracks.
        let mut slot = vec![0; 21];
        slot[12] = 8;
        for number in 1..=12 {
            slot.extend([0, 0, 0, 0, number, 0, 0x10, 0]);
            slot.resize(slot.len() + 4096, number);
        }
        slot.extend([0xff; 8]);
        slot.resize(SLOT_BYTES, 0);
        let gate = VolumeGate::new("bench", Arc::new(OneTrack { shape: Shape::Ckd(geometry), slot: Mutex::new(slot) }));
        let device = SharedDevice::new(DEVICE, gate, DeviceOptions::default()).expect("a disk that can be served");
        let runtime = Runtime::new().expect("a runtime");
        let listeners = vec![Listener::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))];
        let config = SharedDeviceConfig { listeners, ..SharedDeviceConfig::default() };
        let server = runtime.block_on(SharedDeviceServer::bind(config, [device])).expect("a free port");
        let stream = TcpStream::connect(server.local_addresses()[0]).expect("a connection");
        stream.set_nodelay(true).expect("an option");
        runtime.spawn(server.run(std::future::pending()));
        let mut client = Self { stream, id: [0; 2], reply: vec![0; 65_536], _runtime: runtime };
        client.ask(0xe0, 0x01, &[]);
        client.id.copy_from_slice(&client.reply[..2]);
        client
    }

    fn ask(&mut self, command: u8, flags: u8, data: &[u8]) -> usize {
        let [d0, d1] = DEVICE.to_be_bytes();
        let [l0, l1] = u16::try_from(data.len()).expect("short data").to_be_bytes();
        let [i0, i1] = self.id;
        let message = [&[command, flags, d0, d1, l0, l1, i0, i1], data].concat();
        self.stream.write_all(&message).expect("the server takes it");
        let mut header = [0; 8];
        self.stream.read_exact(&mut header).expect("the server answers");
        assert!(matches!(header[0], 0x00 | 0x08), "{header:02x?}");
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        self.stream.read_exact(&mut self.reply[..length]).expect("the server answers");
        length
    }
}

/// START, WRITE of 512 bytes, END: three exchanges.
#[divan::bench]
fn update_of_a_record(bencher: Bencher) {
    let mut client = Client::attach();
    let write = [&[0, 29, 0, 0, 0, 33][..], &[0xc1; 512]].concat();
    bencher.counter(ItemsCount::new(3_u32)).bench_local(|| {
        client.ask(0xe2, 0, &[]);
        client.ask(0xe9, 0, &write);
        client.ask(0xe3, 0, &[])
    });
}

/// START, READ of a track of 49 KB, END.
#[divan::bench]
fn read_of_a_track(bencher: Bencher) {
    let mut client = Client::attach();
    bencher.counter(ItemsCount::new(3_u32)).bench_local(|| {
        client.ask(0xe2, 0, &[]);
        assert_eq!(client.ask(0xe8, 0, &[0, 0, 0, 33]), 49_277);
        client.ask(0xe3, 0, &[])
    });
}

/// One exchange with a thread that does nothing else.
#[divan::bench]
fn least_that_an_exchange_takes(bencher: Bencher) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let mut client = TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
    client.set_nodelay(true).expect("an option");
    let (mut server, _) = listener.accept().expect("the connection");
    server.set_nodelay(true).expect("an option");
    std::thread::spawn(move || {
        let mut message = [0; 8];
        while server.read_exact(&mut message).and_then(|()| server.write_all(&message)).is_ok() {}
    });
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        client.write_all(&[0; 8]).expect("the thread takes it");
        let mut reply = [0; 8];
        client.read_exact(&mut reply).expect("the thread answers");
        reply
    });
}
