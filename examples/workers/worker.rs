use std::net::UdpSocket;
use std::os::unix::io::FromRawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static STOP: AtomicBool = AtomicBool::new(false);
extern "C" fn on_term(_: i32) { STOP.store(true, Relaxed) }
extern "C" { fn signal(number: i32, handler: extern "C" fn(i32)) -> usize; }

fn main() -> std::io::Result<()> {
    let inbox = unsafe { UdpSocket::from_raw_fd(0) };  // shared with the other workers
    inbox.set_nonblocking(false)?;  // as an event loop may have left it otherwise
    inbox.set_read_timeout(Some(std::time::Duration::from_secs(1)))?;
    let own_port = inbox.local_addr()?.port();
    unsafe { signal(15, on_term) };
    let mut data = [0; 65535];
    while !STOP.load(Relaxed) {
        if let Ok((size, peer)) = inbox.recv_from(&mut data) {  // else a second is over, or it is to stop
            if peer.port() < 1024 || peer.port() == own_port { continue }  // would answer the answer, for ever
            let _ = inbox.send_to(&data[..size], peer);
        }
    }
    Ok(())
}
