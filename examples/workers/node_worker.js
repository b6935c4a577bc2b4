const dgram = require('dgram');

const inbox = dgram.createSocket('udp4');  // 'udp6' for a port alone, as in --bind :5000
let answering = 0, stopping = false;
const endIfDone = () => { if (stopping && answering === 0) inbox.close(); };

inbox.on('message', async (data, peer) => {
  if (peer.port < 1024 || peer.port === inbox.address().port) return;  // would answer the answer, for ever
  ++answering;
  await null;  // a database, another service
  inbox.send(data, peer.port, peer.address, () => { --answering; endIfDone(); });
});
inbox.bind({ fd: 3 });  // the first socket; Node takes no descriptor 0
process.on('SIGTERM', () => { stopping = true; endIfDone(); });
